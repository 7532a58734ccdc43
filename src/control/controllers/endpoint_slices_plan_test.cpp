// Expected values: KEP-752 (slices), KEP-1672 (terminating endpoints), k8s endpointslice/reconciler_test.go.
#include "control/controllers/endpoint_slices_plan.h"

#include "control/controllers/endpoints_plan.h"
#include "control/controllers/testing.h"

namespace rs::control {
namespace {
using namespace testing;

Json service() {
  return json("{'apiVersion':'v1','kind':'Service','metadata':{'name':'pay','namespace':'bank','uid':'s','labels':{'team':'a'}},"
              "'spec':{'clusterIP':'10.96.0.7','selector':{'app':'pay'},'ipFamilies':['IPv4'],"
              "'ports':[{'name':'http','port':80,'targetPort':'web','protocol':'TCP'}]}}");
}
Json backend(const std::string& name, const std::string& ip, bool ready = true, int port = 8080) {
  Json out = pod(name, {.ready = ready});
  set(out, Json(ip), "status", "podIP");
  set(out, JsonArray{JsonObject{{"name", "c"}, {"ports", JsonArray{JsonObject{{"name", "web"}, {"containerPort", port}}}}}},
      "spec", "containers");
  return out;
}
std::string no_zone(std::string_view) { return {}; }
std::string zone_a(std::string_view) { return "a"; }

SliceWrites plan(const Json& svc, const std::vector<ObjectPtr>& pods, const std::vector<ObjectPtr>& existing = {}) {
  return plan_endpoint_slices(svc, pods, existing, no_zone, "2026-01-02T03:04:05Z");
}
// What the server would hold after the writes.
std::vector<ObjectPtr> stored(std::vector<ObjectPtr> existing, const SliceWrites& writes) {
  static int count = 0;
  for (const ObjectPtr& gone : writes.remove) std::erase(existing, gone);
  for (const Json& update : writes.update)
    for (ObjectPtr& slice : existing)
      if (api::name_of(*slice) == api::name_of(update)) slice = shared(update);
  for (Json made : writes.create) {
    set(made, Json("slice-" + std::to_string(count++)), "metadata", "name");
    existing.push_back(shared(made));
  }
  return existing;
}

TEST(EndpointSlices, DescribeEachPod) {
  auto writes = plan_endpoint_slices(service(), {shared(backend("a", "10.1.0.1"))}, {}, zone_a, "t0");
  ASSERT_EQ(writes.create.size(), 1u);
  const Json& slice = writes.create[0];
  EXPECT_EQ(str(slice, "metadata", "generateName"), "pay-");
  EXPECT_EQ(api::label(slice, kServiceName), "pay");
  EXPECT_EQ(api::label(slice, kManagedBy), kSliceController);
  EXPECT_EQ(api::label(slice, "team"), "a");
  EXPECT_EQ(api::annotation(slice, kTriggerTime), "t0");
  EXPECT_EQ(api::controller_of(slice)->uid, "s");
  EXPECT_EQ(array(slice, "ports"), json("[{'name':'http','port':8080,'protocol':'TCP'}]").as_array());
  EXPECT_EQ(array(slice, "endpoints"),
            json("[{'addresses':['10.1.0.1'],'conditions':{'ready':true,'serving':true,'terminating':false},"
                 "'targetRef':{'kind':'Pod','namespace':'bank','name':'a','uid':'uid-a'},'nodeName':'n1','zone':'a'}]").as_array());
}

TEST(EndpointSlices, PodBeingDeletedIsTerminatingAndNotReadyButStillServing) {
  Json leaving = backend("a", "10.1.0.1");
  set(leaving, Json(rfc3339(kNow)), "metadata", "deletionTimestamp");
  auto writes = plan(service(), {shared(leaving)});
  EXPECT_EQ(array(writes.create.at(0), "endpoints").at(0).at("conditions"),
            json("{'ready':false,'serving':true,'terminating':true}"));
  Json tolerant = service();
  set(tolerant, true, "spec", "publishNotReadyAddresses");
  EXPECT_TRUE(array(plan(tolerant, {shared(leaving)}).create.at(0), "endpoints").at(0).at("conditions").at("ready").as_bool());
}

TEST(EndpointSlices, RestWhenNothingChanged) {
  std::vector<ObjectPtr> pods = {shared(backend("a", "10.1.0.1")), shared(backend("b", "10.1.0.2", false))};
  auto slices = stored({}, plan(service(), pods));
  EXPECT_TRUE(plan(service(), pods, slices).empty());
  auto one_ready = plan(service(), {pods[0], shared(backend("b", "10.1.0.2"))}, slices);
  EXPECT_EQ(one_ready.update.size(), 1u);
  EXPECT_TRUE(one_ready.create.empty());
}

TEST(EndpointSlices, ServiceWithoutPodsKeepsOneEmptySlice) {
  auto slices = stored({}, plan(service(), {shared(backend("a", "10.1.0.1"))}));
  slices = stored(slices, plan(service(), {}, slices));
  ASSERT_EQ(slices.size(), 1u);
  EXPECT_TRUE(find(*slices[0], "endpoints")->is_array());
  EXPECT_EQ(array(*slices[0], "endpoints").size(), 0u);
  EXPECT_TRUE(plan(service(), {}, slices).empty());
}

TEST(EndpointSlices, HoldAtMostAHundredEndpointsAndMoveNone) {
  std::vector<ObjectPtr> pods;
  for (int i = 0; i < 250; ++i) pods.push_back(shared(backend(fmt::format("p{:03}", i), fmt::format("10.1.{}.{}", i / 200, i % 200 + 1))));
  auto slices = stored({}, plan(service(), pods));
  ASSERT_EQ(slices.size(), 3u);
  for (const auto& slice : slices) EXPECT_LE(array(*slice, "endpoints").size(), kEndpointsPerSlice);
  pods.erase(pods.begin());
  pods.push_back(shared(backend("new", "10.1.9.9")));
  auto writes = plan(service(), pods, slices);
  EXPECT_EQ(writes.update.size(), 1u);
  EXPECT_TRUE(writes.create.empty());
  EXPECT_TRUE(writes.remove.empty());
}

TEST(EndpointSlices, PodsWithDifferentNamedPortsAreInDifferentSlices) {
  auto writes = plan(service(), {shared(backend("a", "10.1.0.1", true, 8080)), shared(backend("b", "10.1.0.2", true, 9090))});
  EXPECT_EQ(writes.create.size(), 2u);
}

TEST(EndpointSlices, HeadlessServiceWithoutPortsHasEndpoints) {
  Json headless = service();
  set(headless, Json("None"), "spec", "clusterIP");
  erase(headless, "ports", "spec");
  Json member = backend("a", "10.1.0.1");
  set(member, Json("pay"), "spec", "subdomain");
  set(member, Json("pay-0"), "spec", "hostname");
  auto writes = plan(headless, {shared(member)});
  ASSERT_EQ(writes.create.size(), 1u);
  EXPECT_NE(find(writes.create[0], "metadata", "labels", kHeadless), nullptr);
  EXPECT_EQ(str(array(writes.create[0], "endpoints").at(0), "hostname"), "pay-0");
}

TEST(EndpointSlices, MirrorEndpointsThatAUserManages) {
  Json endpoints = json("{'apiVersion':'v1','kind':'Endpoints','metadata':{'name':'pay','namespace':'bank','uid':'e'},"
                        "'subsets':[{'addresses':[{'ip':'192.0.2.1'}],'notReadyAddresses':[{'ip':'192.0.2.2'}],"
                        "'ports':[{'port':80,'protocol':'TCP'}]}]}");
  auto writes = plan_mirrored_slices(endpoints, service(), {}, "");
  ASSERT_EQ(writes.create.size(), 1u);
  EXPECT_EQ(api::label(writes.create[0], kManagedBy), kMirrorController);
  EXPECT_EQ(array(writes.create[0], "endpoints").size(), 2u);
  EXPECT_TRUE(plan_mirrored_slices(endpoints, service(), stored({}, writes), "").empty());
}

TEST(Endpoints, SplitReadyAndNotReadyAndLeaveOutTerminating) {
  Json leaving = backend("c", "10.1.0.3");
  set(leaving, Json(rfc3339(kNow)), "metadata", "deletionTimestamp");
  std::vector<ObjectPtr> pods = {shared(backend("a", "10.1.0.1")), shared(backend("b", "10.1.0.2", false)), shared(leaving),
                                 shared(pod("no-address"))};
  auto wanted = plan_endpoints(service(), pods, nullptr, "t0");
  ASSERT_TRUE(wanted.has_value());
  EXPECT_EQ(array(*wanted, "subsets"),
            json("[{'addresses':[{'ip':'10.1.0.1','targetRef':{'kind':'Pod','namespace':'bank','name':'a','uid':'uid-a'},"
                 "'nodeName':'n1'}],'notReadyAddresses':[{'ip':'10.1.0.2','targetRef':{'kind':'Pod','namespace':'bank',"
                 "'name':'b','uid':'uid-b'},'nodeName':'n1'}],'ports':[{'name':'http','port':8080,'protocol':'TCP'}]}]").as_array());
  EXPECT_EQ(api::annotation(*wanted, kTriggerTime), "t0");
  EXPECT_FALSE(plan_endpoints(service(), pods, shared(*wanted), "t1").has_value());
  auto empty = plan_endpoints(service(), {}, shared(*wanted), "t1");
  ASSERT_TRUE(empty.has_value());
  EXPECT_EQ(array(*empty, "subsets").size(), 0u);
}

}  // namespace
}  // namespace rs::control
