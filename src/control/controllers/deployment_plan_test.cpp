// Expected values: k8s pkg/controller/deployment tests and reference section A23. A small world plays the API server and
// the ReplicaSet controller, so that whole rollouts run without either.
#include "control/controllers/deployment_plan.h"

#include <map>

#include "control/controllers/deployment_replicas.h"
#include "control/controllers/testing.h"

namespace rs::control {
namespace {
using namespace testing;
using namespace std::chrono_literals;

class World {
 public:
  World() {
    deployment = json("{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'pay','namespace':'bank','uid':'d',"
                      "'generation':1},'spec':{'replicas':4,'revisionHistoryLimit':2,'progressDeadlineSeconds':600,"
                      "'selector':{'matchLabels':{'app':'pay'}},'strategy':{'type':'RollingUpdate',"
                      "'rollingUpdate':{'maxSurge':1,'maxUnavailable':0}},"
                      "'template':{'metadata':{'labels':{'app':'pay'}},'spec':{'containers':[{'name':'c','image':'v1'}]}}}}");
  }
  void set_image(const char* image) {
    rs::set(deployment.at("spec").at("template").at("spec").at("containers").at(0), Json(image), "image");
    bump();
  }
  void bump() { rs::set(deployment, integer(deployment, "metadata", "generation") + 1, "metadata", "generation"); }
  std::vector<ObjectPtr> list() const {
    std::vector<ObjectPtr> out;
    for (const auto& [name, object] : sets) out.push_back(shared(object));
    return out;
  }
  // One reconcile and its writes. False when it wrote nothing.
  bool step(bool old_pods_running = false) {
    last = plan_deployment(deployment, list(), old_pods_running, now);
    if (last.create) {
      Json object = last.create->object;
      rs::set(object, Json(rfc3339(now)), "metadata", "creationTimestamp");
      rs::set(object, Json("uid-" + std::string(api::name_of(object))), "metadata", "uid");
      sets[std::string(api::name_of(object))] = object;
    }
    for (const auto& write : last.update) sets[std::string(api::name_of(write.object))] = write.object;
    for (const auto& key : last.remove) sets.erase(key.name);
    if (!last.revision.empty()) rs::set(deployment, Json(last.revision), "metadata", "annotations", kRevision);
    if (last.status_changed) rs::set(deployment, last.status, "status");
    now = now + 1s;
    return last.create || !last.update.empty() || !last.remove.empty() || !last.revision.empty() || last.status_changed;
  }
  // The ReplicaSet controller and the nodes: all pods run and are ready, unless broken.
  void run_pods() {
    for (auto& [name, object] : sets) {
      int64_t replicas = integer(object, "spec", "replicas");
      bool bad = name == broken;
      for (const char* count : {"replicas", "readyReplicas", "availableReplicas"})
        rs::set(object, bad && std::string_view(count) != "replicas" ? 0 : replicas, "status", count);
    }
  }
  int64_t total(std::string_view what) const {
    int64_t sum = 0;
    for (const auto& [name, object] : sets) sum += integer(object, "status", what);
    return sum;
  }
  void settle() {
    for (int i = 0; i < 100 && step(); ++i) {
      run_pods();
      least_available = std::min(least_available, total("availableReplicas"));
      most_pods = std::max(most_pods, total("replicas"));
    }
  }
  std::map<std::string, int64_t> sizes() const {
    std::map<std::string, int64_t> out;
    for (const auto& [name, object] : sets)
      out[std::string(str(object.at("spec").at("template").at("spec").at("containers").at(0), "image"))] =
          integer(object, "spec", "replicas");
    return out;
  }
  std::string_view reason(std::string_view condition) const {
    const Json* found = api::condition(deployment, condition);
    return found == nullptr ? std::string_view() : str(*found, "reason");
  }

  Json deployment;
  std::map<std::string, Json> sets;
  std::string broken;
  WallTime now = kNow;
  DeploymentPlan last;
  int64_t least_available = 1000, most_pods = 0;
};
using Sizes = std::map<std::string, int64_t>;

TEST(DeploymentPlan, FirstStepCreatesTheReplicaSet) {
  World world;
  world.step();
  ASSERT_TRUE(world.last.create.has_value());
  const Json& set = world.last.create->object;
  std::string hash(api::label(set, kPodTemplateHash));
  EXPECT_EQ(api::name_of(set), "pay-" + hash);
  EXPECT_EQ(str(set, "spec", "selector", "matchLabels", kPodTemplateHash), hash);
  EXPECT_EQ(str(set, "spec", "selector", "matchLabels", "app"), "pay");
  EXPECT_EQ(str(set, "spec", "template", "metadata", "labels", kPodTemplateHash), hash);
  EXPECT_EQ(integer(set, "spec", "replicas"), 4);
  EXPECT_EQ(api::annotation(set, kRevision), "1");
  EXPECT_EQ(api::annotation(set, kDesiredReplicas), "4");
  EXPECT_EQ(api::annotation(set, kMaxReplicas), "5");
  EXPECT_EQ(api::controller_of(set)->uid, "d");
  EXPECT_EQ(world.last.create->event, "Scaled up replica set pay-" + hash + " from 0 to 4");
  EXPECT_EQ(world.last.revision, "1");
  EXPECT_EQ(world.reason("Progressing"), "NewReplicaSetCreated");
  EXPECT_EQ(world.reason("Available"), "MinimumReplicasUnavailable");
}

TEST(DeploymentPlan, CompletesAndThenRests) {
  World world;
  world.settle();
  EXPECT_EQ(world.sizes(), (Sizes{{"v1", 4}}));
  EXPECT_EQ(world.reason("Progressing"), "NewReplicaSetAvailable");
  EXPECT_EQ(world.reason("Available"), "MinimumReplicasAvailable");
  EXPECT_EQ(integer(world.deployment, "status", "updatedReplicas"), 4);
  EXPECT_EQ(integer(world.deployment, "status", "observedGeneration"), 1);
  EXPECT_FALSE(world.step());
  EXPECT_FALSE(world.last.again_after.has_value());
}

TEST(DeploymentPlan, RollsWithoutLosingAvailability) {
  World world;
  world.settle();
  world.least_available = 1000;
  world.most_pods = 0;
  world.set_image("v2");
  world.settle();
  EXPECT_EQ(world.sizes(), (Sizes{{"v1", 0}, {"v2", 4}}));
  EXPECT_EQ(world.least_available, 4);
  EXPECT_EQ(world.most_pods, 5);
  EXPECT_EQ(api::annotation(world.deployment, kRevision), "2");
}

TEST(DeploymentPlan, StaleCountsOfOldSetsDoNotCostAvailability) {
  World world;
  rs::set(world.deployment, 10, "spec", "replicas");
  rs::set(world.deployment, 3, "spec", "strategy", "rollingUpdate", "maxSurge");
  world.settle();
  world.set_image("v2");
  world.step();      // v2 = 3
  world.run_pods();
  world.step();      // v1 = 7
  for (auto& [name, object] : world.sets)
    if (integer(object, "spec", "replicas") == 3) {
      rs::set(object, 6, "spec", "replicas");   // v2 has grown and 4 of its pods serve; v1's status still says 10
      rs::set(object, 4, "status", "availableReplicas");
    }
  world.step();
  EXPECT_EQ(world.sizes(), (Sizes{{"v1", 6}, {"v2", 6}}));
}

TEST(DeploymentPlan, BrokenImageStopsAtTheSurgeAndRunsIntoTheDeadline) {
  World world;
  world.settle();
  world.set_image("bad");
  world.step();
  world.broken = std::string(api::name_of(world.last.create->object));
  world.run_pods();
  world.settle();
  EXPECT_EQ(world.sizes(), (Sizes{{"bad", 1}, {"v1", 4}}));
  EXPECT_EQ(world.reason("Progressing"), "ReplicaSetUpdated");
  ASSERT_TRUE(world.last.again_after.has_value());
  world.now = world.now + *world.last.again_after;
  world.step();
  EXPECT_EQ(world.reason("Progressing"), "ProgressDeadlineExceeded");
  EXPECT_EQ(str(*api::condition(world.deployment, "Progressing"), "message"),
            "ReplicaSet \"" + world.broken + "\" has timed out progressing.");

  world.set_image("v1");  // undo
  world.settle();
  EXPECT_EQ(world.sizes(), (Sizes{{"bad", 0}, {"v1", 4}}));
  EXPECT_EQ(api::annotation(world.deployment, kRevision), "3");
  EXPECT_EQ(world.reason("Progressing"), "NewReplicaSetAvailable");
  for (const auto& [name, object] : world.sets)
    if (name != world.broken) EXPECT_EQ(api::annotation(object, kRevisionHistory), "1");
}

TEST(DeploymentPlan, KeepsAsManyOldSetsAsAsked) {
  World world;
  for (const char* image : {"v1", "v2", "v3", "v4", "v5"}) {
    world.set_image(image);
    world.settle();
  }
  EXPECT_EQ(world.sizes(), (Sizes{{"v3", 0}, {"v4", 0}, {"v5", 4}}));
}

TEST(DeploymentPlan, RecreateWaitsForOldPodsToEnd) {
  World world;
  rs::set(world.deployment, json("{'type':'Recreate'}"), "spec", "strategy");
  world.settle();
  world.set_image("v2");
  world.step(true);
  EXPECT_EQ(world.sizes(), (Sizes{{"v1", 0}}));
  world.run_pods();
  world.step(true);
  EXPECT_EQ(world.sizes(), (Sizes{{"v1", 0}}));
  world.settle();
  EXPECT_EQ(world.sizes(), (Sizes{{"v1", 0}, {"v2", 4}}));
}

TEST(DeploymentPlan, PausedScalesInProportionButDoesNotRoll) {
  World world;
  rs::set(world.deployment, 10, "spec", "replicas");
  rs::set(world.deployment, 5, "spec", "strategy", "rollingUpdate", "maxSurge");
  world.settle();
  world.set_image("v2");
  world.step();  // v1 10, v2 5
  world.run_pods();
  rs::set(world.deployment, true, "spec", "paused");
  rs::set(world.deployment, 20, "spec", "replicas");
  world.bump();
  world.settle();
  EXPECT_EQ(world.sizes(), (Sizes{{"v1", 17}, {"v2", 8}}));  // 25 pods, as 10 to 5
  EXPECT_EQ(world.reason("Progressing"), "DeploymentPaused");
  rs::set(world.deployment, false, "spec", "paused");
  world.bump();
  world.settle();
  EXPECT_EQ(world.sizes(), (Sizes{{"v1", 0}, {"v2", 20}}));
  EXPECT_EQ(world.reason("Progressing"), "NewReplicaSetAvailable");
}

TEST(DeploymentPlan, ScalesToZeroAndBack) {
  World world;
  world.settle();
  for (int64_t replicas : {0, 3}) {
    rs::set(world.deployment, replicas, "spec", "replicas");
    world.bump();
    world.settle();
    EXPECT_EQ(world.sizes(), (Sizes{{"v1", replicas}}));
    EXPECT_EQ(integer(world.deployment, "status", "availableReplicas"), replicas);
    EXPECT_EQ(world.reason("Available"), "MinimumReplicasAvailable");
  }
}

TEST(DeploymentPlan, ScaledByHandIsBroughtBack) {
  World world;
  world.settle();
  rs::set(world.sets.begin()->second, 9, "spec", "replicas");
  world.settle();
  EXPECT_EQ(world.sizes(), (Sizes{{"v1", 4}}));
}

TEST(DeploymentPlan, DeletingOneOnlyReports) {
  World world;
  world.settle();
  world.set_image("v2");
  rs::set(world.deployment, Json(rfc3339(world.now)), "metadata", "deletionTimestamp");
  world.step();
  EXPECT_FALSE(world.last.create.has_value());
  EXPECT_TRUE(world.last.update.empty());
}

TEST(PodTemplateHash, DependsOnMeaningAndCollisionsOnly) {
  Json a = json("{'metadata':{'labels':{'app':'pay'},'annotations':null},'spec':{'a':'1','b':{}}}");
  Json b = json("{'spec':{'a':'1'},'metadata':{'labels':{'app':'pay','pod-template-hash':'x'}}}");
  EXPECT_EQ(pod_template_hash(a, 0), pod_template_hash(b, 0));
  EXPECT_NE(pod_template_hash(a, 0), pod_template_hash(a, 1));
  EXPECT_EQ(pod_template_hash(a, 0).find_first_not_of("bcdfghjklmnpqrstvwxz2456789"), std::string::npos);
  EXPECT_TRUE(same_template(a, b));
}

}  // namespace
}  // namespace rs::control
