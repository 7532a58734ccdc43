// What a Deployment needs next (k8s pkg/controller/deployment). Pure: the Deployment, the ReplicaSets it owns and the
// time in; the writes of one step out. After the step the ReplicaSets change, which asks for the next one.
#pragma once

#include <optional>

#include "control/controllers/pods.h"

namespace rs::control {

struct ReplicaSetWrite {
  Json object;
  std::string event;    // message of the ScalingReplicaSet event; empty: none
};

struct DeploymentPlan {
  std::optional<ReplicaSetWrite> create;   // the new ReplicaSet
  std::vector<ReplicaSetWrite> update;
  std::vector<api::ObjectKey> remove;      // ReplicaSets beyond revisionHistoryLimit
  std::string revision;                    // what the Deployment's revision annotation must become; empty: as it is
  Json status;                             // what .status must be
  bool status_changed = false;
  std::optional<Duration> again_after;     // when the progress deadline passes
};

// old_pods_running: pods of ReplicaSets other than the new one still run (asked by strategy Recreate).
DeploymentPlan plan_deployment(const Json& deployment, const std::vector<ObjectPtr>& replica_sets, bool old_pods_running,
                               WallTime now);

// The ReplicaSet whose template is the Deployment's (pod-template-hash aside), the oldest if several; null: none.
ObjectPtr find_new_replica_set(const Json& deployment, const std::vector<ObjectPtr>& replica_sets);

// The value of label pod-template-hash: FNV-1a of the template's canonical text and the collision count, written with
// letters that form no words (apimachinery rand.SafeEncodeString).
std::string pod_template_hash(const Json& pod_template, int64_t collision_count);
bool same_template(const Json& a, const Json& b);   // semantically, pod-template-hash aside

// deployment with the Progressing condition of a ReplicaSet that could not be created.
Json with_create_failure(const Json& deployment, std::string_view replica_set, std::string_view message, WallTime now);

}  // namespace rs::control
