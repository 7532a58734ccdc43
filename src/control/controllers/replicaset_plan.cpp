#include "control/controllers/replicaset_plan.h"

#include <algorithm>
#include <map>

#include "api/selector.h"

namespace rs::control {

ReplicaSetPlan plan_replica_set(const Json& replica_set, const std::vector<ObjectPtr>& active,
                                const std::vector<ObjectPtr>& related, WallTime now) {
  ReplicaSetPlan plan;
  int64_t wanted = std::max<int64_t>(0, integer_or(replica_set, 1, "spec", "replicas"));
  int64_t missing = wanted - static_cast<int64_t>(active.size());
  if (missing > 0) {
    plan.create = std::min(missing, kReplicaSetBurst);
    return plan;
  }
  int64_t surplus = std::min(-missing, kReplicaSetBurst);
  if (surplus == 0) return plan;

  std::map<std::string_view, int64_t> on_node;
  for (const ObjectPtr& pod : related) ++on_node[str(*pod, "spec", "nodeName")];
  std::vector<RankedPod> ranked;
  for (const ObjectPtr& pod : active) ranked.push_back({pod, on_node[str(*pod, "spec", "nodeName")]});
  std::sort(ranked.begin(), ranked.end(),
            [now](const RankedPod& a, const RankedPod& b) { return deletes_before(a, b, now); });
  for (int64_t i = 0; i < surplus; ++i) plan.remove.push_back(ranked[static_cast<size_t>(i)].pod);
  return plan;
}

namespace {
void set_count(Json& status, std::string_view name, int64_t count) {
  if (count == 0)
    erase(status, name);  // as Go's omitempty
  else
    set(status, count, name);
}
}  // namespace

Json with_replica_set_status(const Json& replica_set, const std::vector<ObjectPtr>& active,
                             const std::optional<ReplicaFailure>& failure, WallTime now) {
  Duration min_ready = seconds(integer(replica_set, "spec", "minReadySeconds"));
  auto template_labels = api::LabelSelector::from_labels(object(replica_set, "spec", "template", "metadata", "labels"));
  int64_t labelled = 0, ready = 0, available = 0;
  for (const ObjectPtr& pod : active) {
    if (template_labels.matches_object(*pod)) ++labelled;
    if (!is_ready(*pod)) continue;
    ++ready;
    if (is_available(*pod, min_ready, now)) ++available;
  }
  Json updated = replica_set;
  Json& status = ensure(updated, "status");
  set(status, static_cast<int64_t>(active.size()), "replicas");
  set_count(status, "fullyLabeledReplicas", labelled);
  set_count(status, "readyReplicas", ready);
  set_count(status, "availableReplicas", available);
  set(status, integer(replica_set, "metadata", "generation"), "observedGeneration");
  if (failure.has_value())
    api::set_condition(updated, "ReplicaFailure", "True", failure->reason, failure->message, now);
  else
    api::remove_condition(updated, "ReplicaFailure");
  return updated;
}

std::optional<Duration> next_availability(const Json& replica_set, const std::vector<ObjectPtr>& active, WallTime now) {
  Duration min_ready = seconds(integer(replica_set, "spec", "minReadySeconds"));
  std::optional<Duration> soonest;
  if (min_ready <= Duration::zero()) return soonest;
  for (const ObjectPtr& pod : active) {
    auto wait = until_available(*pod, min_ready, now);
    if (wait.has_value() && (!soonest.has_value() || *wait < *soonest)) soonest = wait;
  }
  return soonest;
}

}  // namespace rs::control
