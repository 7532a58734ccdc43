#include <cmath>

#include "control/scheduler/decide.h"

namespace rs::control {
namespace {

constexpr double kMost = 100;
using Scores = std::vector<double>;
using Nodes = std::vector<const NodeInfo*>;

bool tolerated(const PodInfo& pod, const Taint& taint) {
  return std::ranges::any_of(pod.tolerations, [&](const Toleration& t) { return tolerates(t, taint); });
}

// Scaled so that the highest is 100 (all zero stays); reversed: so that the highest becomes 0.
void normalise(Scores& scores, bool reversed) {
  double most = scores.empty() ? 0 : *std::ranges::max_element(scores);
  for (double& score : scores) {
    score = most > 0 ? score * kMost / most : 0;
    if (reversed) score = kMost - score;
  }
}
void normalise_range(Scores& scores) {
  if (scores.empty()) return;
  auto [least, most] = std::ranges::minmax_element(scores);
  double low = *least, high = *most;
  for (double& score : scores) score = high > low ? (score - low) * kMost / (high - low) : 0;
}

// Fewer taints of effect PreferNoSchedule that the pod does not tolerate.
Scores taints(const PodInfo& pod, const Nodes& nodes) {
  Scores out;
  for (const NodeInfo* node : nodes)
    out.push_back(static_cast<double>(std::ranges::count_if(
        node->taints, [&](const Taint& t) { return t.effect == "PreferNoSchedule" && !tolerated(pod, t); })));
  normalise(out, true);
  return out;
}

Scores preferred_nodes(const PodInfo& pod, const Nodes& nodes) {
  Scores out;
  for (const NodeInfo* node : nodes) {
    int64_t sum = 0;
    for (const NodeTerm& term : pod.preferred_nodes)
      if (term.matches(*node->object)) sum += term.weight;
    out.push_back(static_cast<double>(sum));
  }
  normalise(out, false);
  return out;
}

// Mean over cpu and memory of the share that stays free.
double least_allocated(const PodInfo& pod, const NodeInfo& node) {
  auto free_share = [](int64_t used, int64_t allocatable) {
    if (allocatable <= 0 || used > allocatable) return 0.0;
    return static_cast<double>(allocatable - used) * kMost / static_cast<double>(allocatable);
  };
  return (free_share(node.score_cpu + pod.score_cpu, node.allocatable.milli_cpu) +
          free_share(node.score_memory + pod.score_memory, node.allocatable.memory)) / 2;
}

// Cpu and memory used in equal shares.
double balanced(const PodInfo& pod, const NodeInfo& node) {
  auto share = [](int64_t used, int64_t allocatable) {
    return allocatable <= 0 ? 1.0 : std::min(1.0, static_cast<double>(used) / static_cast<double>(allocatable));
  };
  double cpu = share(node.requested.milli_cpu + pod.requests.milli_cpu, node.allocatable.milli_cpu);
  double memory = share(node.requested.memory + pod.requests.memory, node.allocatable.memory);
  return (1 - std::abs(cpu - memory) / 2) * kMost;
}

// Images that are there already, discounted when few nodes have them (else one node would attract everything).
Scores images(const PodInfo& pod, const Cluster& cluster, const Nodes& nodes) {
  constexpr double kLeast = 23.0 * 1024 * 1024, kMostPerContainer = 1000.0 * 1024 * 1024;
  const JsonArray& containers = array(*pod.object, "spec", "containers");
  Scores out(nodes.size(), 0);
  double most = kMostPerContainer * std::max<double>(1, static_cast<double>(containers.size()));
  for (const Json& container : containers) {
    std::string image(str(container, "image"));
    if (image.rfind(':') == std::string::npos || image.rfind(':') < image.rfind('/') + 1) image += ":latest";
    double having = 0;
    for (const auto& [name, node] : cluster.nodes()) having += node.images.contains(image) ? 1 : 0;
    if (having == 0) continue;
    for (size_t i = 0; i < nodes.size(); ++i)
      if (auto it = nodes[i]->images.find(image); it != nodes[i]->images.end())
        out[i] += static_cast<double>(it->second) * having / static_cast<double>(cluster.nodes().size());
  }
  for (double& sum : out) sum = (std::clamp(sum, kLeast, most) - kLeast) * kMost / (most - kLeast);
  return out;
}

// Preferences of the pod about running pods, and of running pods about it.
Scores other_pods(const PodInfo& pod, const Cluster& cluster, const Nodes& nodes) {
  std::map<std::pair<std::string, std::string>, int64_t> weights;  // topology key, value
  for (const auto& [name, node] : cluster.nodes()) {
    if (node.object == nullptr) continue;
    auto add = [&](const PodTerm& term, int64_t weight) {
      if (node.has_label(term.topology_key)) weights[{term.topology_key, std::string(node.label(term.topology_key))}] += weight;
    };
    for (const auto& [key, other] : node.pods) {
      for (const PodTerm& t : pod.preferred_affinity) if (cluster.term_matches(t, *other)) add(t, t.weight);
      for (const PodTerm& t : pod.preferred_anti_affinity) if (cluster.term_matches(t, *other)) add(t, -t.weight);
      for (const PodTerm& t : other->preferred_affinity) if (cluster.term_matches(t, pod)) add(t, t.weight);
      for (const PodTerm& t : other->preferred_anti_affinity) if (cluster.term_matches(t, pod)) add(t, -t.weight);
      for (const PodTerm& t : other->affinity) if (cluster.term_matches(t, pod)) add(t, 1);
    }
  }
  Scores out;
  for (const NodeInfo* node : nodes) {
    int64_t sum = 0;
    for (const auto& [domain, weight] : weights)
      if (node->has_label(domain.first) && node->label(domain.first) == domain.second) sum += weight;
    out.push_back(static_cast<double>(sum));
  }
  normalise_range(out);
  return out;
}

struct SoftSpread {
  std::string topology_key;
  int64_t max_skew;
  std::function<bool(const PodInfo& other)> counts;
};

// Constraints of kind ScheduleAnyway; for a pod with none at all and a controller, upstream's defaults: spread its
// siblings over hosts (skew 3) and zones (skew 5).
std::vector<SoftSpread> soft_spread(const PodInfo& pod) {
  std::vector<SoftSpread> out;
  for (const SpreadConstraint& c : pod.spread)
    if (!c.hard)
      out.push_back({c.topology_key, c.max_skew, [&pod, &c](const PodInfo& other) {
                       return other.key.ns == pod.key.ns && c.selector.matches(other.labels());
                     }});
  if (!pod.spread.empty() || pod.owner_uid.empty()) return out;
  auto sibling = [&pod](const PodInfo& other) { return other.owner_uid == pod.owner_uid; };
  out.push_back({"kubernetes.io/hostname", 3, sibling});
  out.push_back({"topology.kubernetes.io/zone", 5, sibling});
  return out;
}

// Fewer matching pods in the node's domains; rarer domains weigh more.
Scores spread(const PodInfo& pod, const Cluster& cluster, const Nodes& nodes) {
  Scores out(nodes.size(), 0);
  std::vector<SoftSpread> constraints = soft_spread(pod);
  if (constraints.empty()) return out;
  for (const SoftSpread& constraint : constraints) {
    std::map<std::string, int64_t, std::less<>> pods;
    for (const NodeInfo* node : nodes)
      if (node->has_label(constraint.topology_key)) pods.emplace(node->label(constraint.topology_key), 0);
    for (const auto& [name, node] : cluster.nodes()) {
      if (node.object == nullptr || !node.has_label(constraint.topology_key)) continue;
      auto domain = pods.find(node.label(constraint.topology_key));
      if (domain == pods.end()) continue;
      for (const auto& [key, other] : node.pods)
        if (!api::is_deleting(*other->object) && constraint.counts(*other)) ++domain->second;
    }
    double weight = std::log(static_cast<double>(pods.size() + 2));
    for (size_t i = 0; i < nodes.size(); ++i)
      if (auto domain = pods.find(nodes[i]->label(constraint.topology_key)); domain != pods.end())
        out[i] += static_cast<double>(domain->second) * weight + static_cast<double>(constraint.max_skew - 1);
  }
  auto [least, most] = std::ranges::minmax_element(out);
  double low = *least, high = *most;
  for (double& score : out) score = high > 0 ? kMost * (high + low - score) / high : kMost;
  return out;
}

}  // namespace

std::vector<int64_t> score_nodes(const PodInfo& pod, const Cluster& cluster, const std::vector<const NodeInfo*>& candidates) {
  Scores allocation, balance;
  for (const NodeInfo* node : candidates) {
    allocation.push_back(least_allocated(pod, *node));
    balance.push_back(balanced(pod, *node));
  }
  const std::pair<int, Scores> plugins[] = {
      {3, taints(pod, candidates)},          {2, preferred_nodes(pod, candidates)}, {2, spread(pod, cluster, candidates)},
      {2, other_pods(pod, cluster, candidates)}, {1, std::move(allocation)},        {1, std::move(balance)},
      {1, images(pod, cluster, candidates)},
  };
  std::vector<int64_t> out(candidates.size(), 0);
  for (const auto& [weight, scores] : plugins)
    for (size_t i = 0; i < out.size(); ++i) out[i] += weight * static_cast<int64_t>(scores[i]);
  return out;
}

Decision decide(const PodInfo& pod, const Cluster& cluster, Random& random) {
  Filter filter(pod, cluster);
  std::vector<const NodeInfo*> candidates;
  std::map<std::string, int64_t> against;
  int64_t nodes = 0;
  for (const auto& [name, node] : cluster.nodes()) {
    if (node.object == nullptr) continue;
    ++nodes;
    auto reasons = filter.reasons_against(node);
    if (reasons.empty()) candidates.push_back(&node);
    for (std::string& reason : reasons) ++against[std::move(reason)];
  }
  if (candidates.empty()) {
    if (nodes == 0) return {{}, "no nodes available to schedule pods"};
    std::vector<std::string> texts;
    for (const auto& [reason, count] : against) texts.push_back(fmt::format("{} {}", count, reason));
    std::sort(texts.begin(), texts.end());
    return {{}, fmt::format("0/{} nodes are available: {}.", nodes, fmt::join(texts, ", "))};
  }
  std::vector<int64_t> scores = score_nodes(pod, cluster, candidates);
  int64_t best = *std::ranges::max_element(scores);
  std::vector<const NodeInfo*> equal;
  for (size_t i = 0; i < scores.size(); ++i)
    if (scores[i] == best) equal.push_back(candidates[i]);
  const NodeInfo* chosen = equal[random.below(equal.size())];
  return {std::string(api::name_of(*chosen->object)), {}};
}

}  // namespace rs::control
