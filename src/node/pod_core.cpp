#include "node/pod_core.h"

#include "api/meta.h"

namespace rs::node {
namespace {

const ContainerView& view_of(const PodView& pod, std::string_view name) {
  static const ContainerView none;
  auto it = pod.containers.find(name);
  return it == pod.containers.end() ? none : it->second;
}

bool is_up(const ContainerView& c) {
  return c.phase == ContainerPhase::kStarting || c.phase == ContainerPhase::kRunning || c.phase == ContainerPhase::kStopping;
}

void wake_at(Plan& plan, WallTime time) {
  if (!plan.wake || time < *plan.wake) plan.wake = time;
}

bool restarts_when_ended(std::string_view policy, int exit_code) {
  return policy == "Never" ? false : policy == "OnFailure" ? exit_code != 0 : true;
}

// Starts the container now, or asks to be woken when its back-off is over.
void start_when_due(Plan& plan, std::string_view name, const ContainerView& c, WallTime now) {
  WallTime due = c.phase == ContainerPhase::kExited ? c.ended->finished + backoff_before_restart(c.streak) : c.not_before;
  if (!c.waiting_reason.empty()) due = std::max(due, c.not_before);
  if (due <= now)
    plan.start.emplace_back(name);
  else
    wake_at(plan, due);
}

// What an init container asks for; true when the next one may begin.
bool plan_init_container(Plan& plan, const Json& spec, const ContainerView& c, std::string_view policy, bool apps_began,
                         WallTime now, bool& failed) {
  std::string_view name = str(spec, "name");
  if (is_sidecar(spec)) {
    if (!is_up(c)) start_when_due(plan, name, c, now);
    return apps_began || (c.phase == ContainerPhase::kRunning && c.startup_passed && c.post_start_done);
  }
  if (apps_began) return true;
  if (is_up(c)) return false;
  if (c.phase == ContainerPhase::kExited) {
    if (c.ended->exit_code == 0) return true;
    if (policy == "Never") {
      failed = true;
      return false;
    }
  }
  start_when_due(plan, name, c, now);
  return false;
}

void stop_running(Plan& plan, const Json& pod, const PodView& view, bool only_sidecars, const std::string& reason) {
  for (const ContainerRef& ref : containers_of(pod)) {
    const ContainerView& c = view_of(view, str(*ref.spec, "name"));
    if (only_sidecars && !(ref.init && is_sidecar(*ref.spec))) continue;
    if (c.phase == ContainerPhase::kRunning) plan.stop.push_back({std::string(str(*ref.spec, "name")), reason});
  }
}

bool anything_up(const Json& pod, const PodView& view) {
  for (const ContainerRef& ref : containers_of(pod))
    if (is_up(view_of(view, str(*ref.spec, "name")))) return true;
  return false;
}

void plan_end(Plan& plan, const Json& pod, const PodView& view) {
  plan.start.clear();
  stop_running(plan, pod, view, false, "the pod has ended");
  plan.finished = !anything_up(pod, view);
}

void plan_deadline(Plan& plan, const Json& pod, const PodView& view, WallTime now) {
  int64_t seconds = integer_or(pod, -1, "spec", "activeDeadlineSeconds");
  if (seconds < 0 || view.start_time == WallTime{}) return;
  WallTime deadline = view.start_time + std::chrono::seconds(seconds);
  if (deadline <= now)
    plan.fail_deadline = true;
  else
    wake_at(plan, deadline);
}

}  // namespace

Duration backoff_before_restart(int streak) {
  if (streak <= 0) return Duration::zero();
  Duration delay = kBackoffFirst;
  for (int i = 1; i < streak && delay < kBackoffMax; ++i) delay *= 2;
  return std::min(delay, kBackoffMax);
}

int streak_after(const ContainerView& view) {
  if (!view.ended) return view.streak;
  return view.ended->finished - view.ended->started >= kBackoffForgotten ? 1 : view.streak + 1;
}

bool is_sidecar(const Json& init_container) { return str(init_container, "restartPolicy") == "Always"; }

std::vector<ContainerRef> containers_of(const Json& pod) {
  std::vector<ContainerRef> all;
  for (const Json& c : array(pod, "spec", "initContainers")) all.push_back({&c, true});
  for (const Json& c : array(pod, "spec", "containers")) all.push_back({&c, false});
  return all;
}

const Json* container_spec(const Json& pod, std::string_view name) {
  for (const ContainerRef& ref : containers_of(pod))
    if (str(*ref.spec, "name") == name) return ref.spec;
  return nullptr;
}

Plan plan_pod(const Json& pod, const PodView& view, WallTime now) {
  Plan plan;
  std::string_view policy = str(pod, "spec", "restartPolicy");
  if (view.stopping || !view.failure_reason.empty()) {
    plan.finished = view.stopped;
    return plan;
  }
  plan_deadline(plan, pod, view, now);
  if (plan.fail_deadline) return plan;

  bool apps_began = view.apps_began, apps_ended = true, initialized = true, init_failed = false;
  for (const Json& c : array(pod, "spec", "containers")) {
    const ContainerView& v = view_of(view, str(c, "name"));
    apps_began = apps_began || v.phase != ContainerPhase::kNone;
    apps_ended = apps_ended && v.phase == ContainerPhase::kExited && !restarts_when_ended(policy, v.ended->exit_code);
    if (v.phase == ContainerPhase::kRunning && !v.kill_reason.empty())
      plan.stop.push_back({std::string(str(c, "name")), v.kill_reason});
  }
  if (apps_ended && !array(pod, "spec", "containers").empty()) {
    stop_running(plan, pod, view, true, "the pod has ended");
    plan.finished = !anything_up(pod, view);
    return plan;
  }
  if (view.sandbox != PodView::Sandbox::kReady) {
    if (view.sandbox == PodView::Sandbox::kNone) {
      plan.prepare = view.prepare_not_before <= now;
      if (!plan.prepare) wake_at(plan, view.prepare_not_before);
    }
    return plan;
  }
  for (const Json& c : array(pod, "spec", "initContainers")) {
    const ContainerView& v = view_of(view, str(c, "name"));
    if (v.phase == ContainerPhase::kRunning && !v.kill_reason.empty())
      plan.stop.push_back({std::string(str(c, "name")), v.kill_reason});
    if (!plan_init_container(plan, c, v, policy, apps_began, now, init_failed)) {
      initialized = false;
      break;
    }
  }
  if (init_failed) {
    plan_end(plan, pod, view);
    return plan;
  }
  if (!initialized) return plan;
  for (const Json& c : array(pod, "spec", "containers")) {
    const ContainerView& v = view_of(view, str(c, "name"));
    if (v.phase == ContainerPhase::kNone ||
        (v.phase == ContainerPhase::kExited && restarts_when_ended(policy, v.ended->exit_code)))
      start_when_due(plan, str(c, "name"), v, now);
  }
  return plan;
}

}  // namespace rs::node
