// The .status of a pod (pkg/kubelet getPhase, status/generate.go, convertToAPIContainerStatuses).
#include "api/meta.h"
#include "node/pod_core.h"

namespace rs::node {
namespace {

const ContainerView& view_of(const PodView& pod, std::string_view name) {
  static const ContainerView none;
  auto it = pod.containers.find(name);
  return it == pod.containers.end() ? none : it->second;
}

bool is_running(const ContainerView& c) {
  return c.phase == ContainerPhase::kRunning || c.phase == ContainerPhase::kStopping;
}

Json terminated(const Termination& t) {
  JsonObject o;
  o["exitCode"] = t.exit_code;
  o["reason"] = t.reason;
  if (!t.message.empty()) o["message"] = t.message;
  if (t.started != WallTime{}) o["startedAt"] = rfc3339(t.started);
  if (t.started == WallTime{}) o["startedAt"] = nullptr;
  o["finishedAt"] = rfc3339(t.finished);
  if (!t.container_id.empty()) o["containerID"] = t.container_id;
  return JsonObject{{"terminated", std::move(o)}};
}

Json waiting(std::string_view reason, std::string_view message) {
  JsonObject o{{"reason", reason}};
  if (!message.empty()) o["message"] = message;
  return JsonObject{{"waiting", std::move(o)}};
}

bool will_restart(const Json& pod, const Json& spec, bool init, const ContainerView& c) {
  std::string_view policy = str(pod, "spec", "restartPolicy");
  if (init && is_sidecar(spec)) return true;
  if (policy == "Never") return false;
  if (init || policy == "OnFailure") return c.ended->exit_code != 0;
  return true;
}

std::string backoff_text(Duration delay) {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(delay).count();
  return seconds < 60 ? fmt::format("{}s", seconds) : fmt::format("{}m{}s", seconds / 60, seconds % 60);
}

// state and lastState
void fill_state(JsonObject& out, const Json& pod, const Json& spec, bool init, bool initialized, const PodView& view,
                const ContainerView& c, WallTime now) {
  std::string_view name = str(spec, "name");
  if (is_running(c)) {
    out["state"] = JsonObject{{"running", JsonObject{{"startedAt", rfc3339(c.started)}}}};
    out["lastState"] = c.previous ? terminated(*c.previous) : Json(JsonObject{});
    return;
  }
  bool over = view.stopping || !view.failure_reason.empty();
  if (c.phase == ContainerPhase::kExited) {
    Duration delay = backoff_before_restart(c.streak);
    bool back_off = !over && will_restart(pod, spec, init, c) && delay > Duration::zero() && now < c.ended->finished + delay;
    if (!back_off) {
      out["state"] = terminated(*c.ended);
      out["lastState"] = c.previous ? terminated(*c.previous) : Json(JsonObject{});
      return;
    }
    out["state"] = waiting("CrashLoopBackOff",
                           fmt::format("back-off {} restarting failed container={} pod={}_{}({})", backoff_text(delay), name,
                                       api::name_of(pod), api::namespace_of(pod), api::uid_of(pod)));
    out["lastState"] = terminated(*c.ended);
    return;
  }
  std::string_view reason = !c.waiting_reason.empty() ? std::string_view(c.waiting_reason)
                            : initialized || (init && array(pod, "spec", "initContainers").empty()) ? "ContainerCreating"
                                                                                                    : "PodInitializing";
  if (init && c.waiting_reason.empty())
    reason = view.sandbox == PodView::Sandbox::kReady && c.phase == ContainerPhase::kNone ? "PodInitializing" : "ContainerCreating";
  out["state"] = waiting(reason, c.waiting_message);
  const std::optional<Termination>& last = c.ended ? c.ended : c.previous;
  out["lastState"] = last ? terminated(*last) : Json(JsonObject{});
}

Json container_status(const Json& pod, const Json& spec, bool init, bool initialized, const PodView& view, WallTime now) {
  const ContainerView& c = view_of(view, str(spec, "name"));
  JsonObject out;
  out["name"] = str(spec, "name");
  fill_state(out, pod, spec, init, initialized, view, c, now);
  bool running = c.phase == ContainerPhase::kRunning;
  bool completed = init && !is_sidecar(spec) && c.phase == ContainerPhase::kExited && c.ended->exit_code == 0;
  out["ready"] = completed || (running && c.startup_passed && c.ready && (!init || is_sidecar(spec)));
  out["restartCount"] = c.restarts;
  out["image"] = str(spec, "image");
  out["imageID"] = c.id.empty() ? std::string() : fmt::format("roadstead://{}", str(spec, "image"));
  if (!c.id.empty()) out["containerID"] = c.id;
  out["started"] = is_running(c) && c.startup_passed && c.post_start_done;
  return out;
}

bool init_done(const Json& pod, const PodView& view, std::vector<std::string>& incomplete) {
  bool apps_began = view.apps_began;
  for (const Json& c : array(pod, "spec", "containers")) {
    const ContainerView& v = view_of(view, str(c, "name"));
    apps_began = apps_began || v.phase != ContainerPhase::kNone;
  }
  if (apps_began) return true;
  for (const Json& c : array(pod, "spec", "initContainers")) {
    const ContainerView& v = view_of(view, str(c, "name"));
    bool done = is_sidecar(c) ? v.phase == ContainerPhase::kRunning && v.startup_passed && v.post_start_done
                              : v.phase == ContainerPhase::kExited && v.ended->exit_code == 0;
    if (!done) incomplete.emplace_back(str(c, "name"));
  }
  return incomplete.empty();
}

std::string_view phase_of(const Json& pod, const PodView& view, bool initialized) {
  if (!view.failure_reason.empty()) return "Failed";
  std::string_view policy = str(pod, "spec", "restartPolicy");
  for (const Json& c : array(pod, "spec", "initContainers")) {
    const ContainerView& v = view_of(view, str(c, "name"));
    bool failed = v.phase == ContainerPhase::kExited && v.ended->exit_code != 0;
    if (!initialized && failed && !is_sidecar(c) && (policy == "Never" || view.stopped)) return "Failed";
  }
  if (!initialized) return view.stopped ? "Failed" : "Pending";
  size_t waiting_count = 0, running = 0, succeeded = 0, failed = 0;
  for (const Json& c : array(pod, "spec", "containers")) {
    const ContainerView& v = view_of(view, str(c, "name"));
    const std::optional<Termination>& last = v.ended ? v.ended : v.previous;
    if (is_running(v))
      ++running;
    else if (last)
      ++(last->exit_code == 0 ? succeeded : failed);
    else
      ++waiting_count;
  }
  bool terminal = view.stopped;
  if (waiting_count > 0) return terminal ? "Failed" : "Pending";
  if (running > 0) return "Running";
  if (policy == "Always" && !terminal) return "Running";
  if (failed == 0) return "Succeeded";
  return policy == "OnFailure" && !terminal ? "Running" : "Failed";
}

void copy_conditions(Json& status, const Json& pod) { set(status, array(pod, "status", "conditions"), "conditions"); }

// lastProbeTime: null, as every kubelet writes it.
void put(Json& holder, std::string_view type, bool yes, std::string_view reason, std::string_view message, WallTime now) {
  api::set_condition(holder, type, yes ? "True" : "False", reason, message, now);
  for (Json& c : ensure(holder, "status", "conditions").as_array())
    if (str(c, "type") == type) c.as_object()["lastProbeTime"] = nullptr;
}

std::string list_of(const std::vector<std::string>& names) { return fmt::format("[{}]", fmt::join(names, " ")); }

void set_conditions(Json& holder, const Json& pod, const PodView& view, std::string_view phase, bool initialized,
                    const std::vector<std::string>& incomplete, const Json& statuses, WallTime now) {
  put(holder, "PodReadyToStartContainers", view.sandbox == PodView::Sandbox::kReady, "", "", now);
  bool over = phase == "Succeeded" || phase == "Failed";
  if (initialized)
    put(holder, "Initialized", true, phase == "Succeeded" ? "PodCompleted" : "", "", now);
  else
    put(holder, "Initialized", false, "ContainersNotInitialized",
        fmt::format("containers with incomplete status: {}", list_of(incomplete)), now);
  std::vector<std::string> unready;
  for (std::string_view list : {"containerStatuses", "initContainerStatuses"})
    for (const Json& c : array(statuses, list)) {
      const Json* spec = container_spec(pod, str(c, "name"));
      bool counts = list == "containerStatuses" || (spec != nullptr && is_sidecar(*spec));
      if (counts && !boolean(c, "ready")) unready.emplace_back(str(c, "name"));
    }
  bool ready = unready.empty() && !over && initialized;
  std::string reason, message;
  if (over) {
    reason = phase == "Succeeded" ? "PodCompleted" : "PodFailed";
  } else if (!ready) {
    reason = "ContainersNotReady";
    message = fmt::format("containers with unready status: {}", list_of(unready));
  }
  put(holder, "ContainersReady", ready, reason, message, now);
  std::vector<std::string> gates;
  for (const Json& gate : array(pod, "spec", "readinessGates"))
    if (!api::condition_is_true(pod, str(gate, "conditionType")))
      gates.push_back(fmt::format("corresponding condition of pod readiness gate \"{}\" does not exist or is not true.",
                                  str(gate, "conditionType")));
  if (ready && !gates.empty())
    put(holder, "Ready", false, "ReadinessGatesNotReady", fmt::format("{}", fmt::join(gates, ", ")), now);
  else
    put(holder, "Ready", ready, reason, message, now);
  if (!api::condition_is_true(holder, "PodScheduled")) put(holder, "PodScheduled", true, "", "", now);
}

}  // namespace

std::string_view qos_class(const Json& pod) {
  bool any = false, guaranteed = true;
  for (const ContainerRef& ref : containers_of(pod))
    for (std::string_view resource : {"cpu", "memory"}) {
      std::string_view request = str(*ref.spec, "resources", "requests", resource);
      std::string_view limit = str(*ref.spec, "resources", "limits", resource);
      any = any || !request.empty() || !limit.empty();
      guaranteed = guaranteed && !limit.empty() && (request.empty() || request == limit);
    }
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

Json pod_status(const Json& pod, const PodView& view, const NodeAddress& node, WallTime now) {
  std::vector<std::string> incomplete;
  bool initialized = init_done(pod, view, incomplete);
  std::string_view phase = phase_of(pod, view, initialized);
  Json holder = JsonObject{};
  copy_conditions(ensure(holder, "status"), pod);
  Json& status = ensure(holder, "status");
  status.as_object()["phase"] = phase;
  if (!view.failure_reason.empty()) {
    status.as_object()["reason"] = view.failure_reason;
    status.as_object()["message"] = view.failure_message;
  }
  if (view.start_time != WallTime{}) status.as_object()["startTime"] = rfc3339(view.start_time);
  if (!node.host_ip.empty()) {
    status.as_object()["hostIP"] = node.host_ip;
    status.as_object()["hostIPs"] = JsonArray{JsonObject{{"ip", node.host_ip}}};
  }
  if (!view.ip.empty()) {
    status.as_object()["podIP"] = view.ip;
    status.as_object()["podIPs"] = JsonArray{JsonObject{{"ip", view.ip}}};
  }
  JsonArray init, apps;
  for (const ContainerRef& ref : containers_of(pod))
    (ref.init ? init : apps).push_back(container_status(pod, *ref.spec, ref.init, initialized, view, now));
  if (!init.empty()) status.as_object()["initContainerStatuses"] = std::move(init);
  status.as_object()["containerStatuses"] = std::move(apps);
  std::string_view qos = str(pod, "status", "qosClass");
  status.as_object()["qosClass"] = qos.empty() ? qos_class(pod) : qos;
  Json statuses = status;
  set_conditions(holder, pod, view, phase, initialized, incomplete, statuses, now);
  return std::move(ensure(holder, "status"));
}

}  // namespace rs::node
