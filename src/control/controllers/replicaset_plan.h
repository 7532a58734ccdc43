// What a ReplicaSet needs (k8s pkg/controller/replicaset). Pure.
#pragma once

#include <optional>

#include "control/controllers/pods.h"

namespace rs::control {

// At most so many pods are created or deleted in one step (BurstReplicas).
constexpr int64_t kReplicaSetBurst = 500;

struct ReplicaSetPlan {
  int64_t create = 0;
  std::vector<ObjectPtr> remove;  // those that cost least, see deletes_before
};
// active: the pods it owns that are neither finished nor being deleted. related: active pods of all ReplicaSets of the
// same Deployment (itself included), for ranking.
ReplicaSetPlan plan_replica_set(const Json& replica_set, const std::vector<ObjectPtr>& active,
                                const std::vector<ObjectPtr>& related, WallTime now);

struct ReplicaFailure {
  std::string reason;   // FailedCreate, FailedDelete
  std::string message;
};
// The ReplicaSet with the status it should have; equal to the given one when nothing has changed.
Json with_replica_set_status(const Json& replica_set, const std::vector<ObjectPtr>& active,
                             const std::optional<ReplicaFailure>& failure, WallTime now);

// When the next ready pod becomes available by itself; nothing when none will.
std::optional<Duration> next_availability(const Json& replica_set, const std::vector<ObjectPtr>& active, WallTime now);

}  // namespace rs::control
