// Status and conditions of a Deployment (k8s pkg/controller/deployment/progress.go). Pure.
#pragma once

#include <optional>

#include "control/controllers/deployment_replicas.h"

namespace rs::control {

// Sets a condition of .status.conditions with both its times; nothing changes when status and reason are the same.
void set_deployment_condition(Json& deployment, std::string_view type, std::string_view status, std::string_view reason,
                              std::string_view message, WallTime now);

bool has_progress_deadline(const Json& deployment);

// Counts and condition Available from the sets (new_set null: none yet). Progressing is left alone.
void set_counts(Json& deployment, const std::vector<WorkingSet>& sets, const WorkingSet* new_set, WallTime now);
// Counts, Available, Progressing and ReplicaFailure. before: the Deployment as it was, for what counts as progress.
void set_rollout_status(Json& deployment, const Json& before, const std::vector<WorkingSet>& sets,
                        const WorkingSet* new_set, WallTime now);

// All wanted replicas are updated and available, none of the old remain.
bool is_complete(const Json& deployment);
// When a rollout that is under way runs into its deadline; nothing when it has no deadline or is over.
std::optional<Duration> until_deadline(const Json& deployment, WallTime now);

}  // namespace rs::control
