#include "control/controllers/deployment_status.h"

#include <limits>

namespace rs::control {
namespace {
constexpr std::string_view kNewAvailable = "NewReplicaSetAvailable";
constexpr std::string_view kTimedOut = "ProgressDeadlineExceeded";

int64_t count(const Json& deployment, const char* name) { return integer(deployment, "status", name); }

void set_count(Json& deployment, const char* name, int64_t value) {
  if (value == 0)
    erase(deployment, name, "status");  // as Go's omitempty
  else
    set(deployment, value, "status", name);
}

bool has_progressed(const Json& deployment, const Json& before) {
  auto old_replicas = [](const Json& d) { return count(d, "replicas") - count(d, "updatedReplicas"); };
  return count(deployment, "updatedReplicas") > count(before, "updatedReplicas") ||
         old_replicas(deployment) < old_replicas(before) ||
         count(deployment, "readyReplicas") > count(before, "readyReplicas") ||
         count(deployment, "availableReplicas") > count(before, "availableReplicas");
}

bool has_timed_out(const Json& deployment, WallTime now) {
  const Json* progressing = api::condition(deployment, "Progressing");
  if (!has_progress_deadline(deployment) || progressing == nullptr) return false;
  std::string_view reason = str(*progressing, "reason");
  if (reason == kNewAvailable) return false;
  if (reason == kTimedOut) return true;
  auto updated = time_at(*progressing, "lastUpdateTime");
  return updated.has_value() && *updated + seconds(integer(deployment, "spec", "progressDeadlineSeconds")) < now;
}
}  // namespace

bool has_progress_deadline(const Json& deployment) {
  int64_t deadline = integer_or(deployment, std::numeric_limits<int32_t>::max(), "spec", "progressDeadlineSeconds");
  return deadline != std::numeric_limits<int32_t>::max();
}

void set_deployment_condition(Json& deployment, std::string_view type, std::string_view status, std::string_view reason,
                              std::string_view message, WallTime now) {
  std::string transition = rfc3339(now);
  if (const Json* current = api::condition(deployment, type)) {
    if (str(*current, "status") == status && str(*current, "reason") == reason) return;
    if (str(*current, "status") == status) transition = str(*current, "lastTransitionTime");
    api::remove_condition(deployment, type);
  }
  Json& conditions = ensure(deployment, "status", "conditions");
  if (!conditions.is_array()) conditions = JsonArray();
  conditions.as_array().push_back(JsonObject{{"type", type},
                                             {"status", status},
                                             {"lastUpdateTime", rfc3339(now)},
                                             {"lastTransitionTime", transition},
                                             {"reason", reason},
                                             {"message", message}});
}

void set_counts(Json& deployment, const std::vector<WorkingSet>& sets, const WorkingSet* new_set, WallTime now) {
  int64_t wanted = 0, actual = 0, ready = 0, available = 0;
  for (const WorkingSet& set : sets) {
    wanted += set.replicas();
    actual += integer(set.object, "status", "replicas");
    ready += integer(set.object, "status", "readyReplicas");
    available += set.available();
  }
  set(deployment, integer(deployment, "metadata", "generation"), "status", "observedGeneration");
  set_count(deployment, "replicas", actual);
  set_count(deployment, "updatedReplicas", new_set == nullptr ? 0 : integer(new_set->object, "status", "replicas"));
  set_count(deployment, "readyReplicas", ready);
  set_count(deployment, "availableReplicas", available);
  set_count(deployment, "unavailableReplicas", std::max<int64_t>(0, wanted - available));
  if (available >= wanted_replicas(deployment) - max_unavailable(deployment))
    set_deployment_condition(deployment, "Available", "True", "MinimumReplicasAvailable",
                             "Deployment has minimum availability.", now);
  else
    set_deployment_condition(deployment, "Available", "False", "MinimumReplicasUnavailable",
                             "Deployment does not have minimum availability.", now);
}

bool is_complete(const Json& deployment) {
  int64_t wanted = wanted_replicas(deployment);
  return count(deployment, "updatedReplicas") == wanted && count(deployment, "replicas") == wanted &&
         count(deployment, "availableReplicas") == wanted &&
         count(deployment, "observedGeneration") >= integer(deployment, "metadata", "generation");
}

namespace {
void set_progressing(Json& deployment, const Json& before, const WorkingSet* new_set, WallTime now) {
  if (!has_progress_deadline(deployment)) {
    api::remove_condition(deployment, "Progressing");
    return;
  }
  const Json* current = api::condition(deployment, "Progressing");
  bool was_complete = count(deployment, "replicas") == count(deployment, "updatedReplicas") && current != nullptr &&
                      str(*current, "reason") == kNewAvailable;
  if (was_complete) return;
  std::string subject = new_set == nullptr ? fmt::format("Deployment \"{}\"", api::name_of(deployment))
                                           : fmt::format("ReplicaSet \"{}\"", api::name_of(new_set->object));
  if (is_complete(deployment)) {
    set_deployment_condition(deployment, "Progressing", "True", kNewAvailable,
                             subject + " has successfully progressed.", now);
  } else if (has_progressed(deployment, before)) {
    // The deadline counts from the last progress, so lastUpdateTime moves although status and reason stay.
    std::string transition;
    if (current != nullptr && str(*current, "status") == "True") transition = str(*current, "lastTransitionTime");
    api::remove_condition(deployment, "Progressing");
    set_deployment_condition(deployment, "Progressing", "True", "ReplicaSetUpdated", subject + " is progressing.", now);
    if (!transition.empty())
      set(ensure(deployment, "status", "conditions").as_array().back(), Json(transition), "lastTransitionTime");
  } else if (has_timed_out(deployment, now)) {
    set_deployment_condition(deployment, "Progressing", "False", kTimedOut, subject + " has timed out progressing.", now);
  }
}

// The new set's failure to create pods, or any other's when it has none.
const Json* replica_failure(const std::vector<WorkingSet>& sets, const WorkingSet* new_set) {
  if (new_set != nullptr)
    if (const Json* failure = api::condition(new_set->object, "ReplicaFailure")) return failure;
  for (const WorkingSet& set : sets)
    if (const Json* failure = api::condition(set.object, "ReplicaFailure")) return failure;
  return nullptr;
}
}  // namespace

void set_rollout_status(Json& deployment, const Json& before, const std::vector<WorkingSet>& sets,
                        const WorkingSet* new_set, WallTime now) {
  set_counts(deployment, sets, new_set, now);
  set_progressing(deployment, before, new_set, now);
  if (const Json* failure = replica_failure(sets, new_set))
    set_deployment_condition(deployment, "ReplicaFailure", str(*failure, "status"), str(*failure, "reason"),
                             str(*failure, "message"), now);
  else
    api::remove_condition(deployment, "ReplicaFailure");
}

std::optional<Duration> until_deadline(const Json& deployment, WallTime now) {
  const Json* progressing = api::condition(deployment, "Progressing");
  if (!has_progress_deadline(deployment) || progressing == nullptr || is_complete(deployment)) return std::nullopt;
  std::string_view reason = str(*progressing, "reason");
  if (reason == kNewAvailable || reason == kTimedOut) return std::nullopt;
  auto updated = time_at(*progressing, "lastUpdateTime");
  if (!updated.has_value()) return std::nullopt;
  Duration left = *updated + seconds(integer(deployment, "spec", "progressDeadlineSeconds")) - now;
  return std::max(left, Duration::zero()) + std::chrono::seconds(1);
}

}  // namespace rs::control
