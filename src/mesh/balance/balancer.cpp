#include "mesh/balance/balancer.h"

#include <algorithm>
#include <cmath>

namespace rs::mesh {

void Balancer::update(const Resolution& resolution, MonoTime now) {
  static const std::vector<Endpoint> kNone;
  const auto* set = std::get_if<Set>(&resolution);
  const auto& endpoints = set == nullptr ? kNone : set->endpoints;
  std::vector<NodePtr> next;
  next.reserve(endpoints.size());
  for (const auto& endpoint : endpoints) {
    auto known = std::find_if(nodes_.begin(), nodes_.end(), [&](const NodePtr& node) {
      // The same address under another pod is another server: nothing is known of it.
      return node != nullptr && node->endpoint.ip == endpoint.ip && node->endpoint.port == endpoint.port &&
             node->endpoint.pod_uid == endpoint.pod_uid;
    });
    if (known == nodes_.end()) {
      next.push_back(std::make_shared<Node>(endpoint, now));
      continue;
    }
    (*known)->endpoint = endpoint;
    next.push_back(std::move(*known));
  }
  for (const auto& node : nodes_)
    if (node != nullptr) node->present = false;
  nodes_ = std::move(next);
  usable_.clear();
  for (const auto& node : nodes_)
    if (node->endpoint.usable()) usable_.push_back(node);
  if (usable_.empty()) {
    for (const auto& node : nodes_)
      if (node->endpoint.terminating && node->endpoint.serving && !node->endpoint.draining) usable_.push_back(node);
  }
}

bool Balancer::available(const Node& node, MonoTime now) const {
  if (!node.ejected) return true;
  return now >= node.ejected_until && !node.probing;
}

size_t Balancer::ejected(MonoTime now) const {
  return static_cast<size_t>(
      std::count_if(usable_.begin(), usable_.end(), [&](const NodePtr& node) { return !available(*node, now); }));
}

Balancer::NodePtr Balancer::pick(MonoTime now, Random& random, std::span<const NodePtr> tried) {
  size_t count = usable_.size();
  if (count == 0) return nullptr;
  auto was_tried = [&](const NodePtr& node) { return std::find(tried.begin(), tried.end(), node) != tried.end(); };
  if (count == 1) return usable_[0];
  auto good = [&](const NodePtr& node) { return available(*node, now) && !was_tried(node); };
  for (int effort = 0; effort < BalancerLimits::kEffort; ++effort) {
    size_t a = random.below(count), b = random.below(count - 1);
    b += b >= a ? 1 : 0;
    const auto &first = usable_[a], &second = usable_[b];
    bool first_good = good(first), second_good = good(second);
    if (!first_good && !second_good) continue;
    if (!second_good) return first;
    if (!first_good) return second;
    return second->load(now) < first->load(now) ? second : first;
  }
  auto least = [&](auto&& allowed) {
    NodePtr best;
    for (const auto& node : usable_)
      if (allowed(node) && (best == nullptr || node->load(now) < best->load(now))) best = node;
    return best;
  };
  bool panic = (count - ejected(now)) * 2 < count;
  if (!panic) {
    if (auto node = least(good); node != nullptr) return node;
  }
  auto refused_recently = [&](const NodePtr& node) {
    return node->refused && now - node->refused_at < BalancerLimits::kRefusedRecently;
  };
  if (auto node = least([&](const NodePtr& n) { return !was_tried(n) && !refused_recently(n); }); node != nullptr) return node;
  if (auto node = least([&](const NodePtr& n) { return !was_tried(n); }); node != nullptr) return node;
  if (auto node = least([&](const NodePtr& n) { return available(*n, now); }); node != nullptr) return node;
  return least([](const NodePtr&) { return true; });
}

void Balancer::started(Node& node, MonoTime now) {
  ++node.in_flight;
  if (node.ejected && now >= node.ejected_until) node.probing = true;
}

void Balancer::eject(Node& node, MonoTime now, Random& random) {
  auto pause = BalancerLimits::kFirstEjection * (int64_t{1} << std::min(node.ejections, 10));
  pause = std::min(pause, BalancerLimits::kLongestEjection);
  pause += Duration(random.between(0, pause.count() / 2));
  node.ejected = true;
  node.probing = false;
  node.ejected_until = now + pause;
  ++node.ejections;
}

void Balancer::finished(Node& node, Outcome outcome, Duration rtt, MonoTime now, Random& random, bool stale_view) {
  if (node.in_flight > 0) --node.in_flight;
  if (outcome == Outcome::kUnjudged) {
    node.probing = false;
    return;
  }
  ++node.interval_requests;
  if (outcome == Outcome::kSuccess) {
    ++node.interval_successes;
    node.ewma.observe(rtt, now);
    node.server_errors = node.gateway_errors = node.connect_failures = 0;
    node.refused = false;
    // A late success of a request begun before the ejection says nothing: only its probation frees a node.
    if (node.ejected && now >= node.ejected_until) node.ejected = node.probing = false;
    if (!node.ejected) node.ejections = 0;
    return;
  }
  node.ewma.observe(std::max(rtt, BalancerLimits::kFailurePenalty), now);
  if (node.ejected) {
    if (now >= node.ejected_until) eject(node, now, random);
  }
  bool too_many = false;
  switch (outcome) {
    case Outcome::kConnectFailure:
      node.refused = true;
      node.refused_at = now;
      too_many = ++node.connect_failures >= (stale_view ? 1 : BalancerLimits::kConnectFailures);
      break;
    case Outcome::kGatewayError:
      node.connect_failures = 0;
      too_many = ++node.gateway_errors >= BalancerLimits::kGatewayErrors;
      break;
    default:
      node.connect_failures = 0;
      too_many = ++node.server_errors + node.gateway_errors >= BalancerLimits::kServerErrors;
  }
  if (too_many && !node.ejected) eject(node, now, random);
}

void Balancer::tick(MonoTime now, Random& random) {
  if (now - rates_from_ < BalancerLimits::kRateInterval) return;
  rates_from_ = now;
  double sum = 0, squares = 0;
  size_t hosts = 0;
  auto rate = [](const Node& node) {
    return static_cast<double>(node.interval_successes) / static_cast<double>(node.interval_requests);
  };
  for (const auto& node : usable_) {
    if (node->interval_requests < BalancerLimits::kRateRequests) continue;
    ++hosts;
    sum += rate(*node);
    squares += rate(*node) * rate(*node);
  }
  if (hosts >= BalancerLimits::kRateHosts) {
    double mean = sum / static_cast<double>(hosts);
    double deviation = std::sqrt(std::max(0.0, squares / static_cast<double>(hosts) - mean * mean));
    for (const auto& node : usable_) {
      bool outlier = node->interval_requests >= BalancerLimits::kRateRequests &&
                     rate(*node) < mean - deviation * BalancerLimits::kRateDeviations;
      if (outlier && !node->ejected && (ejected(now) + 1) * 2 <= usable_.size()) eject(*node, now, random);
    }
  }
  for (const auto& node : nodes_) node->interval_requests = node->interval_successes = 0;
}

}  // namespace rs::mesh
