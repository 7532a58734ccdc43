#include "control/scheduler/decide.h"

namespace rs::control {
namespace {

constexpr std::string_view kUnschedulableTaint = "node.kubernetes.io/unschedulable";

bool tolerated(const PodInfo& pod, const Taint& taint) {
  return std::ranges::any_of(pod.tolerations, [&](const Toleration& t) { return tolerates(t, taint); });
}

const Taint* untolerated_taint(const PodInfo& pod, const NodeInfo& node) {
  for (const Taint& taint : node.taints)
    if ((taint.effect == "NoSchedule" || taint.effect == "NoExecute") && !tolerated(pod, taint)) return &taint;
  return nullptr;
}

std::vector<std::string> missing_resources(const PodInfo& pod, const NodeInfo& node) {
  std::vector<std::string> out;
  if (static_cast<int64_t>(node.pods.size()) + 1 > node.allocatable_pods) out.emplace_back("Too many pods");
  auto check = [&out](std::string_view name, int64_t wanted, int64_t allocatable, int64_t used) {
    if (wanted > 0 && wanted > allocatable - used) out.push_back(fmt::format("Insufficient {}", name));
  };
  check("cpu", pod.requests.milli_cpu, node.allocatable.milli_cpu, node.requested.milli_cpu);
  check("memory", pod.requests.memory, node.allocatable.memory, node.requested.memory);
  check("ephemeral-storage", pod.requests.ephemeral_storage, node.allocatable.ephemeral_storage,
        node.requested.ephemeral_storage);
  auto count = [](const Resources& resources, const std::string& name) {
    auto it = resources.others.find(name);
    return it == resources.others.end() ? 0 : it->second;
  };
  for (const auto& [name, wanted] : pod.requests.others)
    check(name, wanted, count(node.allocatable, name), count(node.requested, name));
  return out;
}

bool ports_taken(const PodInfo& pod, const NodeInfo& node) {
  if (pod.host_ports.empty()) return false;
  for (const auto& [key, other] : node.pods)
    for (const HostPort& used : other->host_ports)
      for (const HostPort& wanted : pod.host_ports)
        if (wanted.conflicts_with(used)) return true;
  return false;
}

}  // namespace

Filter::Filter(const PodInfo& pod, const Cluster& cluster) : pod_(pod), cluster_(cluster) {
  count_spread();
  count_affinity();
}

void Filter::count_spread() {
  for (const SpreadConstraint& constraint : pod_.spread)
    if (constraint.hard) spread_.push_back({&constraint, {}, 0, constraint.selector.matches(pod_.labels())});
  if (spread_.empty()) return;
  for (const auto& [name, node] : cluster_.nodes()) {
    if (node.object == nullptr) continue;
    bool has_all = std::ranges::all_of(spread_, [&](const Spread& s) { return node.has_label(s.constraint->topology_key); });
    if (!has_all) continue;
    for (Spread& spread : spread_) {
      if (spread.constraint->honour_affinity && !pod_.wants_node(*node.object)) continue;
      if (spread.constraint->honour_taints && untolerated_taint(pod_, node) != nullptr) continue;
      int64_t& count = spread.pods[std::string(node.label(spread.constraint->topology_key))];
      for (const auto& [key, other] : node.pods)
        if (key.ns == pod_.key.ns && !api::is_deleting(*other->object) && spread.constraint->selector.matches(other->labels()))
          ++count;
    }
  }
  for (Spread& spread : spread_) {
    if (spread.pods.empty() || static_cast<int64_t>(spread.pods.size()) < spread.constraint->min_domains) continue;
    spread.least = std::ranges::min_element(spread.pods, {}, [](const auto& e) { return e.second; })->second;
  }
}

void Filter::count_affinity() {
  auto matches_all = [&](const std::vector<PodTerm>& terms, const PodInfo& other) {
    return !terms.empty() && std::ranges::all_of(terms, [&](const PodTerm& t) { return cluster_.term_matches(t, other); });
  };
  matches_its_own_affinity_ = matches_all(pod_.affinity, pod_);
  anti_affinity_by_term_.resize(pod_.anti_affinity.size());
  for (const auto& [name, node] : cluster_.nodes()) {
    if (node.object == nullptr) continue;
    for (const auto& [key, other] : node.pods) {
      if (matches_all(pod_.affinity, *other))
        for (const PodTerm& term : pod_.affinity)
          if (node.has_label(term.topology_key)) ++affinity_[{term.topology_key, std::string(node.label(term.topology_key))}];
      for (size_t i = 0; i < pod_.anti_affinity.size(); ++i) {
        const PodTerm& term = pod_.anti_affinity[i];
        if (node.has_label(term.topology_key) && cluster_.term_matches(term, *other))
          ++anti_affinity_by_term_[i][std::string(node.label(term.topology_key))];
      }
      for (const PodTerm& term : other->anti_affinity)
        if (node.has_label(term.topology_key) && cluster_.term_matches(term, pod_))
          ++repelled_by_[{term.topology_key, std::string(node.label(term.topology_key))}];
    }
  }
}

std::string Filter::against_spread(const NodeInfo& node) const {
  for (const Spread& spread : spread_) {
    if (!node.has_label(spread.constraint->topology_key))
      return "node(s) didn't match pod topology spread constraints (missing required label)";
    auto it = spread.pods.find(node.label(spread.constraint->topology_key));
    int64_t here = (it == spread.pods.end() ? 0 : it->second) + (spread.matches_itself ? 1 : 0);
    if (here - spread.least > spread.constraint->max_skew) return "node(s) didn't match pod topology spread constraints";
  }
  return {};
}

std::string Filter::against_other_pods(const NodeInfo& node) const {
  bool near_all = std::ranges::all_of(pod_.affinity, [&](const PodTerm& term) {
    return node.has_label(term.topology_key) && affinity_.contains({term.topology_key, std::string(node.label(term.topology_key))});
  });
  if (!near_all) {
    // The first of a group that wants to be near itself may go anywhere.
    bool has_keys = std::ranges::all_of(pod_.affinity, [&](const PodTerm& t) { return node.has_label(t.topology_key); });
    if (!(affinity_.empty() && matches_its_own_affinity_ && has_keys)) return "node(s) didn't match pod affinity rules";
  }
  for (size_t i = 0; i < pod_.anti_affinity.size(); ++i) {
    const PodTerm& term = pod_.anti_affinity[i];
    if (node.has_label(term.topology_key) && anti_affinity_by_term_[i].contains(node.label(term.topology_key)))
      return "node(s) didn't match pod anti-affinity rules";
  }
  for (const auto& [domain, count] : repelled_by_)
    if (node.has_label(domain.first) && node.label(domain.first) == domain.second)
      return "node(s) didn't satisfy existing pods anti-affinity rules";
  return {};
}

std::vector<std::string> Filter::reasons_against(const NodeInfo& node) const {
  const Json& object = *node.object;
  if (boolean(object, "spec", "unschedulable") &&
      !tolerated(pod_, {std::string(kUnschedulableTaint), "", "NoSchedule"}))
    return {"node(s) were unschedulable"};
  if (auto wanted = str(*pod_.object, "spec", "nodeName"); !wanted.empty() && wanted != api::name_of(object))
    return {"node(s) didn't match the requested node name"};
  if (const Taint* taint = untolerated_taint(pod_, node))
    return {fmt::format("node(s) had untolerated taint {{{}: {}}}", taint->key, taint->value)};
  if (!pod_.wants_node(object)) return {"node(s) didn't match Pod's node affinity/selector"};
  if (ports_taken(pod_, node)) return {"node(s) didn't have free ports for the requested pod ports"};
  if (auto missing = missing_resources(pod_, node); !missing.empty()) return missing;
  if (auto reason = against_spread(node); !reason.empty()) return {reason};
  if (auto reason = against_other_pods(node); !reason.empty()) return {reason};
  return {};
}

}  // namespace rs::control
