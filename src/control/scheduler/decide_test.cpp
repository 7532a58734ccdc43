// Expected values: the plugins' tests and messages in k8s pkg/scheduler/framework/plugins (v1.32).
#include "control/scheduler/decide.h"

#include "control/controllers/testing.h"
#include "control/scheduler/queue.h"

namespace rs::control {
namespace {
using namespace testing;
using namespace std::chrono_literals;

class Decide : public ::testing::Test {
 protected:
  Json node(const std::string& name, const std::string& zone = "a", const char* cpu = "4") {
    Json out = json("{'apiVersion':'v1','kind':'Node','metadata':{'labels':{}},'status':{'allocatable':{'memory':'8Gi','pods':'10'}}}");
    set(out, Json(name), "metadata", "name");
    set(out, Json(name), "metadata", "labels", "kubernetes.io/hostname");
    set(out, Json(zone), "metadata", "labels", "topology.kubernetes.io/zone");
    set(out, Json(cpu), "status", "allocatable", "cpu");
    return out;
  }
  void add(Json object) { cluster.set_node(shared(std::move(object))); }
  Json wanting(const std::string& name, const char* cpu = "1", const char* memory = "1Gi") {
    Json out = pod(name, {.phase = "Pending", .node = "", .ready = false});
    set(out, JsonArray{JsonObject{{"name", "c"}, {"resources", JsonObject{{"requests", JsonObject{{"cpu", cpu}, {"memory", memory}}}}}}},
        "spec", "containers");
    return out;
  }
  Json with_spec(Json object, const char* field, std::string value) {
    set(object, json(std::move(value)), "spec", std::string_view(field));
    return object;
  }
  void place(const Json& object, const std::string& on) { cluster.place(read_pod(shared(object)), on); }
  Decision decided(const Json& object) { return decide(*read_pod(shared(object)), cluster, random); }
  std::string chosen(const Json& object) { return decided(object).node; }
  std::string why_not(const Json& object) { return decided(object).message; }

  Cluster cluster;
  Random random{1};
};

TEST_F(Decide, SaysSoWhenThereAreNoNodes) { EXPECT_EQ(why_not(wanting("p")), "no nodes available to schedule pods"); }

TEST_F(Decide, CountsRequestsOfPlacedPods) {
  add(node("n1", "a", "2"));
  EXPECT_EQ(chosen(wanting("p", "2")), "n1");
  place(wanting("q", "500m"), "n1");
  EXPECT_EQ(why_not(wanting("p", "2")), "0/1 nodes are available: 1 Insufficient cpu.");
  EXPECT_EQ(why_not(wanting("p", "2", "9Gi")), "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.");
  cluster.remove_pod({"bank", "q"});
  EXPECT_EQ(chosen(wanting("p", "2")), "n1");
}

TEST_F(Decide, CountsPods) {
  add(node("n1"));
  for (int i = 0; i < 10; ++i) place(wanting("q" + std::to_string(i), "1m", "1Mi"), "n1");
  EXPECT_EQ(why_not(wanting("p")), "0/1 nodes are available: 1 Too many pods.");
}

TEST_F(Decide, InitContainersCountAtTheirPeakAndSidecarsAlways) {
  Json object = wanting("p", "1");
  set(object, json("[{'name':'side','restartPolicy':'Always','resources':{'requests':{'cpu':'500m'}}},"
                   "{'name':'init','resources':{'requests':{'cpu':'2'}}}]"), "spec", "initContainers");
  EXPECT_EQ(read_pod(shared(object))->requests.milli_cpu, 2500);
}

TEST_F(Decide, RespectsTaintsCordonsAndSelectors) {
  add(with_spec(node("n1"), "taints", "[{'key':'bank','value':'core','effect':'NoSchedule'}]"));
  add(with_spec(node("n2"), "unschedulable", "true"));
  Json picky = with_spec(wanting("p"), "nodeSelector", "{'disk':'ssd'}");
  add(node("n3"));
  EXPECT_EQ(chosen(wanting("p")), "n3");
  EXPECT_EQ(why_not(picky),
            "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
            "1 node(s) had untolerated taint {bank: core}, 1 node(s) were unschedulable.");
  Json tolerant = with_spec(wanting("p"), "tolerations", "[{'key':'bank','operator':'Equal','value':'core'}]");
  tolerant = with_spec(tolerant, "nodeSelector", "{'kubernetes.io/hostname':'n1'}");
  EXPECT_EQ(chosen(tolerant), "n1");
}

TEST_F(Decide, NodeAffinityRequiresAndPrefers) {
  add(node("n1", "a"));
  add(node("n2", "b"));
  EXPECT_EQ(chosen(with_spec(wanting("p"), "affinity",
                             "{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':["
                             "{'matchExpressions':[{'key':'topology.kubernetes.io/zone','operator':'NotIn','values':['a']}]}]}}}")),
            "n2");
  EXPECT_EQ(chosen(with_spec(wanting("p"), "affinity",
                             "{'nodeAffinity':{'preferredDuringSchedulingIgnoredDuringExecution':[{'weight':10,'preference':"
                             "{'matchExpressions':[{'key':'topology.kubernetes.io/zone','operator':'In','values':['b']}]}}]}}")),
            "n2");
  EXPECT_EQ(chosen(with_spec(wanting("p"), "affinity",
                             "{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':["
                             "{'matchFields':[{'key':'metadata.name','operator':'In','values':['n1']}]}]}}}")),
            "n1");
}

TEST_F(Decide, HostPortsAreUsedOnce) {
  add(node("n1"));
  Json server = wanting("q");
  set(server, json("[{'name':'c','ports':[{'containerPort':80,'hostPort':80}]}]"), "spec", "containers");
  place(server, "n1");
  Json other = server;
  set(other, Json("p"), "metadata", "name");
  EXPECT_EQ(why_not(other), "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.");
}

TEST_F(Decide, AntiAffinityKeepsReplicasApartInBothDirections) {
  add(node("n1", "a"));
  add(node("n2", "b"));
  auto apart = "{'podAntiAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{'labelSelector':{'matchLabels':{'app':'pay'}},"
               "'topologyKey':'kubernetes.io/hostname'}]}}";
  place(with_spec(wanting("q"), "affinity", apart), "n1");
  EXPECT_EQ(chosen(with_spec(wanting("p"), "affinity", apart)), "n2");
  EXPECT_EQ(chosen(wanting("plain")), "n2");  // q does not want it near
  place(with_spec(wanting("r"), "affinity", apart), "n2");
  EXPECT_EQ(why_not(with_spec(wanting("p"), "affinity", apart)),
            "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.");
  EXPECT_EQ(why_not(wanting("plain")), "0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules.");
}

TEST_F(Decide, AffinityFollowsOthersAndLetsTheFirstIn) {
  add(node("n1", "a"));
  add(node("n2", "b"));
  auto near = [](const char* app) {
    return fmt::format("{{'podAffinity':{{'requiredDuringSchedulingIgnoredDuringExecution':[{{'labelSelector':"
                       "{{'matchLabels':{{'app':'{}'}}}},'topologyKey':'topology.kubernetes.io/zone'}}]}}}}", app);
  };
  EXPECT_NE(chosen(with_spec(wanting("p"), "affinity", near("pay"))), "");
  EXPECT_EQ(why_not(with_spec(wanting("p"), "affinity", near("ledger"))),
            "0/2 nodes are available: 2 node(s) didn't match pod affinity rules.");
  Json ledger = wanting("l");
  set(ledger, Json("ledger"), "metadata", "labels", "app");
  place(ledger, "n2");
  EXPECT_EQ(chosen(with_spec(wanting("p"), "affinity", near("ledger"))), "n2");
}

TEST_F(Decide, SpreadConstraintsLimitTheSkew) {
  add(node("n1", "a"));
  add(node("n2", "b"));
  auto spread = "[{'maxSkew':1,'topologyKey':'topology.kubernetes.io/zone','whenUnsatisfiable':'DoNotSchedule',"
                "'labelSelector':{'matchLabels':{'app':'pay'}}}]";
  place(wanting("q"), "n1");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(chosen(with_spec(wanting("p"), "topologySpreadConstraints", spread)), "n2");
  add(with_spec(node("n2", "b"), "unschedulable", "true"));
  EXPECT_EQ(why_not(with_spec(wanting("p"), "topologySpreadConstraints", spread)),
            "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) were unschedulable.");
}

TEST_F(Decide, SpreadsReplicasOfOneOwnerByItself) {
  for (const char* name : {"n1", "n2", "n3"}) add(node(name, "a"));
  std::map<std::string, int> per_node;
  for (int i = 0; i < 6; ++i) {
    Json replica = wanting("p" + std::to_string(i), "100m", "100Mi");
    set(replica, json("[{'apiVersion':'apps/v1','kind':'ReplicaSet','name':'r','uid':'r','controller':true}]"), "metadata", "ownerReferences");
    std::string where = chosen(replica);
    ++per_node[where];
    place(replica, where);
  }
  EXPECT_EQ(per_node, (std::map<std::string, int>{{"n1", 2}, {"n2", 2}, {"n3", 2}}));
}

TEST(SchedulingQueue, HighestPriorityFirstThenFirstCome) {
  SchedulingQueue queue;
  auto info = [](const char* name, int priority) {
    Json object = pod(name);
    set(object, priority, "spec", "priority");
    return read_pod(shared(object));
  };
  MonoTime now{1s};
  queue.put(info("a", 0), now);
  queue.put(info("b", 0), now);
  queue.put(info("c", 9), now);
  for (const char* name : {"c", "a", "b"}) EXPECT_EQ(queue.pop(now)->key.name, name);
  EXPECT_EQ(queue.pop(now), nullptr);
}

TEST(SchedulingQueue, PodThatFitsNowhereWaitsForAChangeAndItsBackoff) {
  SchedulingQueue queue;
  MonoTime now{1s};
  auto info = read_pod(shared(pod("a")));
  queue.failed(info, now);
  EXPECT_EQ(queue.pop(now + 1s), nullptr);
  queue.put(info, now + 1s);  // only its status changed
  EXPECT_EQ(queue.pop(now + 1s), nullptr);
  queue.cluster_changed(now);
  EXPECT_EQ(queue.pop(now), nullptr);
  EXPECT_EQ(queue.next(), now + SchedulingQueue::kFirstBackoff);
  EXPECT_NE(queue.pop(now + SchedulingQueue::kFirstBackoff), nullptr);
  queue.failed(info, now);
  EXPECT_EQ(queue.next(), now + SchedulingQueue::kLongestWait);
  queue.remove(info->key);
  EXPECT_EQ(queue.size(), 0u);
}

}  // namespace
}  // namespace rs::control
