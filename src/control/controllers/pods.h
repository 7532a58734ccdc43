// What several controllers ask about pods (k8s pkg/api/v1/pod, pkg/controller/controller_utils.go). Pure; any thread.
#pragma once

#include <optional>
#include <vector>

#include "api/meta.h"
#include "client/informer.h"

namespace rs::control {

using client::ObjectPtr;

// Nothing when the value at path is not a time.
template <class... Path>
std::optional<WallTime> time_at(const Json& object, Path... path) {
  WallTime time;
  if (!parse_rfc3339(str(object, path...), time)) return std::nullopt;
  return time;
}
inline Duration seconds(int64_t count) {
  constexpr int64_t kLongest = 100LL * 365 * 24 * 3600;  // so that sums of durations cannot overflow
  return std::chrono::seconds(std::min(std::max(count, -kLongest), kLongest));
}

bool is_finished(const Json& pod);   // phase Succeeded or Failed
bool is_active(const Json& pod);     // neither finished nor being deleted
bool is_ready(const Json& pod);      // condition Ready is true
// Ready for at least min_ready.
bool is_available(const Json& pod, Duration min_ready, WallTime now);
// How long until a ready pod becomes available; nothing when it is available already or not ready.
std::optional<Duration> until_available(const Json& pod, Duration min_ready, WallTime now);
int64_t restarts_of(const Json& pod);  // the highest restartCount of its containers

// A pod as owner (ReplicaSet, Job …) creates it: labels, annotations, finalizers and spec of the template, a controller
// reference, generateName "<owner>-".
Json pod_from_template(const Json& pod_template, const Json& owner);

// A pod with the number of related pods on its node: the rank of ActivePodsWithRanks.
struct RankedPod {
  ObjectPtr pod;
  int64_t related_on_node = 0;
};
// True when a should be deleted rather than b: unscheduled, pending, not ready, cheap (annotation
// controller.kubernetes.io/pod-deletion-cost), crowded, restarting, young pods first. Ages count by their magnitude
// (KEP-2185), ties are broken by uid, so the choice is stable but not always the newest.
bool deletes_before(const RankedPod& a, const RankedPod& b, WallTime now);

}  // namespace rs::control
