// What becomes of a node that falls silent or reports trouble (k8s pkg/controller/nodelifecycle, tainteviction). Pure.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "control/controllers/pods.h"

namespace rs::control {

constexpr std::string_view kNotReadyTaint = "node.kubernetes.io/not-ready";
constexpr std::string_view kUnreachableTaint = "node.kubernetes.io/unreachable";

// The node with its conditions Unknown, because nothing was heard from it for longer than it is given.
Json with_silence(const Json& node, WallTime now);

// The node with the taints its conditions and spec.unschedulable call for; others stay. may_evict: also NoExecute taints
// for a node that is not ready (it keeps one that it has).
Json with_condition_taints(const Json& node, bool may_evict, WallTime now);

// Whether the pod must leave the node because of NoExecute taints: nothing, it may stay as long as it likes; else when.
std::optional<WallTime> eviction_time(const Json& pod, const Json& node, WallTime now);

// Zones in which a node that is not ready may lose its pods. When everything looks dead the fault is rather here (the
// network of the control plane), and when most of a zone does, moving its pods would only make it worse: nothing is
// evicted then (zone disruption modes of the node lifecycle controller).
std::set<std::string> zones_that_evict(const std::vector<ObjectPtr>& nodes);
std::string zone_of_node(const Json& node);

}  // namespace rs::control
