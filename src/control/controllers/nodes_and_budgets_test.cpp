// Expected values: k8s pkg/controller/{nodelifecycle,tainteviction,disruption,podgc,namespace,garbagecollector} tests.
#include "control/controllers/disruption.h"
#include "control/controllers/namespaces.h"
#include "control/controllers/node_plan.h"
#include "control/controllers/owner_graph.h"
#include "control/controllers/pod_gc.h"
#include "control/controllers/testing.h"

namespace rs::control {
namespace {
using namespace testing;
using namespace std::chrono_literals;

Json node(const std::string& name, const char* ready, const char* zone = "a") {
  Json out = json("{'apiVersion':'v1','kind':'Node','metadata':{'labels':{}},'spec':{}}");
  set(out, Json(name), "metadata", "name");
  set(out, Json(zone), "metadata", "labels", "topology.kubernetes.io/zone");
  if (*ready != 0) api::set_condition(out, "Ready", ready, "", "", kNow);
  return out;
}
std::vector<std::string> taints(const Json& node) {
  std::vector<std::string> out;
  for (const Json& taint : array(node, "spec", "taints")) out.push_back(fmt::format("{}:{}", str(taint, "key"), str(taint, "effect")));
  return out;
}
using Taints = std::vector<std::string>;

TEST(NodePlan, SilentNodeIsUnknownInAllItsConditions) {
  Json silent = with_silence(node("n1", "True"), kNow);
  EXPECT_EQ(str(*api::condition(silent, "Ready"), "reason"), "NodeStatusUnknown");
  EXPECT_EQ(str(*api::condition(silent, "DiskPressure"), "reason"), "NodeStatusNeverUpdated");
  EXPECT_EQ(with_silence(silent, kNow + 1min), silent);
}

TEST(NodePlan, TaintsFollowConditions) {
  EXPECT_EQ(taints(with_condition_taints(node("n1", "True"), true, kNow)), Taints());
  EXPECT_EQ(taints(with_condition_taints(node("n1", "False"), true, kNow)),
            (Taints{"node.kubernetes.io/not-ready:NoSchedule", "node.kubernetes.io/not-ready:NoExecute"}));
  Json unknown = with_condition_taints(node("n1", "Unknown"), true, kNow);
  EXPECT_EQ(taints(unknown), (Taints{"node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"}));
  EXPECT_EQ(with_condition_taints(unknown, false, kNow + 1min), unknown) << "it stays given up, since when it was";
  EXPECT_EQ(taints(with_condition_taints(node("n1", "Unknown"), false, kNow)), (Taints{"node.kubernetes.io/unreachable:NoSchedule"}));
  EXPECT_EQ(taints(with_condition_taints(node("new", ""), true, kNow)), (Taints{"node.kubernetes.io/not-ready:NoSchedule"}));
  Json cordoned = node("n1", "True");
  set(cordoned, true, "spec", "unschedulable");
  set(cordoned, json("[{'key':'mine','effect':'NoExecute'}]"), "spec", "taints");
  EXPECT_EQ(taints(with_condition_taints(cordoned, true, kNow)), (Taints{"mine:NoExecute", "node.kubernetes.io/unschedulable:NoSchedule"}));
}

TEST(NodePlan, PodsLeaveWhenTheirTolerationEnds) {
  Json lost = with_condition_taints(node("n1", "Unknown"), true, kNow);
  Json plain = pod("p");
  EXPECT_EQ(eviction_time(plain, lost, kNow), kNow);
  Json patient = pod("p");
  set(patient, json("[{'key':'node.kubernetes.io/unreachable','operator':'Exists','effect':'NoExecute','tolerationSeconds':300}]"), "spec", "tolerations");
  EXPECT_EQ(eviction_time(patient, lost, kNow + 1min), kNow + 300s);
  Json loyal = pod("p");
  set(loyal, json("[{'operator':'Exists'}]"), "spec", "tolerations");
  EXPECT_EQ(eviction_time(loyal, lost, kNow), std::nullopt);
  EXPECT_EQ(eviction_time(plain, node("n1", "True"), kNow), std::nullopt);
}

TEST(NodePlan, NothingIsEvictedWhenEverythingLooksDead) {
  auto evicting = [](std::vector<std::pair<const char*, const char*>> states) {
    std::vector<ObjectPtr> nodes;
    for (auto [ready, zone] : states) nodes.push_back(shared(node("n" + std::to_string(nodes.size()), ready, zone)));
    return zones_that_evict(nodes);
  };
  EXPECT_TRUE(evicting({{"Unknown", "a"}}).empty());
  EXPECT_TRUE(evicting({{"Unknown", "a"}, {"Unknown", "b"}}).empty());
  EXPECT_EQ(evicting({{"Unknown", "a"}, {"True", "b"}}).size(), 2u);
  EXPECT_EQ(evicting({{"Unknown", "a"}, {"Unknown", "a"}, {"Unknown", "a"}, {"True", "a"}}).size(), 0u);
  EXPECT_EQ(evicting({{"Unknown", "a"}, {"Unknown", "a"}, {"True", "a"}, {"True", "a"}}).size(), 1u);
}

Json budget(std::string spec) {
  return json("{'apiVersion':'policy/v1','kind':'PodDisruptionBudget','metadata':{'name':'b','namespace':'bank','generation':2},'spec':" + spec + "}");
}
std::array<int64_t, 4> figures(const Json& b) {
  return {integer(b, "status", "expectedPods"), integer(b, "status", "desiredHealthy"), integer(b, "status", "currentHealthy"),
          integer(b, "status", "disruptionsAllowed")};
}
using Figures = std::array<int64_t, 4>;

TEST(BudgetPlan, CountsWhatMayBeDisrupted) {
  std::vector<ObjectPtr> pods = {shared(pod("a")), shared(pod("b")), shared(pod("c", {.ready = false}))};
  EXPECT_EQ(figures(plan_budget(budget("{'minAvailable':1}"), pods, 0, kNow)->budget), (Figures{3, 1, 2, 1}));
  EXPECT_EQ(figures(plan_budget(budget("{'minAvailable':'50%'}"), pods, 3, kNow)->budget), (Figures{3, 2, 2, 0}));
  EXPECT_EQ(figures(plan_budget(budget("{'maxUnavailable':1}"), pods, 5, kNow)->budget), (Figures{5, 4, 2, 0}));
  EXPECT_EQ(figures(plan_budget(budget("{'maxUnavailable':'34%'}"), pods, 3, kNow)->budget), (Figures{3, 1, 2, 1}));
  Json planned = plan_budget(budget("{'minAvailable':1}"), pods, 0, kNow)->budget;
  EXPECT_TRUE(api::condition_is_true(planned, "DisruptionAllowed"));
  EXPECT_EQ(integer(planned, "status", "observedGeneration"), 2);
  EXPECT_EQ(plan_budget(planned, pods, 0, kNow)->budget, planned);
}

TEST(BudgetPlan, EvictedPodIsNotHealthyUntilItIsGivenUp) {
  Json evicting = budget("{'minAvailable':1}");
  set(evicting, Json(rfc3339(kNow)), "status", "disruptedPods", "a");
  std::vector<ObjectPtr> pods = {shared(pod("a")), shared(pod("b"))};
  auto plan = plan_budget(evicting, pods, 0, kNow + 1min);
  EXPECT_EQ(figures(plan->budget), (Figures{2, 1, 1, 0}));
  EXPECT_EQ(plan->again_after, 1min);
  auto later = plan_budget(evicting, pods, 0, kNow + 3min);
  EXPECT_EQ(figures(later->budget), (Figures{2, 1, 2, 1}));
  EXPECT_EQ(find(later->budget, "status", "disruptedPods"), nullptr);
}

TEST(DoomedPods, AreThoseNobodyWillEnd) {
  Json unplaced = pod("unplaced", {.phase = "Pending", .node = ""});
  set(unplaced, Json(rfc3339(kNow)), "metadata", "deletionTimestamp");
  std::vector<ObjectPtr> pods = {shared(pod("runs")), shared(pod("lost", {.node = "gone"})), shared(unplaced),
                                 shared(pod("old", {.phase = "Failed", .age = 5h})), shared(pod("new", {.phase = "Succeeded", .age = 1h}))};
  std::set<std::string> names;
  for (const auto& doomed : doomed_pods(pods, {"gone"}, 1)) names.emplace(api::name_of(*doomed.pod));
  EXPECT_EQ(names, (std::set<std::string>{"lost", "unplaced", "old"}));
}

TEST(NamespaceConditions, SayWhatIsLeft) {
  Json ns = json("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'bank'}}");
  Json waiting = with_deletion_conditions(ns, {{"pods.", 2, {{"bank.example/keep", 1}}}}, {}, kNow);
  EXPECT_EQ(str(*api::condition(waiting, "NamespaceContentRemaining"), "message"),
            "Some resources are remaining: pods. has 2 resource instances");
  EXPECT_EQ(str(*api::condition(waiting, "NamespaceFinalizersRemaining"), "message"),
            "Some content in the namespace has finalizers remaining: bank.example/keep in 1 resource instances");
  EXPECT_FALSE(api::condition_is_true(waiting, "NamespaceDeletionContentFailure"));
}

class Graph : public ::testing::Test {
 protected:
  std::set<std::string> put(const char* uid, std::vector<std::pair<const char*, bool>> owners, const char* finalizer = nullptr) {
    Json object = json("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'namespace':'bank'}}");
    set(object, Json(uid), "metadata", "uid");
    set(object, Json(uid), "metadata", "name");
    JsonArray references;
    for (auto [owner, blocks] : owners)
      references.push_back(JsonObject{{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"name", owner}, {"uid", owner}, {"blockOwnerDeletion", blocks}});
    set(object, std::move(references), "metadata", "ownerReferences");
    if (finalizer != nullptr) {
      set(object, JsonArray{Json(finalizer)}, "metadata", "finalizers");
      set(object, Json(rfc3339(kNow)), "metadata", "deletionTimestamp");
    }
    return graph.put(client::resources::kConfigMaps, object);
  }
  using Uids = std::set<std::string>;
  OwnerGraph graph;
};

TEST_F(Graph, EndOfAnOwnerConcernsItsDependents) {
  EXPECT_EQ(put("child", {{"parent", true}}), (Uids{"child"})) << "the owner may be gone already";
  EXPECT_EQ(put("parent", {}), Uids());
  EXPECT_EQ(put("child", {{"parent", true}}), Uids()) << "nothing changed";
  EXPECT_EQ(graph.remove("parent"), (Uids{"child"}));
  EXPECT_EQ(graph.remove("child"), (Uids{"parent"}));
  EXPECT_EQ(graph.size(), 0u);
}

TEST_F(Graph, ForegroundDeletionWaitsForBlockingDependentsOnly) {
  put("parent", {});
  put("blocks", {{"parent", true}});
  put("other", {{"parent", false}});
  EXPECT_EQ(put("parent", {}, "foregroundDeletion"), (Uids{"parent", "blocks", "other"}));
  EXPECT_EQ(graph.blocking_dependents("parent").size(), 1u);
  EXPECT_EQ(graph.remove("blocks"), (Uids{"parent"}));
  EXPECT_TRUE(graph.blocking_dependents("parent").empty());
}

TEST_F(Graph, ObjectGoesWithTheLastOfItsOwners) {
  put("child", {{"a", true}, {"b", true}});
  const OwnerNode& child = *graph.find("child");
  using State = OwnerState;
  using Action = Collection::Action;
  EXPECT_EQ(collect(child, {{"a", State::kPresent}, {"b", State::kPresent}}, false).action, Action::kKeep);
  auto one = collect(child, {{"a", State::kPresent}, {"b", State::kAbsent}}, false);
  EXPECT_EQ(one.action, Action::kDropReferences);
  EXPECT_EQ(one.drop, (Uids{"b"}));
  auto none = collect(child, {{"a", State::kAbsent}, {"b", State::kAbsent}}, true);
  EXPECT_EQ(none.action, Action::kDelete);
  EXPECT_EQ(none.policy, "Background");
  EXPECT_EQ(collect(child, {{"a", State::kWaiting}, {"b", State::kAbsent}}, true).policy, "Foreground");
}

}  // namespace
}  // namespace rs::control
