#include "node/pod_worker.h"

#include "base/log.h"

namespace rs::node {

PodWorker::PodWorker(Agent& agent, client::ObjectPtr pod, std::optional<RecoveredPod> recovered)
    : agent_(agent), loop_(agent.loop_), pod_(std::move(pod)), uid_(api::uid_of(*pod_)), ns_(api::namespace_of(*pod_)),
      name_(api::name_of(*pod_)), changed_(loop_), status_changed_(loop_), exited_(loop_), tasks_(loop_) {
  view_.start_time = loop_.wall();
  WallTime started;
  if (parse_rfc3339(str(*pod_, "status", "startTime"), started)) view_.start_time = started;
  std::string_view phase = str(*pod_, "status", "phase");
  terminal_ = phase == "Succeeded" || phase == "Failed";
  if (recovered) adopt(*recovered);
  if (terminal_) {
    status_dirty_ = false;
    return;
  }
  for (std::string_view list : {"initContainerStatuses", "containerStatuses"})
    for (const Json& status : array(*pod_, "status", list)) adopt_lost(status);
  if (view_.sandbox != PodView::Sandbox::kReady) forget_for_new_sandbox();
}

PodWorker::~PodWorker() = default;

// ---- adoption ------------------------------------------------------------------------------------------------------

void PodWorker::adopt(const RecoveredPod& recovered) {
  if (recovered.sandbox) {
    view_.sandbox = PodView::Sandbox::kReady;
    view_.ip = recovered.sandbox->ip;
  }
  for (const ContainerInfo& info : recovered.containers) adopt_container(info);
  for (const ContainerInfo& info : recovered.previous)
    if (auto it = view_.containers.find(info.name); it != view_.containers.end() && info.exit)
      it->second.previous = termination_of(info);
}

void PodWorker::adopt_container(const ContainerInfo& info) {
  const Json* spec = container_spec(*pod_, info.name);
  if (spec == nullptr) return;
  ContainerView& c = view_.containers[info.name];
  c.id = info.id;
  c.restarts = info.attempt;
  c.streak = info.streak;
  c.started = info.started;
  for (const Json& app : array(*pod_, "spec", "containers"))
    if (str(app, "name") == info.name) view_.apps_began = true;
  if (info.exit) {
    c.phase = ContainerPhase::kExited;
    c.ended = termination_of(info);
    return;
  }
  c.phase = ContainerPhase::kRunning;
  c.post_start_done = true;
  // What the probes had said still holds until they say something else: adoption must not make a ready pod unready.
  bool was_started = false, was_ready = false;
  for (std::string_view list : {"initContainerStatuses", "containerStatuses"})
    for (const Json& status : array(*pod_, "status", list))
      if (str(status, "name") == info.name && str(status, "containerID") == c.id) {
        was_started = boolean(status, "started");
        was_ready = boolean(status, "ready");
      }
  c.startup_passed = find(*spec, "startupProbe") == nullptr || was_started;
  c.ready = find(*spec, "readinessProbe") == nullptr || was_ready;
}

// The API knows a run of which nothing is left here (the machine was restarted, the data directory lost).
void PodWorker::adopt_lost(const Json& status) {
  std::string name(str(status, "name"));
  if (str(status, "containerID").empty() || view_.containers.contains(name) || container_spec(*pod_, name) == nullptr) return;
  ContainerView& c = view_.containers[name];
  c.id = str(status, "containerID");
  c.restarts = static_cast<int>(integer(status, "restartCount"));
  c.phase = ContainerPhase::kExited;
  if (const Json* t = find(status, "state", "terminated")) {
    Termination end{static_cast<int>(integer(*t, "exitCode")), std::string(str(*t, "reason")), std::string(str(*t, "message")), {}, {}, c.id};
    parse_rfc3339(str(*t, "startedAt"), end.started);
    parse_rfc3339(str(*t, "finishedAt"), end.finished);
    c.ended = end;
  } else {
    c.ended = Termination{137, "ContainerStatusUnknown", "The container could not be located when the pod was terminated",
                          {}, loop_.wall(), c.id};
  }
}

// A new sandbox begins from the first init container; what will not be started again keeps its end.
void PodWorker::forget_for_new_sandbox() {
  view_.sandbox = PodView::Sandbox::kNone;
  view_.apps_began = false;
  if (str(*pod_, "spec", "restartPolicy") == "Never") return;
  for (auto& [name, c] : view_.containers) {
    bool keeps = str(*pod_, "spec", "restartPolicy") == "OnFailure" && c.ended && c.ended->exit_code == 0;
    if (c.phase != ContainerPhase::kExited || keeps) continue;
    c.previous = c.ended;
    c.ended.reset();
    c.phase = ContainerPhase::kNone;
  }
}

// ---- what happens --------------------------------------------------------------------------------------------------

void PodWorker::changed() {
  dirty_ = status_dirty_ = true;
  changed_.notify();
  status_changed_.notify();
}

void PodWorker::update(client::ObjectPtr pod) {
  if (api::resource_version_of(*pod) < api::resource_version_of(*pod_)) return;
  pod_ = std::move(pod);
  // A second delete may only shorten the grace.
  if (view_.stopping && api::is_deleting(*pod_) && loop_.wall() + grace() < stop_deadline_) {
    stop_deadline_ = loop_.wall() + grace();
    exited_.notify();
  }
  dirty_ = true;
  changed_.notify();
}

void PodWorker::removed() {
  object_gone_ = true;
  if (view_.stopping) stop_deadline_ = std::min(stop_deadline_, loop_.wall() + std::chrono::seconds(1));
  exited_.notify();
  changed();
}

void PodWorker::container_exited(const ContainerInfo& info) {
  auto it = view_.containers.find(info.name);
  if (it == view_.containers.end() || it->second.id != info.id) return;
  ContainerView& c = it->second;
  c.phase = ContainerPhase::kExited;
  c.ended = termination_of(info);
  c.ready = c.startup_passed = false;
  c.kill_reason.clear();
  stop_probes(info.name);
  exited_.notify();
  changed();
}

void PodWorker::sandbox_lost() {
  event("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
  view_.sandbox = PodView::Sandbox::kNone;
  view_.ip.clear();
  for (auto& [name, c] : view_.containers)
    if (c.phase == ContainerPhase::kRunning) agent_.runtime_->stop(uid_, name, Runtime::Stop::kKill);
  view_.apps_began = false;
  changed();
}

void PodWorker::references_changed() { tasks_.spawn("refresh", refresh_once()); }

bool PodWorker::anything_up() const {
  return std::ranges::any_of(view_.containers, [](const auto& entry) {
    ContainerPhase p = entry.second.phase;
    return p == ContainerPhase::kStarting || p == ContainerPhase::kRunning || p == ContainerPhase::kStopping;
  });
}

// ---- the loop ------------------------------------------------------------------------------------------------------

awaitable<void> PodWorker::run() {
  tasks_.spawn("status", write_statuses());
  for (const auto& [name, c] : view_.containers)
    if (c.phase == ContainerPhase::kRunning && !terminal_) start_probes(name);
  if (view_.sandbox == PodView::Sandbox::kReady && !terminal_) tasks_.spawn("files", keep_files_fresh());
  while (!ended()) {
    dirty_ = false;
    if ((api::is_deleting(*pod_) || object_gone_) && !view_.stopping) begin_termination();
    if (api::is_deleting(*pod_) && view_.stopped && !std::exchange(delete_started_, true)) tasks_.spawn("delete", delete_object());
    Plan plan;
    if (!terminal_) plan = plan_pod(*pod_, view_, loop_.wall());
    act(plan);
    co_await wait_for_change(plan.wake);
  }
  co_await stop();
  agent_.references_.release(uid_);
  co_await agent_.runtime_->remove_pod(uid_);
  agent_.worker_ended(uid_);
}

awaitable<void> PodWorker::stop() {
  co_await tasks_.stop();
  for (auto& [name, group] : probes_) co_await group->stop();
}

awaitable<void> PodWorker::wait_for_change(std::optional<WallTime> wake) {
  struct Wait {
    static awaitable<Result<void>> once(async::Event& event) {
      co_await event.wait();
      co_return Result<void>();
    }
  };
  while (!dirty_) {
    if (!wake) {
      co_await changed_.wait();
      continue;
    }
    Duration left = *wake - loop_.wall();
    if (left <= Duration::zero()) break;
    auto waited = co_await async::with_timeout(loop_, left, "wake", Wait::once(changed_));
    if (!waited) break;
  }
}

void PodWorker::act(const Plan& plan) {
  if (plan.fail_deadline) {
    view_.failure_reason = "DeadlineExceeded";
    view_.failure_message = "Pod was active on the node longer than the specified deadline";
    event("Normal", "DeadlineExceeded", view_.failure_message);
    begin_termination();
    return;
  }
  if (plan.prepare) {
    view_.sandbox = PodView::Sandbox::kPreparing;
    tasks_.spawn("prepare", prepare());
  }
  for (const std::string& name : plan.start) {
    view_.containers[name].phase = ContainerPhase::kStarting;
    tasks_.spawn("start", start_container(name));
  }
  for (const Stop& stop : plan.stop) {
    view_.containers[stop.container].phase = ContainerPhase::kStopping;
    tasks_.spawn("stop", stop_container(stop.container, stop.reason, true));
  }
  if (plan.finished && !view_.stopping && !std::exchange(torn_down_, true)) tasks_.spawn("tear down", tear_down());
}

// A finished pod keeps its logs and status until it is deleted, not its address.
awaitable<void> PodWorker::tear_down() {
  co_await agent_.runtime_->stop_sandbox(uid_);
  view_.sandbox = PodView::Sandbox::kNone;
  changed();
}

// ---- status --------------------------------------------------------------------------------------------------------

awaitable<void> PodWorker::write_statuses() {
  int failures = 0;
  for (;;) {
    while (!status_dirty_) co_await status_changed_.wait();
    status_dirty_ = false;
    if (terminal_ || object_gone_) continue;
    Json status = pod_status(*pod_, view_, {agent_.options_.node_ip}, loop_.wall());
    if (status == last_status_) continue;
    auto written = co_await write_status(std::move(status));
    failures = written ? 0 : failures + 1;
    if (!written && written.error().code != Code::kNotFound) {
      status_dirty_ = true;
      co_await loop_.sleep(std::min<Duration>(std::chrono::milliseconds(20) * (1 << std::min(failures, 8)), std::chrono::seconds(5)));
    }
  }
}

awaitable<Result<void>> PodWorker::write_status(Json status) {
  Json object = *pod_;
  set(object, status, "status");
  auto written = co_await agent_.client_.update(client::resources::kPods, std::move(object), "status");
  if (!written && written.error().code == Code::kConflict) {
    auto fresh = co_await agent_.client_.get(client::resources::kPods, {ns_, name_});
    if (fresh && api::uid_of(*fresh) == uid_) update(std::make_shared<const Json>(std::move(*fresh)));
    co_return fail(written.error());
  }
  if (!written) co_return fail(written.error());
  if (api::uid_of(*written) == uid_ && api::resource_version_of(*written) > api::resource_version_of(*pod_))
    pod_ = std::make_shared<const Json>(std::move(*written));
  last_status_ = std::move(status);
  co_return Result<void>();
}

void PodWorker::event(std::string_view type, std::string_view reason, std::string message, std::string_view container) {
  std::string path;
  for (const ContainerRef& ref : containers_of(*pod_))
    if (!container.empty() && str(*ref.spec, "name") == container)
      path = fmt::format("spec.{}{{{}}}", ref.init ? "initContainers" : "containers", container);
  agent_.events_.record(*pod_, type, reason, std::move(message), path);
}

}  // namespace rs::node
