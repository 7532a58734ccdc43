// Expected values: k8s pkg/controller/job tests, KEP-2307, KEP-2214, KEP-2232. A small world plays the API server and nodes.
#include "control/controllers/job_plan.h"

#include "control/controllers/testing.h"

namespace rs::control {
namespace {
using namespace testing;
using namespace std::chrono_literals;

class World {
 public:
  explicit World(std::string spec = "{'parallelism':2,'completions':3,'backoffLimit':6}") {
    job = json("{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'pay','namespace':'bank','uid':'j'},'spec':" + spec + "}");
    set(job, json("{'metadata':{'labels':{'app':'pay'}},'spec':{'restartPolicy':'Never','containers':[{'name':'c'}]}}"), "spec", "template");
  }
  bool step() {
    std::vector<ObjectPtr> list;
    for (const auto& [name, object] : pods) list.push_back(shared(object));
    plan = plan_job(job, list, true, failures, now);
    if (plan.status_changed) {
      set(job, *find(plan.job, "status"), "status");
      failures = plan.failures;
    }
    for (const auto& object : plan.release) release(std::string(api::name_of(*object)));
    for (const auto& object : plan.remove) pods.erase(std::string(api::name_of(*object)));
    for (Json object : plan.create) {
      std::string name = fmt::format("p{}", ++made);
      set(object, Json(name), "metadata", "name");
      set(object, Json("uid-" + name), "metadata", "uid");
      set(object, Json("Running"), "status", "phase");
      pods[name] = std::move(object);
    }
    now = now + 1ms;
    return plan.status_changed || !plan.release.empty() || !plan.create.empty() || !plan.remove.empty();
  }
  void settle() {
    for (int i = 0; i < 50 && step(); ++i) {
    }
  }
  void release(const std::string& name) { erase(pods.at(name), "finalizers", "metadata"); }
  void end(const std::string& name, const char* phase) { set(pods.at(name), Json(phase), "status", "phase"); }
  size_t running() const {
    return static_cast<size_t>(std::ranges::count_if(pods, [](const auto& p) { return is_active(p.second); }));
  }
  bool is(const char* condition) const { return api::condition_is_true(job, condition); }
  int64_t count(const char* name) const { return integer(job, "status", name); }

  Json job;
  std::map<std::string, Json> pods;
  JobFailures failures;
  JobPlan plan;
  WallTime now = kNow;
  int made = 0;
};

TEST(JobPlan, RunsToItsCompletionsAndCountsEachPodOnce) {
  World world;
  world.settle();
  EXPECT_EQ(world.running(), 2u);
  EXPECT_EQ(world.count("active"), 2);
  EXPECT_NE(find(world.job, "status", "startTime"), nullptr);
  world.end("p1", "Succeeded");
  world.settle();
  EXPECT_EQ(world.count("succeeded"), 1);
  EXPECT_EQ(world.running(), 2u);
  world.end("p2", "Succeeded");
  world.settle();
  EXPECT_EQ(world.running(), 1u) << "only one completion is missing";
  world.end("p3", "Succeeded");
  world.settle();
  EXPECT_TRUE(world.is("Complete"));
  EXPECT_TRUE(world.is("SuccessCriteriaMet"));
  EXPECT_EQ(world.count("succeeded"), 3);
  EXPECT_EQ(object(world.job, "status", "uncountedTerminatedPods").size(), 0u);
  EXPECT_NE(find(world.job, "status", "completionTime"), nullptr);
  EXPECT_EQ(world.pods.size(), 3u);
}

TEST(JobPlan, UidIsListedBeforeTheFinalizerGoes) {
  World world;
  world.settle();
  world.end("p1", "Succeeded");
  world.step();
  EXPECT_EQ(array(world.job, "status", "uncountedTerminatedPods", "succeeded"), JsonArray({Json("uid-p1")}));
  EXPECT_TRUE(world.plan.release.empty());
  world.step();
  EXPECT_EQ(world.plan.release.size(), 1u);
  EXPECT_EQ(world.count("succeeded"), 0);
  world.step();
  EXPECT_EQ(world.count("succeeded"), 1);
}

TEST(JobPlan, FailuresAreRetriedWithBackoffUpToTheLimit) {
  World world("{'parallelism':1,'completions':1,'backoffLimit':1}");
  world.settle();
  world.end("p1", "Failed");
  world.settle();
  EXPECT_EQ(world.running(), 0u);
  ASSERT_TRUE(world.plan.again_after.has_value());
  EXPECT_LE(*world.plan.again_after, 10s);
  world.now = world.now + 10s;
  world.settle();
  EXPECT_EQ(world.running(), 1u);
  world.end("p2", "Failed");
  world.settle();
  EXPECT_TRUE(world.is("Failed"));
  EXPECT_EQ(str(*api::condition(world.job, "Failed"), "reason"), "BackoffLimitExceeded");
  EXPECT_EQ(world.count("failed"), 2);
}

TEST(JobPlan, DeadlineEndsIt) {
  World world("{'parallelism':2,'completions':2,'activeDeadlineSeconds':30}");
  world.settle();
  world.now = world.now + 31s;
  world.settle();
  EXPECT_TRUE(world.is("Failed"));
  EXPECT_EQ(str(*api::condition(world.job, "Failed"), "reason"), "DeadlineExceeded");
  EXPECT_EQ(world.running(), 0u);
}

TEST(JobPlan, IndexedJobRunsEachIndexOnce) {
  World world("{'parallelism':2,'completions':4,'completionMode':'Indexed'}");
  world.settle();
  EXPECT_EQ(api::annotation(world.pods.at("p1"), kJobIndex), "0");
  EXPECT_EQ(str(world.pods.at("p2"), "spec", "hostname"), "pay-1");
  EXPECT_EQ(str(array(array(world.pods.at("p2"), "spec", "containers").at(0), "env").at(0), "name"), "JOB_COMPLETION_INDEX");
  world.end("p2", "Succeeded");
  world.settle();
  EXPECT_EQ(str(world.job, "status", "completedIndexes"), "1");
  world.end("p1", "Failed");
  world.settle();
  world.now = world.now + 10s;
  world.settle();
  std::set<std::string> indexes;
  for (const auto& [name, object] : world.pods)
    if (is_active(object)) indexes.emplace(api::annotation(object, kJobIndex));
  EXPECT_EQ(indexes, (std::set<std::string>{"0", "2"}));
  for (int i = 0; i < 4; ++i) {
    for (auto& [name, object] : world.pods)
      if (is_active(object)) set(object, Json("Succeeded"), "status", "phase");
    world.settle();
  }
  EXPECT_TRUE(world.is("Complete"));
  EXPECT_EQ(str(world.job, "status", "completedIndexes"), "0-3");
  EXPECT_EQ(world.count("succeeded"), 4);
}

TEST(JobPlan, SuspendedJobHasNoPodsAndNoFailuresFromIt) {
  World world;
  world.settle();
  set(world.job, true, "spec", "suspend");
  world.step();
  EXPECT_TRUE(world.plan.forget_removed);
  world.settle();
  EXPECT_EQ(world.running(), 0u);
  EXPECT_TRUE(world.is("Suspended"));
  EXPECT_EQ(find(world.job, "status", "startTime"), nullptr);
  set(world.job, false, "spec", "suspend");
  world.settle();
  EXPECT_EQ(world.running(), 2u);
  EXPECT_FALSE(world.is("Suspended"));
  EXPECT_EQ(world.count("failed"), 0);
}

TEST(JobPlan, WorkQueueEndsWithTheFirstSuccessOnceAllHaveEnded) {
  World world("{'parallelism':3}");
  world.settle();
  EXPECT_EQ(world.running(), 3u);
  world.end("p1", "Succeeded");
  world.settle();
  EXPECT_EQ(world.running(), 2u);
  EXPECT_FALSE(world.is("Complete"));
  world.end("p2", "Succeeded");
  world.end("p3", "Succeeded");
  world.settle();
  EXPECT_TRUE(world.is("Complete"));
}

TEST(JobPlan, GoesAfterItsTimeToLive) {
  World world("{'parallelism':1,'completions':1,'ttlSecondsAfterFinished':60}");
  world.settle();
  world.end("p1", "Succeeded");
  world.settle();
  ASSERT_TRUE(world.is("Complete"));
  world.step();
  EXPECT_FALSE(world.plan.remove_job);
  ASSERT_TRUE(world.plan.again_after.has_value());
  world.now = world.now + 61s;
  world.step();
  EXPECT_TRUE(world.plan.remove_job);
}

TEST(JobPlan, DeletedPodCountsAsFailureAtOnceUnlessOnlyFailedOnesAreReplaced) {
  for (bool only_failed : {false, true}) {
    World world("{'parallelism':1,'completions':1}");
    if (only_failed) set(world.job, Json("Failed"), "spec", "podReplacementPolicy");
    world.settle();
    set(world.pods.at("p1"), Json(rfc3339(kNow)), "metadata", "deletionTimestamp");
    world.settle();
    world.now = world.now + 10s;
    world.settle();
    EXPECT_EQ(world.count("failed"), only_failed ? 0 : 1);
    EXPECT_EQ(world.running(), only_failed ? 0u : 1u);
  }
}

TEST(JobIndexes, AreWrittenAsRanges) {
  EXPECT_EQ(format_indexes({0, 1, 2, 5, 7, 8}), "0-2,5,7,8");
  EXPECT_EQ(parse_indexes("0-2,5,7,8,x,9-,-3,4-4000000000", 9), (std::set<int64_t>{0, 1, 2, 4, 5, 6, 7, 8}));
}

}  // namespace
}  // namespace rs::control
