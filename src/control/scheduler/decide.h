// Where a pod should run: pure filters and scores (k8s pkg/scheduler/framework/plugins, default weights of v1.32).
#pragma once

#include "base/random.h"
#include "control/scheduler/cluster.h"

namespace rs::control {

// Counts per topology that the filters of one pod need; computed once per decision.
class Filter {
 public:
  Filter(const PodInfo& pod, const Cluster& cluster);
  // Why the pod cannot run on the node, in upstream's words; empty: it can.
  std::vector<std::string> reasons_against(const NodeInfo& node) const;

 private:
  using Domain = std::pair<std::string, std::string>;   // topology key, value
  std::string against_spread(const NodeInfo& node) const;
  std::string against_other_pods(const NodeInfo& node) const;
  void count_spread();
  void count_affinity();

  struct Spread {
    const SpreadConstraint* constraint;
    std::map<std::string, int64_t, std::less<>> pods;  // topology value -> matching pods
    int64_t least = 0;
    bool matches_itself = false;
  };
  const PodInfo& pod_;
  const Cluster& cluster_;
  std::vector<Spread> spread_;
  std::map<Domain, int64_t> affinity_;          // pods that match all of the pod's affinity terms
  std::vector<std::map<std::string, int64_t, std::less<>>> anti_affinity_by_term_;
  std::map<Domain, int64_t> repelled_by_;       // running pods that do not want this one near
  bool matches_its_own_affinity_ = false;
};

// 0 … 100 times each plugin's weight, for every candidate (same order).
std::vector<int64_t> score_nodes(const PodInfo& pod, const Cluster& cluster, const std::vector<const NodeInfo*>& candidates);

struct Decision {
  std::string node;       // empty: none fits
  std::string message;    // then why: "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
};
// Among the best nodes one is picked at random.
Decision decide(const PodInfo& pod, const Cluster& cluster, Random& random);

}  // namespace rs::control
