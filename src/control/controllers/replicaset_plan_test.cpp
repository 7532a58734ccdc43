// Expected values: k8s pkg/controller/replicaset and controller_utils_test (ActivePodsWithRanks), KEP-2185.
#include "control/controllers/replicaset_plan.h"

#include "control/controllers/expectations.h"
#include "control/controllers/testing.h"

namespace rs::control {
namespace {
using namespace testing;
using namespace std::chrono_literals;

Json replica_set(int64_t replicas) {
  Json set = json("{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'pay-1','namespace':'bank','uid':'u',"
                  "'generation':3},'spec':{'selector':{'matchLabels':{'app':'pay'}},"
                  "'template':{'metadata':{'labels':{'app':'pay'},'annotations':{'a':'b'}},'spec':{'containers':[{'name':'c'}]}}}}");
  rs::set(set, replicas, "spec", "replicas");
  return set;
}

std::vector<std::string> removed(const ReplicaSetPlan& plan) {
  std::vector<std::string> names;
  for (const auto& object : plan.remove) names.emplace_back(api::name_of(*object));
  return names;
}

TEST(ReplicaSetPlan, CreatesWhatIsMissingUpToTheBurst) {
  EXPECT_EQ(plan_replica_set(replica_set(3), {shared(pod("a"))}, {}, kNow).create, 2);
  EXPECT_EQ(plan_replica_set(replica_set(5000), {}, {}, kNow).create, kReplicaSetBurst);
  auto settled = plan_replica_set(replica_set(1), {shared(pod("a"))}, {}, kNow);
  EXPECT_EQ(settled.create, 0);
  EXPECT_TRUE(settled.remove.empty());
}

TEST(ReplicaSetPlan, RemovesPodsThatCostLeastFirst) {
  Json cheap = pod("cheap");
  set(cheap, Json("-5"), "metadata", "annotations", "controller.kubernetes.io/pod-deletion-cost");
  std::vector<ObjectPtr> pods = {shared(pod("old", {.age = 100h})), shared(pod("pending", {.phase = "Pending", .ready = false})),
                                 shared(pod("young", {.age = 1min})), shared(pod("unready", {.ready = false})),
                                 shared(pod("unplaced", {.phase = "Pending", .node = "", .ready = false})), shared(cheap)};
  auto plan = plan_replica_set(replica_set(0), pods, pods, kNow);
  EXPECT_EQ(removed(plan), (std::vector<std::string>{"unplaced", "pending", "unready", "cheap", "young", "old"}));
}

TEST(ReplicaSetPlan, RemovesFromCrowdedNodesFirst) {
  std::vector<ObjectPtr> pods = {shared(pod("alone", {.node = "n2"})), shared(pod("one")), shared(pod("two"))};
  auto plan = plan_replica_set(replica_set(2), pods, pods, kNow);
  ASSERT_EQ(plan.remove.size(), 1u);
  EXPECT_EQ(str(*plan.remove[0], "spec", "nodeName"), "n1");
}

TEST(ReplicaSetPlan, StatusCountsReadyAndAvailablePods) {
  Json set = replica_set(3);
  rs::set(set, 60, "spec", "minReadySeconds");
  std::vector<ObjectPtr> pods = {shared(pod("a")), shared(pod("b", {.age = 10s})), shared(pod("c", {.ready = false}))};
  Json updated = with_replica_set_status(set, pods, std::nullopt, kNow);
  EXPECT_EQ(*find(updated, "status"),
            json("{'replicas':3,'fullyLabeledReplicas':3,'readyReplicas':2,'availableReplicas':1,'observedGeneration':3}"));
  EXPECT_EQ(with_replica_set_status(updated, pods, std::nullopt, kNow + 1s), updated);
  EXPECT_EQ(next_availability(set, pods, kNow), 50s);
}

TEST(ReplicaSetPlan, StatusSaysWhyPodsCannotBeCreated) {
  Json failed = with_replica_set_status(replica_set(1), {}, ReplicaFailure{"FailedCreate", "quota"}, kNow);
  EXPECT_TRUE(api::condition_is_true(failed, "ReplicaFailure"));
  Json healed = with_replica_set_status(failed, {shared(pod("a"))}, std::nullopt, kNow);
  EXPECT_EQ(api::condition(healed, "ReplicaFailure"), nullptr);
}

TEST(PodFromTemplate, CarriesLabelsAnnotationsAndItsController) {
  Json made = pod_from_template(*find(replica_set(1), "spec", "template"), replica_set(1));
  EXPECT_EQ(str(made, "metadata", "generateName"), "pay-1-");
  EXPECT_EQ(str(made, "metadata", "namespace"), "bank");
  EXPECT_EQ(api::label(made, "app"), "pay");
  EXPECT_EQ(api::annotation(made, "a"), "b");
  auto owner = api::controller_of(made);
  ASSERT_TRUE(owner.has_value());
  EXPECT_EQ(owner->uid, "u");
  EXPECT_TRUE(owner->block_owner_deletion);
  EXPECT_EQ(array(made, "spec", "containers").size(), 1u);
}

TEST(Expectations, AreOpenUntilSeenOrExpired) {
  Expectations expectations;
  api::ObjectKey owner{"bank", "pay-1"}, child{"bank", "p"};
  MonoTime now{1s};
  EXPECT_TRUE(expectations.satisfied(owner, now));
  expectations.expect_creations(owner, 2, now);
  expectations.creation_observed(owner);
  EXPECT_FALSE(expectations.satisfied(owner, now));
  expectations.creation_observed(owner);
  EXPECT_TRUE(expectations.satisfied(owner, now));
  expectations.creation_observed(owner);  // somebody else's pod
  expectations.expect_deletions(owner, {child}, now);
  EXPECT_FALSE(expectations.satisfied(owner, now));
  expectations.deletion_observed(owner, child);
  EXPECT_TRUE(expectations.satisfied(owner, now));
  expectations.expect_creations(owner, 1, now);
  EXPECT_TRUE(expectations.satisfied(owner, now + 6min));
}

}  // namespace
}  // namespace rs::control
