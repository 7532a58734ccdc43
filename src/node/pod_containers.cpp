// Starting and ending the containers of a pod, with their hooks.
#include <sys/stat.h>

#include "node/container_spec.h"
#include "node/logs.h"
#include "node/pod_worker.h"

namespace rs::node {
namespace {

constexpr size_t kTerminationMessageMax = 4096;     // core/v1 terminationMessagePath
constexpr size_t kFallbackLines = 80, kFallbackBytes = 2048;

}  // namespace

ActionTools PodWorker::tools() const { return {loop_, agent_.net_, *agent_.runtime_}; }
ActionTarget PodWorker::target(const std::string& name) const {
  const Json* spec = container_spec(*pod_, name);
  return {uid_, name, view_.ip, spec == nullptr ? Json(JsonObject{}) : *spec};
}

// ---- starting ------------------------------------------------------------------------------------------------------

void PodWorker::refuse(const std::string& name, std::string reason, std::string message, Duration again) {
  ContainerView& c = view_.containers[name];
  c.phase = c.ended ? ContainerPhase::kExited : ContainerPhase::kNone;
  c.waiting_reason = std::move(reason);
  c.waiting_message = std::move(message);
  c.not_before = loop_.wall() + again;
  changed();
}

awaitable<void> PodWorker::start_container(std::string name) {
  const Json* found = container_spec(*pod_, name);
  if (found == nullptr) co_return refuse(name, "CreateContainerError", "the pod has no such container", kBackoffMax);
  Json spec = *found;
  if (auto problem = image_problem(str(spec, "image"))) {
    int failures = start_failures_[name]++;
    event("Warning", "Failed", failures == 0 ? *problem : "Error: ImagePullBackOff", name);
    co_return refuse(name, failures == 0 ? "ErrImagePull" : "ImagePullBackOff",
                     failures == 0 ? *problem : fmt::format("Back-off pulling image \"{}\": {}", str(spec, "image"), *problem),
                     failures == 0 ? Duration(std::chrono::seconds(1)) : backoff_before_restart(failures));
  }
  auto built = co_await build_spec(name, spec);
  if (!built) {
    event("Warning", "Failed", "Error: " + built.error().message, name);
    bool config = built.error().code == Code::kFailedPrecondition || built.error().code == Code::kInvalid;
    int failures = start_failures_[name]++;
    Duration again = std::min<Duration>(std::chrono::seconds(1) * (1 << std::min(failures, 4)), kBackoffFirst);
    co_return refuse(name, config ? "CreateContainerConfigError" : "CreateContainerError", built.error().message, again);
  }
  if (view_.stopping) co_return refuse(name, "", "", Duration::zero());
  event("Normal", "Pulled", fmt::format("Container image \"{}\" already present on machine", str(spec, "image")), name);
  auto started = co_await agent_.runtime_->start(std::move(*built));
  if (!started) {
    event("Warning", "Failed", "Error: " + started.error().message, name);
    co_return refuse(name, "CreateContainerError", started.error().message, kBackoffFirst);
  }
  start_failures_.erase(name);
  began(name, *started);
}

void PodWorker::began(const std::string& name, const ContainerInfo& info) {
  ContainerView& c = view_.containers[name];
  if (c.ended) c.previous = std::exchange(c.ended, std::nullopt);
  c.id = info.id;
  c.restarts = info.attempt;
  c.streak = info.streak;
  c.started = info.started;
  c.waiting_reason.clear();
  c.waiting_message.clear();
  c.kill_reason.clear();
  for (const Json& app : array(*pod_, "spec", "containers"))
    if (str(app, "name") == name) view_.apps_began = true;
  event("Normal", "Created", "Created container: " + name, name);
  if (info.exit) {
    event("Warning", "Failed", "Error: failed to start container: " + info.exit->message, name);
    c.phase = ContainerPhase::kExited;
    c.ended = termination_of(info);
    return changed();
  }
  event("Normal", "Started", "Started container " + name, name);
  const Json* spec = container_spec(*pod_, name);
  c.phase = ContainerPhase::kRunning;
  c.startup_passed = find(*spec, "startupProbe") == nullptr;
  c.ready = find(*spec, "readinessProbe") == nullptr;
  c.post_start_done = find(*spec, "lifecycle", "postStart") == nullptr;
  if (!c.post_start_done) tasks_.spawn("postStart", post_start(name, c.restarts));
  start_probes(name);
  changed();
}

awaitable<Result<ContainerSpec>> PodWorker::build_spec(std::string name, const Json& spec) {
  auto held = co_await agent_.references_.hold(uid_, ns_, references_of(*pod_));
  if (!held) co_return fail(held.error());
  const Json* links = find(*pod_, "spec", "enableServiceLinks");
  bool with_links = links == nullptr || !links->is_bool() || links->get_bool();
  EnvironmentInput input{*pod_, spec, facts(), agent_.references_.config_maps(ns_), agent_.references_.secrets(ns_),
                         agent_.service_variables(ns_, with_links)};
  auto environment = build_environment(input);
  if (!environment) co_return fail(environment.error());
  std::string directory = agent_.runtime_->pod_dir(uid_);
  auto made = make_container_spec({*pod_, spec, *environment, hostname_of(*pod_), agent_.facts_.machine.memory_bytes});
  if (!made) co_return made;
  auto mounts = container_mounts(*pod_, spec, directory + "/volumes", *environment);
  if (!mounts) co_return fail(mounts.error());
  const ContainerView& c = view_.containers[name];
  made->attempt = c.id.empty() ? 0 : c.restarts + 1;
  made->streak = streak_after(c);
  made->mounts = std::move(*mounts);
  if (!agent_.runtime_->isolates_files()) {
    if (!made->mounts.empty()) made->env.push_back("ROADSTEAD_VOLUMES=" + directory + "/volumes");
    co_return made;
  }
  auto is_mounted = [&](std::string_view path) { return std::ranges::any_of(made->mounts, [&](const Mount& m) { return m.target == path; }); };
  for (std::string_view file : {"resolv.conf", "hosts", "hostname"})
    if (!is_mounted(fmt::format("/etc/{}", file)))
      made->mounts.push_back({fmt::format("{}/etc/{}", directory, file), fmt::format("/etc/{}", file), "", false, false});
  std::string message = fmt::format("{}/containers/{}/{}/termination-log", directory, name, made->attempt);
  std::string path(str(spec, "terminationMessagePath").empty() ? "/dev/termination-log" : str(spec, "terminationMessagePath"));
  if (auto d = make_directories(message.substr(0, message.rfind('/'))); !d) co_return fail(d.error());
  if (auto w = write_file(message, "", 0666); !w) co_return fail(w.error());
  made->mounts.push_back({message, path, "", false, false});
  co_return made;
}

awaitable<void> PodWorker::post_start(std::string name, int restarts) {
  const Json* spec = container_spec(*pod_, name);
  Json hook = *find(*spec, "lifecycle", "postStart");
  auto done = co_await run_action(tools(), target(name), std::move(hook), std::chrono::hours(24));
  if (!still(name, restarts)) co_return;
  ContainerView& c = view_.containers[name];
  if (done) {
    c.post_start_done = true;
  } else {
    event("Warning", "FailedPostStartHook", "PostStartHook failed", name);
    c.kill_reason = "FailedPostStartHook";
  }
  changed();
}

Termination PodWorker::termination_of(const ContainerInfo& info) const {
  Termination end;
  end.exit_code = info.exit->code;
  end.started = info.started;
  end.finished = info.exit->at;
  end.container_id = info.id;
  if (info.exit->start_failed) {
    end.reason = "ContainerCannotRun";
    end.started = {};
    end.message = info.exit->message;
    return end;
  }
  end.reason = info.exit->out_of_memory ? "OOMKilled" : end.exit_code == 0 ? "Completed" : "Error";
  end.message = info.exit->message;
  std::string path = fmt::format("{}/containers/{}/{}/termination-log", agent_.runtime_->pod_dir(uid_), info.name, info.attempt);
  if (auto text = read_file(path); text && !text->empty()) {
    end.message = text->substr(0, kTerminationMessageMax);
  } else if (const Json* spec = container_spec(*pod_, info.name);
             spec != nullptr && str(*spec, "terminationMessagePolicy") == "FallbackToLogsOnError" && end.exit_code != 0) {
    end.message = log_tail(agent_.runtime_->log_path(uid_, info.name, info.attempt), kFallbackLines, kFallbackBytes);
  }
  return end;
}

// ---- ending --------------------------------------------------------------------------------------------------------

Duration PodWorker::grace() const {
  int64_t seconds = integer_or(*pod_, integer_or(*pod_, 30, "spec", "terminationGracePeriodSeconds"), "metadata", "deletionGracePeriodSeconds");
  return std::chrono::seconds(std::clamp<int64_t>(seconds, 1, 86'400 * 365));
}

bool PodWorker::still(const std::string& name, int restarts) const {
  auto it = view_.containers.find(name);
  return it != view_.containers.end() && it->second.restarts == restarts &&
         (it->second.phase == ContainerPhase::kRunning || it->second.phase == ContainerPhase::kStopping);
}

// Ends one container: hook, SIGTERM, and SIGKILL when the grace is over. Its phase is kStopping.
awaitable<void> PodWorker::stop_container(std::string name, std::string reason, bool with_hook) {
  const Json* found = container_spec(*pod_, name);
  Json hook = found != nullptr && find(*found, "lifecycle", "preStop") ? *find(*found, "lifecycle", "preStop") : Json();
  event("Normal", "Killing", reason.empty() ? "Stopping container " + name : reason, name);
  if (!view_.stopping) stop_deadline_ = loop_.wall() + grace();
  if (with_hook && hook.is_object()) {
    auto done = co_await run_action(tools(), target(name), hook, std::max<Duration>(stop_deadline_ - loop_.wall(), std::chrono::seconds(1)));
    if (!done && done.error().code != Code::kTimeout) event("Warning", "FailedPreStopHook", "PreStopHook failed", name);
    // A hook that has used up the grace leaves two seconds for the program itself (as the kubelet).
    stop_deadline_ = std::max(stop_deadline_, loop_.wall() + std::chrono::seconds(2));
  }
  agent_.runtime_->stop(uid_, name, Runtime::Stop::kTerminate);
  co_await wait_for_exit(name, true);
  if (view_.containers[name].phase != ContainerPhase::kExited) agent_.runtime_->stop(uid_, name, Runtime::Stop::kKill);
  co_await wait_for_exit(name, false);
}

awaitable<Result<void>> PodWorker::exited(std::string name) {
  co_await exited_.wait();
  co_return Result<void>();
}

awaitable<void> PodWorker::wait_for_exit(std::string name, bool bounded) {
  while (view_.containers[name].phase != ContainerPhase::kExited) {
    if (!bounded) {
      co_await exited_.wait();
      continue;
    }
    Duration left = stop_deadline_ - loop_.wall();
    if (left <= Duration::zero()) co_return;
    auto waited = co_await async::with_timeout(loop_, left, "exit", exited(name));
    (void)waited;  // the deadline may have moved: look again
  }
}

void PodWorker::begin_termination() {
  view_.stopping = true;
  stop_deadline_ = loop_.wall() + (object_gone_ ? Duration(std::chrono::seconds(1)) : grace());
  if (terminal_ && !anything_up()) {
    view_.stopped = true;
    changed();
    return;
  }
  tasks_.spawn("terminate", terminate());
}

// The order of a rollout without errors (reference mesh.md B.5.9): the data plane stops sending before the program is
// told to end. Then the containers together, and sidecars after them, last first.
awaitable<void> PodWorker::terminate() {
  for (auto& [name, c] : view_.containers) stop_probes(name);
  if (agent_.drain_ != nullptr && !view_.ip.empty() && anything_up()) {
    std::vector<std::string> addresses{view_.ip};
    co_await agent_.drain_->drain(uid_, std::move(addresses), agent_.options_.drain_limit);
  }
  std::vector<ContainerRef> sidecars, others;
  for (const ContainerRef& ref : containers_of(*pod_)) (ref.init && is_sidecar(*ref.spec) ? sidecars : others).push_back(ref);
  std::vector<std::vector<std::string>> waves(1);
  for (const ContainerRef& ref : others) waves[0].emplace_back(str(*ref.spec, "name"));
  for (auto it = sidecars.rbegin(); it != sidecars.rend(); ++it) waves.push_back({std::string(str(*it->spec, "name"))});
  for (const auto& wave : waves) {
    for (const std::string& name : wave) {
      // One that is just being started is waited for, then ended.
      while (view_.containers[name].phase == ContainerPhase::kStarting) co_await changed_.wait();
      if (view_.containers[name].phase != ContainerPhase::kRunning) continue;
      view_.containers[name].phase = ContainerPhase::kStopping;
      tasks_.spawn("stop", stop_container(name, "", true));
    }
    for (const std::string& name : wave)
      if (view_.containers[name].phase == ContainerPhase::kStopping) co_await wait_for_exit(name, false);
  }
  co_await agent_.runtime_->stop_sandbox(uid_);
  view_.sandbox = PodView::Sandbox::kNone;
  view_.stopped = true;
  changed();
}

awaitable<void> PodWorker::delete_object() {
  if (!terminal_) {
    auto written = co_await write_status(pod_status(*pod_, view_, {agent_.options_.node_ip}, loop_.wall()));
    (void)written;  // the deletion is what counts
  }
  client::DeleteOptions options;
  options.grace_period_seconds = 0;
  options.precondition_uid = uid_;
  for (int failures = 0; !object_gone_; ++failures) {
    auto removed = co_await agent_.client_.remove(client::resources::kPods, {ns_, name_}, options);
    if (removed || removed.error().code == Code::kNotFound || removed.error().code == Code::kConflict) co_return;
    co_await loop_.sleep(std::min<Duration>(std::chrono::milliseconds(100) * (1 << std::min(failures, 6)), std::chrono::seconds(5)));
  }
}

}  // namespace rs::node
