// The pod row: what users read most. Source: pkg/printers/internalversion/printers.go, printPod (1.32).
#include "api/meta.h"
#include "api/table_printers.h"

namespace rs::api::printers {
namespace {

// What the row says of a pod, gathered while walking its containers.
struct PodSummary {
  std::string reason;
  int64_t ready = 0, total = 0, restarts = 0;
  WallTime last_restart;

  void note_restart(const Json& status) {
    restarts += integer(status, "restartCount");
    WallTime finished;
    if (parse_rfc3339(str(status, "lastState", "terminated", "finishedAt"), finished))
      last_restart = std::max(last_restart, finished);
  }
  void clear_restarts() {
    restarts = 0;
    last_restart = {};
  }
};

bool is_restartable(const Json& pod, std::string_view init_container) {
  for (const Json& container : array(pod, "spec", "initContainers"))
    if (str(container, "name") == init_container) return str(container, "restartPolicy") == "Always";
  return false;
}

std::string termination_reason(const Json& terminated, std::string_view prefix) {
  if (std::string_view reason = str(terminated, "reason"); !reason.empty()) return fmt::format("{}{}", prefix, reason);
  if (int64_t signal = integer(terminated, "signal"); signal != 0) return fmt::format("{}Signal:{}", prefix, signal);
  return fmt::format("{}ExitCode:{}", prefix, integer(terminated, "exitCode"));
}

// True while some init container keeps the pod from starting; sidecars that have started do not.
bool summarise_init_containers(const Json& pod, PodSummary& summary, PodSummary& sidecars) {
  const JsonArray& statuses = array(pod, "status", "initContainerStatuses");
  for (size_t i = 0; i < statuses.size(); ++i) {
    const Json& status = statuses[i];
    bool sidecar = is_restartable(pod, str(status, "name"));
    summary.note_restart(status);
    if (sidecar) sidecars.note_restart(status);
    const Json* terminated = find(status, "state", "terminated");
    if (terminated != nullptr && integer(*terminated, "exitCode") == 0) continue;
    if (sidecar && boolean(status, "started")) {
      if (boolean(status, "ready")) ++summary.ready;
      continue;
    }
    std::string_view waiting = str(status, "state", "waiting", "reason");
    if (terminated != nullptr) summary.reason = termination_reason(*terminated, "Init:");
    else if (!waiting.empty() && waiting != "PodInitializing") summary.reason = fmt::format("Init:{}", waiting);
    else summary.reason = fmt::format("Init:{}/{}", i, array(pod, "spec", "initContainers").size());
    return true;
  }
  return false;
}

void summarise_containers(const Json& pod, PodSummary& summary) {
  bool running = false;
  const JsonArray& statuses = array(pod, "status", "containerStatuses");
  for (size_t i = statuses.size(); i-- > 0;) {
    const Json& status = statuses[i];
    summary.note_restart(status);
    if (std::string_view waiting = str(status, "state", "waiting", "reason"); !waiting.empty()) {
      summary.reason = waiting;
    } else if (const Json* terminated = find(status, "state", "terminated")) {
      summary.reason = termination_reason(*terminated, "");
    } else if (boolean(status, "ready") && find(status, "state", "running") != nullptr) {
      running = true;
      ++summary.ready;
    }
  }
  // Some containers are done, others still run: the pod as a whole is not Completed.
  if (summary.reason == "Completed" && running) summary.reason = condition_is_true(pod, "Ready") ? "Running" : "NotReady";
}

PodSummary summarise(const Json& pod) {
  PodSummary summary, sidecars;
  std::string_view phase = str(pod, "status", "phase");
  std::string_view reason = str(pod, "status", "reason");
  summary.reason = reason.empty() ? phase : reason;
  for (const Json& item : array(pod, "status", "conditions"))
    if (str(item, "type") == "PodScheduled" && str(item, "reason") == "SchedulingGated") summary.reason = "SchedulingGated";
  summary.total = int64_t(array(pod, "spec", "containers").size());
  for (const Json& container : array(pod, "spec", "initContainers"))
    if (str(container, "restartPolicy") == "Always") ++summary.total;

  bool initializing = summarise_init_containers(pod, summary, sidecars);
  if (!initializing || condition_is_true(pod, "Initialized")) {
    // Init containers are history: their restarts no longer count, those of sidecars do.
    summary.clear_restarts();
    summary.restarts = sidecars.restarts;
    summary.last_restart = sidecars.last_restart;
    summarise_containers(pod, summary);
  }
  if (is_deleting(pod)) {
    if (reason == "NodeLost") summary.reason = "Unknown";
    else if (phase != "Succeeded" && phase != "Failed") summary.reason = "Terminating";
  }
  return summary;
}

std::string readiness_gates(const Json& pod) {
  const JsonArray& gates = array(pod, "spec", "readinessGates");
  if (gates.empty()) return std::string(kNone);
  auto met = std::count_if(gates.begin(), gates.end(),
                           [&](const Json& gate) { return condition_is_true(pod, str(gate, "conditionType")); });
  return fmt::format("{}/{}", met, gates.size());
}

}  // namespace

JsonArray pod_cells(const Json& pod, WallTime now) {
  PodSummary summary = summarise(pod);
  std::string restarts = std::to_string(summary.restarts);
  if (summary.restarts != 0 && summary.last_restart != WallTime{})
    restarts += fmt::format(" ({} ago)", human_duration(now - summary.last_restart));
  const JsonArray& ips = array(pod, "status", "podIPs");
  std::string_view ip = ips.empty() ? str(pod, "status", "podIP") : str(ips[0], "ip");
  return {name_of(pod),
          fmt::format("{}/{}", summary.ready, summary.total),
          summary.reason,
          restarts,
          age(pod, now),
          or_none(ip),
          or_none(str(pod, "spec", "nodeName")),
          or_none(str(pod, "status", "nominatedNodeName")),
          readiness_gates(pod)};
}

JsonArray pod_conditions(const Json& pod) {
  std::string_view phase = str(pod, "status", "phase");
  if (phase != "Succeeded" && phase != "Failed") return {};
  return {JsonObject{{"type", "Completed"},
                     {"status", "True"},
                     {"reason", phase},
                     {"message", phase == "Failed" ? "The pod failed." : "The pod has completed successfully."}}};
}

}  // namespace rs::api::printers
