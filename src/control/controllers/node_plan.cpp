#include "control/controllers/node_plan.h"

#include "control/scheduler/cluster.h"

namespace rs::control {
namespace {

std::string_view ready_status(const Json& node) {
  const Json* ready = api::condition(node, "Ready");
  return ready == nullptr ? std::string_view("Unknown") : str(*ready, "status");
}

struct WantedTaint {
  std::string_view key, effect;
  bool wanted;
};

std::vector<WantedTaint> wanted_taints(const Json& node, bool may_evict, const std::set<std::pair<std::string, std::string>>& present) {
  std::string_view ready = ready_status(node);
  // A node that has not said anything yet is new, not lost.
  bool is_new = api::condition(node, "Ready") == nullptr;
  bool not_ready = is_new || ready == "False", unknown = !is_new && ready == "Unknown";
  if (is_new) may_evict = false;
  auto reports = [&](std::string_view type) { return api::condition_is_true(node, type); };
  auto evicts = [&](std::string_view key) { return may_evict || present.contains({std::string(key), "NoExecute"}); };
  return {
      {kNotReadyTaint, "NoSchedule", not_ready},
      {kNotReadyTaint, "NoExecute", not_ready && evicts(kNotReadyTaint)},
      {kUnreachableTaint, "NoSchedule", unknown},
      {kUnreachableTaint, "NoExecute", unknown && evicts(kUnreachableTaint)},
      {"node.kubernetes.io/memory-pressure", "NoSchedule", reports("MemoryPressure")},
      {"node.kubernetes.io/disk-pressure", "NoSchedule", reports("DiskPressure")},
      {"node.kubernetes.io/pid-pressure", "NoSchedule", reports("PIDPressure")},
      {"node.kubernetes.io/network-unavailable", "NoSchedule", reports("NetworkUnavailable")},
      {"node.kubernetes.io/unschedulable", "NoSchedule", boolean(node, "spec", "unschedulable")},
  };
}

}  // namespace

Json with_silence(const Json& node, WallTime now) {
  Json updated = node;
  for (const char* type : {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"}) {
    const Json* condition = api::condition(node, type);
    if (condition == nullptr)
      api::set_condition(updated, type, "Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status.", now);
    else if (str(*condition, "status") != "Unknown")
      api::set_condition(updated, type, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.", now);
  }
  return updated;
}

Json with_condition_taints(const Json& node, bool may_evict, WallTime now) {
  std::set<std::pair<std::string, std::string>> present;
  for (const Taint& taint : taints_of(node)) present.emplace(taint.key, taint.effect);
  std::vector<WantedTaint> wanted = wanted_taints(node, may_evict, present);
  JsonArray taints;
  for (const Json& taint : array(node, "spec", "taints")) {
    bool unwanted = std::ranges::any_of(wanted, [&](const WantedTaint& w) {
      return !w.wanted && w.key == str(taint, "key") && w.effect == str(taint, "effect");
    });
    if (!unwanted) taints.push_back(taint);
  }
  for (const WantedTaint& w : wanted)
    if (w.wanted && !present.contains({std::string(w.key), std::string(w.effect)}))
      taints.push_back(JsonObject{{"key", w.key}, {"effect", w.effect}, {"timeAdded", rfc3339(now)}});
  Json updated = node;
  if (taints.empty()) erase(updated, "taints", "spec");
  else set(updated, std::move(taints), "spec", "taints");
  return updated;
}

std::optional<WallTime> eviction_time(const Json& pod, const Json& node, WallTime now) {
  std::optional<WallTime> soonest;
  for (const Json& entry : array(node, "spec", "taints")) {
    if (str(entry, "effect") != "NoExecute") continue;
    Taint taint{std::string(str(entry, "key")), std::string(str(entry, "value")), "NoExecute"};
    WallTime added = time_at(entry, "timeAdded").value_or(now);
    std::optional<WallTime> leaves = now;   // not tolerated: at once
    std::vector<Toleration> tolerations = tolerations_of(pod);
    const JsonArray& list = array(pod, "spec", "tolerations");
    for (size_t i = 0; i < tolerations.size(); ++i) {
      if (!tolerates(tolerations[i], taint)) continue;
      const Json* seconds_left = find(list[i], "tolerationSeconds");
      leaves = seconds_left == nullptr ? std::nullopt
                                       : std::optional(added + seconds(std::max<int64_t>(0, integer_of(seconds_left, 0))));
      break;  // the first that matches counts
    }
    if (leaves.has_value() && (!soonest.has_value() || *leaves < *soonest)) soonest = leaves;
  }
  return soonest;
}

std::string zone_of_node(const Json& node) {
  return fmt::format("{}:{}", api::label(node, "topology.kubernetes.io/region"), api::label(node, "topology.kubernetes.io/zone"));
}

std::set<std::string> zones_that_evict(const std::vector<ObjectPtr>& nodes) {
  constexpr size_t kLargeCluster = 50;        // smaller ones stop evictions in a zone that is partly down
  constexpr double kUnhealthyShare = 0.55;
  struct Zone {
    size_t nodes = 0, not_ready = 0;
  };
  std::map<std::string, Zone> zones;
  for (const ObjectPtr& node : nodes) {
    Zone& zone = zones[zone_of_node(*node)];
    ++zone.nodes;
    if (ready_status(*node) != "True") ++zone.not_ready;
  }
  std::set<std::string> out;
  bool all_down = std::ranges::all_of(zones, [](const auto& z) { return z.second.not_ready == z.second.nodes; });
  if (all_down) return out;
  for (const auto& [name, zone] : zones) {
    bool full = zone.not_ready == zone.nodes;
    bool partial = !full && zone.not_ready > 2 &&
                   static_cast<double>(zone.not_ready) >= kUnhealthyShare * static_cast<double>(zone.nodes);
    if (!partial || nodes.size() > kLargeCluster) out.insert(name);
  }
  return out;
}

}  // namespace rs::control
