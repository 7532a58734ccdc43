// Whole clusters of controllers, scheduler and simulated nodes over a real API server and store, on virtual time.
#include <gtest/gtest.h>

#include "control/controllers.h"
#include "control/scheduler.h"
#include "sim_kubelet.h"

namespace rs::sim {
namespace {

using namespace std::chrono_literals;
using async::awaitable;
using client::resources::kDeployments;
using client::resources::kEndpoints;
using client::resources::kEndpointSlices;
using client::resources::kJobs;
using client::resources::kNamespaces;
using client::resources::kNodes;
using client::resources::kPodDisruptionBudgets;
using client::resources::kPods;
using client::resources::kReplicaSets;
using client::resources::kServiceAccounts;
using client::resources::kServices;

Json json(std::string text) {
  for (char& c : text)
    if (c == '\'') c = '"';
  auto parsed = parse_json(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? std::move(*parsed) : Json();
}

class Control : public ::testing::Test {
 protected:
  Control()
      : user(cluster.client("user")),
        informers(cluster.client("control")),
        controllers(cluster.client("controllers"), informers, {.root_ca = "PEM"}),
        scheduler(cluster.client("scheduler"), informers) {}

  awaitable<void> set_up(int nodes) {
    for (int i = 1; i <= nodes; ++i)
      kubelets.push_back(std::make_unique<SimKubelet>(cluster, fmt::format("n{}", i), i % 2 == 0 ? "b" : "a"));
    informers.start();
    controllers.start();
    scheduler.start();
    for (auto& kubelet : kubelets) kubelet->start();
    Json ns = json("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'bank'}}");
    EXPECT_TRUE(co_await user.create(kNamespaces, ns));
    bool ready = co_await until("service account", [this] { return informers.of(kServiceAccounts).get("bank", "default") != nullptr; });
    EXPECT_TRUE(ready);
  }
  awaitable<void> tear_down() {
    for (auto& kubelet : kubelets) co_await kubelet->stop();
    co_await scheduler.stop();
    co_await controllers.stop();
    co_await informers.stop();
  }
  awaitable<bool> until(std::string what, std::function<bool()> holds, Duration limit = 60s) {
    MonoTime deadline = cluster.loop().now() + limit;
    while (!holds()) {
      if (cluster.loop().now() > deadline) {
        ADD_FAILURE() << "never: " << what;
        co_return false;
      }
      co_await cluster.loop().sleep(5ms);
    }
    co_return true;
  }
  void run(awaitable<void> workload) { ASSERT_TRUE(cluster.run(std::move(workload))) << "the workload did not end"; }

  Json deployment(int replicas) {
    Json out = json("{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'pay','namespace':'bank'},'spec':{"
                    "'selector':{'matchLabels':{'app':'pay'}},'strategy':{'rollingUpdate':{'maxSurge':1,'maxUnavailable':0}},"
                    "'template':{'metadata':{'labels':{'app':'pay'}},'spec':{'containers':[{'name':'c','image':'v1',"
                    "'ports':[{'name':'web','containerPort':8080}]}]}}}}");
    set(out, replicas, "spec", "replicas");
    return out;
  }
  std::vector<client::ObjectPtr> ready_pods() {
    std::vector<client::ObjectPtr> out;
    for (auto& pod : informers.of(kPods).in_namespace("bank"))
      if (api::condition_is_true(*pod, "Ready") && !api::is_deleting(*pod)) out.push_back(pod);
    return out;
  }
  bool rolled_out(int replicas) {
    auto found = informers.of(kDeployments).get("bank", "pay");
    if (found == nullptr) return false;
    const Json* progressing = api::condition(*found, "Progressing");
    return integer(*found, "status", "observedGeneration") == integer(*found, "metadata", "generation") &&
           integer(*found, "status", "availableReplicas") == replicas && integer(*found, "status", "replicas") == replicas &&
           integer(*found, "status", "updatedReplicas") == replicas && progressing != nullptr &&
           str(*progressing, "reason") == "NewReplicaSetAvailable";
  }
  size_t ready_endpoints() {
    size_t count = 0;
    for (auto& slice : informers.of(kEndpointSlices).in_namespace("bank"))
      for (const Json& endpoint : array(*slice, "endpoints")) count += boolean(endpoint, "conditions", "ready") ? 1 : 0;
    return count;
  }

  SimCluster cluster{7};
  client::Client& user;
  client::Informers informers;
  control::Controllers controllers;
  control::Scheduler scheduler;
  std::vector<std::unique_ptr<SimKubelet>> kubelets;
};

class Rollout : public Control {
 public:
  awaitable<void> workload() {
    co_await set_up(2);
    Json service = json("{'apiVersion':'v1','kind':'Service','metadata':{'name':'pay','namespace':'bank'},'spec':{"
                        "'selector':{'app':'pay'},'ports':[{'port':80,'targetPort':'web'}]}}");
    EXPECT_TRUE(co_await user.create(kServices, service));
    EXPECT_TRUE(co_await user.create(kDeployments, deployment(4)));
    MonoTime begun = cluster.loop().now();
    co_await until("rolled out", [this] { return rolled_out(4); });
    EXPECT_LT(cluster.loop().now() - begun, 1s) << "nothing may wait for a poll";
    std::map<std::string, int> per_node;
    for (auto& pod : ready_pods()) ++per_node[std::string(str(*pod, "spec", "nodeName"))];
    EXPECT_EQ(per_node, (std::map<std::string, int>{{"n1", 2}, {"n2", 2}}));
    co_await until("endpoints", [this] { return ready_endpoints() == 4; }, 1s);

    size_t fewest = 100;
    informers.of(kEndpointSlices).on_change([&](const api::ObjectKey&, const client::ObjectPtr&, const client::ObjectPtr&) {
      fewest = std::min(fewest, ready_endpoints());
    });
    Json patch = json("{'spec':{'template':{'spec':{'containers':[{'name':'c','image':'v2'}]}}}}");
    EXPECT_TRUE(co_await user.patch(kDeployments, {"bank", "pay"}, client::PatchType::kStrategic, std::move(patch)));
    begun = cluster.loop().now();
    co_await until("rolled", [this] {
      auto found = informers.of(kDeployments).get("bank", "pay");
      return integer(*found, "metadata", "generation") == 2 && rolled_out(4) && ready_pods().size() == 4;
    });
    EXPECT_LT(cluster.loop().now() - begun, 3s);
    EXPECT_GE(fewest, 4u);
    for (auto& pod : ready_pods()) EXPECT_EQ(str(array(*pod, "spec", "containers").at(0), "image"), "v2");
    auto now = informers.of(kDeployments).get("bank", "pay");
    EXPECT_EQ(api::annotation(*now, "deployment.kubernetes.io/revision"), "2");
    EXPECT_EQ(informers.of(kReplicaSets).in_namespace("bank").size(), 2u);

    co_await until("quiet", [this] { return informers.of(kPods).in_namespace("bank").size() == 4; });
    co_await cluster.loop().sleep(1s);
    auto before = resource_versions();
    co_await cluster.loop().sleep(5min);
    EXPECT_EQ(resource_versions(), before) << "a cluster at rest is not written to";

    client::DeleteOptions options;
    options.propagation_policy = "Background";
    EXPECT_TRUE(co_await user.remove(kDeployments, {"bank", "pay"}, std::move(options)));
    co_await until("collected", [this] {
      return informers.of(kPods).in_namespace("bank").empty() && informers.of(kReplicaSets).in_namespace("bank").empty();
    }, 5s);
    co_await tear_down();
  }
  std::map<std::string, int64_t> resource_versions() {
    std::map<std::string, int64_t> out;
    for (const auto* informer : informers.all())
      if (informer->resource().plural != "leases" && informer->resource().plural != "nodes")
        for (const auto& [key, object] : informer->objects())
          out[informer->resource().plural + "/" + api::to_string(key)] = api::resource_version_of(*object);
    return out;
  }
};
TEST_F(Rollout, DeploysRollsRestsAndIsCollected) { run(workload()); }

class Unschedulable : public Control {
 public:
  awaitable<void> workload() {
    co_await set_up(1);
    Json big = deployment(1);
    set(big.at("spec").at("template").at("spec").at("containers").at(0), Json("3"), "resources", "requests", "cpu");
    set(big, 2, "spec", "replicas");
    EXPECT_TRUE(co_await user.create(kDeployments, std::move(big)));
    auto stuck = [this]() -> client::ObjectPtr {
      for (auto& pod : informers.of(kPods).in_namespace("bank"))
        if (const Json* c = api::condition(*pod, "PodScheduled"); c != nullptr && str(*c, "status") == "False") return pod;
      return nullptr;
    };
    co_await until("one pod does not fit", [&] { return stuck() != nullptr && ready_pods().size() == 1; });
    auto pod = stuck();
    if (pod == nullptr) co_return;
    EXPECT_EQ(str(*api::condition(*pod, "PodScheduled"), "reason"), "Unschedulable");
    EXPECT_EQ(str(*api::condition(*pod, "PodScheduled"), "message"), "0/1 nodes are available: 1 Insufficient cpu.");
    kubelets.push_back(std::make_unique<SimKubelet>(cluster, "n2", "b"));
    kubelets.back()->start();
    co_await until("runs on the new node", [&] { return ready_pods().size() == 2; }, 2s);
    co_await tear_down();
  }
};
TEST_F(Unschedulable, PodRunsAsSoonAsThereIsRoom) { run(workload()); }

class Namespaces : public Control {
 public:
  awaitable<void> workload() {
    co_await set_up(1);
    EXPECT_TRUE(co_await user.create(kDeployments, deployment(3)));
    co_await until("rolled out", [this] { return rolled_out(3); });
    EXPECT_TRUE(co_await user.remove(kNamespaces, {"", "bank"}));
    co_await until("gone", [this] { return informers.of(kNamespaces).get("", "bank") == nullptr; }, 5s);
    EXPECT_TRUE(informers.of(kPods).in_namespace("bank").empty());
    co_await tear_down();
  }
};
TEST_F(Namespaces, DeletionTakesEverythingWithIt) { run(workload()); }

class LostNode : public Control {
 public:
  awaitable<void> workload() {
    co_await set_up(2);
    Json service = json("{'apiVersion':'v1','kind':'Service','metadata':{'name':'pay','namespace':'bank'},'spec':{"
                        "'selector':{'app':'pay'},'ports':[{'port':80,'targetPort':'web'}]}}");
    EXPECT_TRUE(co_await user.create(kServices, service));
    EXPECT_TRUE(co_await user.create(kDeployments, deployment(4)));
    co_await until("endpoints", [this] { return ready_endpoints() == 4; });
    kubelets[0]->silent = true;
    co_await until("node is unreachable", [this] {
      auto node = informers.of(kNodes).get("", "n1");
      return str(*api::condition(*node, "Ready"), "status") == "Unknown";
    }, 1min);
    co_await until("its endpoints are not ready", [this] { return ready_endpoints() == 2; }, 1s);
    // The default toleration is 300 s; then pods are replaced elsewhere.
    co_await until("replaced", [this] { return ready_endpoints() == 4; }, 6min);
    for (auto& pod : ready_pods()) EXPECT_EQ(str(*pod, "spec", "nodeName"), "n2");
    kubelets[0]->silent = false;
    co_await until("comes back", [this] {
      auto node = informers.of(kNodes).get("", "n1");
      return api::condition_is_true(*node, "Ready") && array(*node, "spec", "taints").empty();
    }, 1min);
    co_await tear_down();
  }
};
TEST_F(LostNode, PodsAreTakenOutOfServiceAndReplaced) { run(workload()); }

class Jobs : public Control {
 public:
  Json job(const char* name, const char* ends, std::string spec) {
    Json out = json("{'apiVersion':'batch/v1','kind':'Job','metadata':{'namespace':'bank'},'spec':" + spec + "}");
    set(out, Json(name), "metadata", "name");
    set(out, json("{'metadata':{'labels':{}},'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'v1'}]}}"), "spec", "template");
    set(out, Json(ends), "spec", "template", "metadata", "labels", "ends");
    return out;
  }
  bool has(const char* name, const char* condition) {
    auto found = informers.of(kJobs).get("bank", name);
    return found != nullptr && api::condition_is_true(*found, condition);
  }
  awaitable<void> workload() {
    co_await set_up(1);
    EXPECT_TRUE(co_await user.create(kJobs, job("good", "Succeeded", "{'completions':5,'parallelism':2,'ttlSecondsAfterFinished':100}")));
    EXPECT_TRUE(co_await user.create(kJobs, job("indexed", "Succeeded", "{'completions':3,'parallelism':3,'completionMode':'Indexed'}")));
    EXPECT_TRUE(co_await user.create(kJobs, job("bad", "Failed", "{'completions':1,'backoffLimit':1}")));
    co_await until("complete", [this] { return has("good", "Complete") && has("indexed", "Complete"); }, 5s);
    co_await until("failed", [this] { return has("bad", "Failed"); }, 20s);
    auto good = informers.of(kJobs).get("bank", "good");
    EXPECT_EQ(integer(*good, "status", "succeeded"), 5);
    EXPECT_EQ(str(*informers.of(kJobs).get("bank", "indexed"), "status", "completedIndexes"), "0-2");
    EXPECT_EQ(integer(*informers.of(kJobs).get("bank", "bad"), "status", "failed"), 2);
    EXPECT_EQ(informers.of(kPods).owned_by(api::uid_of(*good)).size(), 5u);
    for (auto& pod : informers.of(kPods).in_namespace("bank")) EXPECT_TRUE(array(*pod, "metadata", "finalizers").empty());
    co_await until("time to live has passed", [this] { return informers.of(kJobs).get("bank", "good") == nullptr; }, 110s);
    EXPECT_TRUE(informers.of(kPods).owned_by(api::uid_of(*good)).empty());

    EXPECT_TRUE(co_await user.create(kJobs, job("long", "", "{'completions':2,'parallelism':2}")));
    co_await until("runs", [this] { return ready_pods().size() == 2; });
    EXPECT_TRUE(co_await user.remove(kJobs, {"bank", "long"}, {.propagation_policy = "Background"}));
    co_await until("collected with its tracked pods", [this] { return ready_pods().empty(); }, 5s);
    co_await until("gone", [this] {
      for (auto& pod : informers.of(kPods).in_namespace("bank")) if (api::is_deleting(*pod)) return false;
      return true;
    }, 5s);
    co_await tear_down();
  }
};
TEST_F(Jobs, RunToTheirEnds) { run(workload()); }

class Owners : public Control {
 public:
  awaitable<void> workload() {
    co_await set_up(1);
    EXPECT_TRUE(co_await user.create(kDeployments, deployment(2)));
    co_await until("rolled out", [this] { return rolled_out(2); });
    EXPECT_TRUE(co_await user.remove(kDeployments, {"bank", "pay"}, {.propagation_policy = "Orphan"}));
    co_await until("owner gone", [this] { return informers.of(kDeployments).get("bank", "pay") == nullptr; }, 5s);
    EXPECT_EQ(ready_pods().size(), 2u);
    auto sets = informers.of(kReplicaSets).in_namespace("bank");
    EXPECT_EQ(sets.size(), 1u);
    EXPECT_TRUE(api::owners_of(*sets.at(0)).empty());

    EXPECT_TRUE(co_await user.create(kDeployments, deployment(2)));
    co_await until("adopted", [this] {
      auto now = informers.of(kReplicaSets).in_namespace("bank");
      return now.size() == 1 && !api::owners_of(*now.at(0)).empty() && rolled_out(2);
    }, 5s);
    bool owner_went_first = false;
    informers.of(kDeployments).on_change([&](const api::ObjectKey&, const client::ObjectPtr&, const client::ObjectPtr& now) {
      if (now == nullptr) owner_went_first = !informers.of(kPods).in_namespace("bank").empty();
    });
    EXPECT_TRUE(co_await user.remove(kDeployments, {"bank", "pay"}, {.propagation_policy = "Foreground"}));
    co_await until("all gone", [this] {
      return informers.of(kDeployments).get("bank", "pay") == nullptr && informers.of(kReplicaSets).in_namespace("bank").empty() &&
             informers.of(kPods).in_namespace("bank").empty();
    }, 5s);
    EXPECT_FALSE(owner_went_first);
    co_await tear_down();
  }
};
TEST_F(Owners, OrphanedAdoptedAndDeletedInTheForeground) { run(workload()); }

class Recreate : public Control {
 public:
  awaitable<void> workload() {
    co_await set_up(1);
    Json wanted = deployment(3);
    set(wanted, json("{'type':'Recreate'}"), "spec", "strategy");
    EXPECT_TRUE(co_await user.create(kDeployments, wanted));
    co_await until("rolled out", [this] { return rolled_out(3); });
    bool mixed = false;
    informers.of(kPods).on_change([&](const api::ObjectKey&, const client::ObjectPtr&, const client::ObjectPtr&) {
      std::set<std::string> images;
      for (auto& pod : informers.of(kPods).in_namespace("bank"))
        images.emplace(str(array(*pod, "spec", "containers").at(0), "image"));
      mixed |= images.size() > 1;
    });
    Json patch = json("{'spec':{'template':{'spec':{'containers':[{'name':'c','image':'v2'}]}}}}");
    EXPECT_TRUE(co_await user.patch(kDeployments, {"bank", "pay"}, client::PatchType::kStrategic, std::move(patch)));
    co_await until("rolled", [this] {
      return integer(*informers.of(kDeployments).get("bank", "pay"), "metadata", "generation") == 2 && rolled_out(3);
    }, 5s);
    EXPECT_FALSE(mixed);
    co_await tear_down();
  }
};
TEST_F(Recreate, NeverRunsTwoVersionsAtOnce) { run(workload()); }

class Budgets : public Control {
 public:
  awaitable<void> workload() {
    co_await set_up(1);
    Json budget = json("{'apiVersion':'policy/v1','kind':'PodDisruptionBudget','metadata':{'name':'pay','namespace':'bank'},"
                       "'spec':{'maxUnavailable':1,'selector':{'matchLabels':{'app':'pay'}}}}");
    EXPECT_TRUE(co_await user.create(kPodDisruptionBudgets, budget));
    EXPECT_TRUE(co_await user.create(kDeployments, deployment(3)));
    co_await until("one disruption allowed", [this] {
      auto found = informers.of(kPodDisruptionBudgets).get("bank", "pay");
      return found != nullptr && integer(*found, "status", "disruptionsAllowed") == 1 &&
             integer(*found, "status", "desiredHealthy") == 2 && integer(*found, "status", "currentHealthy") == 3;
    });
    co_await tear_down();
  }
};
TEST_F(Budgets, FollowTheirPods) { run(workload()); }

}  // namespace
}  // namespace rs::sim
