#include <gtest/gtest.h>

#include "mesh/discovery/discovery.h"

namespace rs::mesh {
namespace {

Json json(std::string_view text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value.has_value()) << text;
  return value ? *value : Json();
}

const ServiceKey kPayments{"bank", "payments"};
const api::ObjectKey kSlice{"bank", "payments-abc"};

Json service() {
  return json(R"({"metadata":{"name":"payments","namespace":"bank","resourceVersion":"7"},
    "spec":{"clusterIP":"10.43.0.17","ports":[{"name":"http","port":80,"targetPort":"web"}]}})");
}
Json slice(std::string_view endpoints, std::string_view ports = R"([{"name":"http","port":8080,"protocol":"TCP"}])") {
  return json(fmt::format(R"({{"metadata":{{"name":"payments-abc","namespace":"bank","resourceVersion":"9",
    "labels":{{"kubernetes.io/service-name":"payments"}}}},"addressType":"IPv4","endpoints":{},"ports":{}}})",
                          endpoints, ports));
}

Resolution resolve(Discovery& discovery) {
  discovery.take_changes();
  auto view = discovery.views().find(kPayments);
  if (view == discovery.views().end()) return discovery.is_synced() ? Resolution(Absent{}) : Resolution(Unknown{});
  return view->second->summary();
}

Discovery with(const Json& slice_object) {
  Discovery discovery;
  auto object = service();
  discovery.apply_service(kPayments, &object);
  discovery.apply_slice(kSlice, &slice_object);
  discovery.synced(10);
  return discovery;
}

TEST(Discovery, NamedTargetPortIsWhatTheSliceSays) {
  auto discovery = with(slice(R"([{"addresses":["10.42.0.5"],"targetRef":{"uid":"u1","name":"payments-1"}}])"));
  auto resolution = resolve(discovery);
  auto* set = std::get_if<Set>(&resolution);
  ASSERT_NE(set, nullptr);
  ASSERT_EQ(set->endpoints.size(), 1u);
  EXPECT_EQ(set->endpoints[0].ip, "10.42.0.5");
  EXPECT_EQ(set->endpoints[0].port, 8080);
  EXPECT_EQ(set->endpoints[0].pod_uid, "u1");
  EXPECT_TRUE(set->endpoints[0].usable());
  EXPECT_EQ(set->revision, 9);
}

// The outage's crash: a Service scaled to zero, in every shape an API server has ever sent it.
TEST(Discovery, NullMissingAndEmptyAreTheSame) {
  for (auto endpoints : {"null", "[]", R"([{"addresses":null}])", R"([{"addresses":[]}])", R"([{}])"}) {
    for (auto ports : {"null", "[]", R"([{"name":"http","port":8080}])"}) {
      auto discovery = with(slice(endpoints, ports));
      EXPECT_EQ(state_name(resolve(discovery)), "Empty") << endpoints << " " << ports;
      EXPECT_TRUE(discovery.quarantined().empty());
    }
  }
  auto bare = json(R"({"metadata":{"labels":{"kubernetes.io/service-name":"payments"}}})");
  auto discovery = with(bare);
  EXPECT_EQ(state_name(resolve(discovery)), "Empty");
}

TEST(Discovery, NothingIsEmptyOrAbsentBeforeTheSourceHasToldAll) {
  Discovery discovery;
  EXPECT_EQ(state_name(resolve(discovery)), "Unknown");
  auto object = service();
  discovery.apply_service(kPayments, &object);
  EXPECT_EQ(state_name(resolve(discovery)), "Unknown");
  discovery.synced(8);
  EXPECT_EQ(state_name(resolve(discovery)), "Empty");
  discovery.apply_service(kPayments, nullptr);
  EXPECT_EQ(state_name(resolve(discovery)), "Absent");
}

TEST(Discovery, ConditionsDefaultToReady) {
  struct Case {
    const char* conditions;
    bool ready, serving, terminating;
  };
  for (const auto& c : {Case{"null", true, true, false}, Case{"{}", true, true, false},
                        Case{R"({"ready":null})", true, true, false}, Case{R"({"ready":false})", false, false, false},
                        Case{R"({"ready":false,"serving":true,"terminating":true})", false, true, true}}) {
    auto discovery = with(slice(fmt::format(R"([{{"addresses":["10.42.0.5"],"conditions":{}}}])", c.conditions)));
    auto resolution = resolve(discovery);
    auto* set = std::get_if<Set>(&resolution);
    ASSERT_NE(set, nullptr) << c.conditions;
    EXPECT_EQ(set->endpoints[0].ready, c.ready) << c.conditions;
    EXPECT_EQ(set->endpoints[0].serving, c.serving) << c.conditions;
    EXPECT_EQ(set->endpoints[0].terminating, c.terminating) << c.conditions;
  }
}

TEST(Discovery, AnUndecodableObjectKeepsItsLastGoodAndSpoilsOnlyItself) {
  auto discovery = with(slice(R"([{"addresses":["10.42.0.5"]}])"));
  EXPECT_EQ(state_name(resolve(discovery)), "Set");
  for (auto endpoints : {"5", R"("x")", R"([7])", R"([{"addresses":"10.42.0.6"}])", R"([{"addresses":["nonsense"]}])",
                         R"([{"addresses":["10.42.0.6"],"conditions":{"ready":"yes"}}])", "{}"}) {
    auto broken = slice(endpoints);
    discovery.apply_slice(kSlice, &broken);
    auto resolution = resolve(discovery);
    ASSERT_TRUE(std::holds_alternative<Set>(resolution)) << endpoints;
    EXPECT_EQ(std::get<Set>(resolution).endpoints[0].ip, "10.42.0.5");
    EXPECT_EQ(discovery.quarantined().size(), 1u) << endpoints;
  }
  auto good = slice("[]");
  discovery.apply_slice(kSlice, &good);
  EXPECT_EQ(state_name(resolve(discovery)), "Empty");
  EXPECT_TRUE(discovery.quarantined().empty());
}

TEST(Discovery, AnUndecodableSliceNeverUnderstoodMakesTheServiceUnknownNotEmpty) {
  auto discovery = with(slice("5"));
  EXPECT_EQ(state_name(resolve(discovery)), "Unknown");
}

// Every consumed field as null, absent, wrong type and huge: no crash, and the result is one of the four states.
TEST(Discovery, EveryFieldInEveryShape) {
  auto whole = slice(R"([{"addresses":["10.42.0.5"],"conditions":{"ready":true},"nodeName":"n","zone":"z",
    "hostname":"h","targetRef":{"uid":"u","name":"p"}}])");
  auto svc = service();
  const std::vector<Json> shapes{nullptr, JsonArray(), JsonObject(), "text", 1e300, -1, 70000, true,
                                 Json(JsonArray(6000, Json("10.0.0.1")))};
  std::function<void(Json&, const std::function<void()>&)> vary = [&](Json& node, const std::function<void()>& check) {
    for (const auto& shape : shapes) {
      Json old = node;
      node = shape;
      check();
      node = std::move(old);
    }
    if (node.is_object()) {
      auto& members = node.get_object();
      for (size_t i = 0; i < members.size(); ++i) vary((members.begin() + static_cast<std::ptrdiff_t>(i))->value(), check);
    } else if (node.is_array()) {
      auto& items = node.get_array();
      for (size_t i = 0; i < items.size(); ++i) vary(items[i], check);
    }
  };
  size_t checks = 0;
  auto check = [&] {
    Discovery discovery;
    discovery.apply_service(kPayments, &svc);
    discovery.apply_slice(kSlice, &whole);
    discovery.synced(10);
    resolve(discovery);
    ++checks;
  };
  vary(whole, check);
  vary(svc, check);
  EXPECT_GT(checks, 200u);
}

TEST(Discovery, DrainedPodTakesNothingNewUntilItIsGone) {
  auto both = slice(R"([{"addresses":["10.42.0.5"],"targetRef":{"uid":"u1"}},{"addresses":["10.42.0.6"],"targetRef":{"uid":"u2"}}])");
  auto discovery = with(both);
  resolve(discovery);
  discovery.drain("u1", {"10.42.0.5"});
  auto changes = discovery.take_changes();
  ASSERT_EQ(changes.services.size(), 1u);
  auto endpoints = std::get<Set>(changes.services[0].second->ports[0].endpoints).endpoints;
  EXPECT_FALSE(endpoints[0].usable());
  EXPECT_TRUE(endpoints[1].usable());
  discovery.apply_slice(kSlice, &both);  // an update on the way does not forget it
  EXPECT_TRUE(discovery.take_changes().empty());
  auto without = slice(R"([{"addresses":["10.42.0.6"],"targetRef":{"uid":"u2"}}])");
  discovery.apply_slice(kSlice, &without);
  discovery.take_changes();
  discovery.take_changes();
  // The address now belongs to another pod.
  auto reused = slice(R"([{"addresses":["10.42.0.5"]}])");
  discovery.apply_slice(kSlice, &reused);
  changes = discovery.take_changes();
  ASSERT_EQ(changes.services.size(), 1u);
  EXPECT_TRUE(std::get<Set>(changes.services[0].second->ports[0].endpoints).endpoints[0].usable());
}

TEST(Discovery, RestoredViewsServeUntilTheApiHasSpoken) {
  ServiceView old{.key = kPayments, .cluster_ips = {"10.43.0.17"}};
  old.ports.push_back({.name = "http", .port = 80, .endpoints = Set{5, {Endpoint{.ip = "10.42.0.9", .port = 8080}}}});
  ServiceView gone{.key = {"bank", "gone"}};
  Discovery discovery;
  discovery.restore({old, gone});
  EXPECT_EQ(discovery.take_changes().services.size(), 2u);
  auto svc = service();
  discovery.apply_service(kPayments, &svc);
  EXPECT_TRUE(discovery.take_changes().empty()) << "half a list replaces nothing";
  auto live = slice(R"([{"addresses":["10.42.0.5"]}])");
  discovery.apply_slice(kSlice, &live);
  discovery.synced(10);
  auto changes = discovery.take_changes();
  ASSERT_EQ(changes.services.size(), 2u);
  EXPECT_EQ(changes.services[0].second, nullptr);
  EXPECT_EQ(std::get<Set>(changes.services[1].second->ports[0].endpoints).endpoints[0].ip, "10.42.0.5");
  EXPECT_FALSE(changes.services[1].second->from_disk);
}

TEST(Discovery, PodsTellTheNamespaceOfTheirAddress) {
  Discovery discovery;
  auto pod = json(R"({"status":{"phase":"Running","podIP":"10.42.0.5"}})");
  discovery.apply_pod({"bank", "edge-1"}, &pod);
  auto changes = discovery.take_changes();
  ASSERT_EQ(changes.pod_namespaces.size(), 1u);
  EXPECT_EQ(changes.pod_namespaces[0], std::pair(std::string("10.42.0.5"), std::string("bank")));
  auto host = json(R"({"spec":{"hostNetwork":true},"status":{"podIP":"127.0.0.1"}})");
  discovery.apply_pod({"bank", "host-1"}, &host);
  EXPECT_TRUE(discovery.take_changes().empty());
  discovery.apply_pod({"bank", "edge-1"}, nullptr);
  changes = discovery.take_changes();
  ASSERT_EQ(changes.pod_namespaces.size(), 1u);
  EXPECT_EQ(changes.pod_namespaces[0].second, "");
}

}  // namespace
}  // namespace rs::mesh
