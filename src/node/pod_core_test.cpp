// Expected values: Kubernetes documentation "Pod Lifecycle" and pkg/kubelet (computePodActions, getPhase, generate.go).
#include "node/pod_core.h"

#include <gtest/gtest.h>

#include "api/meta.h"

namespace rs::node {
namespace {

using namespace std::chrono_literals;
constexpr WallTime kNow{1'700'000'000s};

Json pod(std::string_view policy, JsonArray init = {}, JsonArray containers = {JsonObject{{"name", "app"}, {"image", "host"}}}) {
  return JsonObject{{"metadata", JsonObject{{"name", "p"}, {"namespace", "n"}, {"uid", "u"}}},
                    {"spec", JsonObject{{"restartPolicy", policy}, {"initContainers", init}, {"containers", containers}}}};
}
Json named(std::string_view name) { return JsonObject{{"name", name}, {"image", "host"}}; }
Json sidecar(std::string_view name) { return JsonObject{{"name", name}, {"image", "host"}, {"restartPolicy", "Always"}}; }

PodView ready_view() {
  PodView view;
  view.sandbox = PodView::Sandbox::kReady;
  view.start_time = kNow;
  view.ip = "10.42.0.2";
  return view;
}
ContainerView running() {
  ContainerView c;
  c.phase = ContainerPhase::kRunning;
  c.started = kNow;
  c.startup_passed = c.ready = c.post_start_done = true;
  c.id = "roadstead://x";
  return c;
}
ContainerView exited(int code, WallTime at = kNow, int streak = 0) {
  ContainerView c;
  c.phase = ContainerPhase::kExited;
  c.streak = streak;
  c.ended = Termination{code, code == 0 ? "Completed" : "Error", "", at - 1s, at, "roadstead://x"};
  return c;
}
std::string condition(const Json& status, std::string_view type) {
  Json holder = JsonObject{{"status", status}};
  const Json* c = api::condition(holder, type);
  return c == nullptr ? "missing" : fmt::format("{} {}", str(*c, "status"), str(*c, "reason"));
}

TEST(PodPlan, PreparesBeforeAnythingElse) {
  Plan plan = plan_pod(pod("Always"), PodView{}, kNow);
  EXPECT_TRUE(plan.prepare);
  EXPECT_TRUE(plan.start.empty());
}

TEST(PodPlan, WaitsAfterAFailedPreparation) {
  PodView view;
  view.prepare_not_before = kNow + 3s;
  Plan plan = plan_pod(pod("Always"), view, kNow);
  EXPECT_FALSE(plan.prepare);
  EXPECT_EQ(plan.wake, kNow + 3s);
}

TEST(PodPlan, StartsInitContainersOneAfterAnother) {
  Json p = pod("Always", {named("a"), named("b")});
  PodView view = ready_view();
  EXPECT_EQ(plan_pod(p, view, kNow).start, std::vector<std::string>{"a"});
  view.containers["a"] = running();
  EXPECT_TRUE(plan_pod(p, view, kNow).start.empty());
  view.containers["a"] = exited(0);
  EXPECT_EQ(plan_pod(p, view, kNow).start, std::vector<std::string>{"b"});
  view.containers["b"] = exited(0);
  EXPECT_EQ(plan_pod(p, view, kNow).start, std::vector<std::string>{"app"});
}

TEST(PodPlan, ASidecarIsWaitedForUntilStartedAndThenKeptRunning) {
  Json p = pod("Never", {sidecar("s")});
  PodView view = ready_view();
  EXPECT_EQ(plan_pod(p, view, kNow).start, std::vector<std::string>{"s"});
  view.containers["s"] = running();
  view.containers["s"].startup_passed = false;
  EXPECT_TRUE(plan_pod(p, view, kNow).start.empty());
  view.containers["s"].startup_passed = true;
  EXPECT_EQ(plan_pod(p, view, kNow).start, std::vector<std::string>{"app"});
  view.containers["app"] = running();
  view.containers["s"] = exited(1);
  EXPECT_EQ(plan_pod(p, view, kNow).start, std::vector<std::string>{"s"}) << "restarted whatever the pod's policy";
  view.containers["s"] = running();
  view.containers["app"] = exited(0);
  Plan plan = plan_pod(p, view, kNow);
  ASSERT_EQ(plan.stop.size(), 1u);
  EXPECT_EQ(plan.stop[0].container, "s");
  EXPECT_FALSE(plan.finished);
  EXPECT_EQ(str(pod_status(p, view, {"h"}, kNow), "phase"), "Succeeded");
}

TEST(PodPlan, BacksOffTenSecondsDoublingToFiveMinutes) {
  EXPECT_EQ(backoff_before_restart(0), 0s);
  EXPECT_EQ(backoff_before_restart(1), 10s);
  EXPECT_EQ(backoff_before_restart(2), 20s);
  EXPECT_EQ(backoff_before_restart(5), 160s);
  EXPECT_EQ(backoff_before_restart(6), 300s);
  EXPECT_EQ(backoff_before_restart(60), 300s);
  ContainerView c = exited(1, kNow, 4);
  EXPECT_EQ(streak_after(c), 5);
  c.ended->started = kNow - 10min;
  EXPECT_EQ(streak_after(c), 1) << "forgotten after ten minutes of running";
}

TEST(PodPlan, RestartsWhenTheBackOffIsOverAndAsksToBeWokenThen) {
  PodView view = ready_view();
  view.containers["app"] = exited(1, kNow, 1);
  Plan plan = plan_pod(pod("Always"), view, kNow + 9s);
  EXPECT_TRUE(plan.start.empty());
  EXPECT_EQ(plan.wake, kNow + 10s);
  EXPECT_EQ(plan_pod(pod("Always"), view, kNow + 10s).start.size(), 1u);
  Json status = pod_status(pod("Always"), view, {"h"}, kNow + 9s);
  const Json& c = array(status, "containerStatuses")[0];
  EXPECT_EQ(str(c, "state", "waiting", "reason"), "CrashLoopBackOff");
  EXPECT_EQ(str(c, "state", "waiting", "message"), "back-off 10s restarting failed container=app pod=p_n(u)");
  EXPECT_EQ(integer(c, "lastState", "terminated", "exitCode"), 1);
  EXPECT_EQ(str(status, "phase"), "Running");
}

TEST(PodPlan, NeverMeansNever) {
  PodView view = ready_view();
  view.containers["app"] = exited(1);
  EXPECT_TRUE(plan_pod(pod("Never"), view, kNow).finished);
  EXPECT_EQ(str(pod_status(pod("Never"), view, {"h"}, kNow), "phase"), "Failed");
  view.containers["app"] = exited(0);
  EXPECT_TRUE(plan_pod(pod("OnFailure"), view, kNow).finished);
  EXPECT_EQ(str(pod_status(pod("OnFailure"), view, {"h"}, kNow), "phase"), "Succeeded");
}

TEST(PodPlan, AFailedInitContainerEndsAPodThatNeverRestarts) {
  Json p = pod("Never", {named("a")});
  PodView view = ready_view();
  view.containers["a"] = exited(2);
  EXPECT_TRUE(plan_pod(p, view, kNow).finished);
  EXPECT_EQ(str(pod_status(p, view, {"h"}, kNow), "phase"), "Failed");
}

TEST(PodPlan, ActiveDeadlineEndsThePod) {
  Json p = pod("Always");
  set(p, 30, "spec", "activeDeadlineSeconds");
  PodView view = ready_view();
  view.containers["app"] = running();
  EXPECT_EQ(plan_pod(p, view, kNow).wake, kNow + 30s);
  EXPECT_TRUE(plan_pod(p, view, kNow + 30s).fail_deadline);
}

TEST(PodPlan, AProbeThatGaveUpStopsTheContainer) {
  PodView view = ready_view();
  view.containers["app"] = running();
  view.containers["app"].kill_reason = "Container app failed liveness probe, will be restarted";
  Plan plan = plan_pod(pod("Always"), view, kNow);
  ASSERT_EQ(plan.stop.size(), 1u);
  EXPECT_EQ(plan.stop[0].reason, "Container app failed liveness probe, will be restarted");
}

TEST(PodStatus, PendingBeforeTheContainersRun) {
  Json status = pod_status(pod("Always", {named("a")}), PodView{}, {"192.0.2.1"}, kNow);
  EXPECT_EQ(str(status, "phase"), "Pending");
  EXPECT_EQ(str(status, "hostIP"), "192.0.2.1");
  EXPECT_EQ(condition(status, "Initialized"), "False ContainersNotInitialized");
  EXPECT_EQ(condition(status, "Ready"), "False ContainersNotReady");
  EXPECT_EQ(condition(status, "PodScheduled"), "True ");
  EXPECT_EQ(condition(status, "PodReadyToStartContainers"), "False ");
  EXPECT_EQ(str(array(status, "containerStatuses")[0], "state", "waiting", "reason"), "PodInitializing");
}

TEST(PodStatus, RunningAndReady) {
  PodView view = ready_view();
  view.containers["app"] = running();
  Json status = pod_status(pod("Always"), view, {"192.0.2.1"}, kNow);
  EXPECT_EQ(str(status, "phase"), "Running");
  EXPECT_EQ(condition(status, "Ready"), "True ");
  EXPECT_EQ(condition(status, "ContainersReady"), "True ");
  EXPECT_EQ(str(array(status, "podIPs")[0], "ip"), "10.42.0.2");
  EXPECT_EQ(str(status, "qosClass"), "BestEffort");
  const Json& c = array(status, "containerStatuses")[0];
  EXPECT_TRUE(boolean(c, "ready"));
  EXPECT_TRUE(boolean(c, "started"));
  EXPECT_EQ(str(c, "state", "running", "startedAt"), rfc3339(kNow));
}

TEST(PodStatus, UnreadyContainersAreNamed) {
  PodView view = ready_view();
  view.containers["app"] = running();
  view.containers["app"].ready = false;
  Json status = pod_status(pod("Always"), view, {"h"}, kNow);
  Json holder = JsonObject{{"status", status}};
  EXPECT_EQ(str(*api::condition(holder, "Ready"), "message"), "containers with unready status: [app]");
  EXPECT_EQ(str(status, "phase"), "Running");
}

TEST(PodStatus, ReadinessGatesHoldBackReadyOnly) {
  Json p = pod("Always");
  set(p, JsonArray{JsonObject{{"conditionType", "x/y"}}}, "spec", "readinessGates");
  PodView view = ready_view();
  view.containers["app"] = running();
  Json status = pod_status(p, view, {"h"}, kNow);
  EXPECT_EQ(condition(status, "ContainersReady"), "True ");
  EXPECT_EQ(condition(status, "Ready"), "False ReadinessGatesNotReady");
}

TEST(PodStatus, AStoppedPodIsSucceededOrFailedWhateverItsPolicy) {
  PodView view = ready_view();
  view.containers["app"] = exited(0);
  view.stopping = view.stopped = true;
  EXPECT_EQ(str(pod_status(pod("Always"), view, {"h"}, kNow), "phase"), "Succeeded");
  view.containers["app"] = exited(137);
  EXPECT_EQ(str(pod_status(pod("Always"), view, {"h"}, kNow), "phase"), "Failed");
}

TEST(PodStatus, ConditionsOfOthersAndTransitionTimesAreKept) {
  PodView view = ready_view();
  view.containers["app"] = running();
  Json p = pod("Always");
  Json first = pod_status(p, view, {"h"}, kNow);
  set(p, first, "status");
  ensure(p, "status", "conditions").as_array().push_back(JsonObject{{"type", "x/y"}, {"status", "True"}});
  Json second = pod_status(p, view, {"h"}, kNow + 60s);
  EXPECT_EQ(condition(second, "x/y"), "True ");
  Json holder = JsonObject{{"status", second}};
  EXPECT_EQ(str(*api::condition(holder, "Ready"), "lastTransitionTime"), rfc3339(kNow));
}

TEST(PodStatus, QosClass) {
  Json p = pod("Always");
  Json& c = ensure(p, "spec", "containers").as_array()[0];
  set(c, JsonObject{{"cpu", "1"}, {"memory", "1Gi"}}, "resources", "limits");
  EXPECT_EQ(qos_class(p), "Guaranteed");
  set(c, JsonObject{{"cpu", "500m"}}, "resources", "requests");
  EXPECT_EQ(qos_class(p), "Burstable");
}

}  // namespace
}  // namespace rs::node
