// Arithmetic of a rollout: how many pods each ReplicaSet may have (k8s pkg/controller/deployment/util). Pure.
#pragma once

#include "control/controllers/pods.h"

namespace rs::control {

constexpr std::string_view kRevision = "deployment.kubernetes.io/revision";
constexpr std::string_view kRevisionHistory = "deployment.kubernetes.io/revision-history";
constexpr std::string_view kDesiredReplicas = "deployment.kubernetes.io/desired-replicas";
constexpr std::string_view kMaxReplicas = "deployment.kubernetes.io/max-replicas";
constexpr std::string_view kPodTemplateHash = "pod-template-hash";

// A ReplicaSet being worked on: object is changed, before is what the server has (null: to be created).
struct WorkingSet {
  Json object;
  ObjectPtr before;
  std::string event;

  int64_t replicas() const { return integer_or(object, 1, "spec", "replicas"); }
  int64_t available() const { return integer(object, "status", "availableReplicas"); }
};

bool is_rolling_update(const Json& deployment);
int64_t wanted_replicas(const Json& deployment);
int64_t max_surge(const Json& deployment);         // 0 for Recreate
int64_t max_unavailable(const Json& deployment);   // 0 for Recreate; never more than the replicas
int64_t revision_of(const Json& object);
int64_t annotation_number(const Json& object, std::string_view name, int64_t otherwise);

// How many replicas the new set may have now (NewRSNewReplicas). total: spec.replicas of all sets, the new one included.
int64_t new_set_replicas(const Json& deployment, int64_t total, int64_t current);

// Older first; equal times by name.
bool older(const WorkingSet& a, const WorkingSet& b);

// Sets spec.replicas and the annotations that say what it was computed for; notes the event. True when something changed.
bool scale_set(WorkingSet& set, const Json& deployment, int64_t replicas);
// Spreads a change of spec.replicas over the active sets in proportion to their sizes (scaling in mid-rollout).
void scale_in_proportion(std::vector<WorkingSet*> active, const Json& deployment);
// Scales old sets down as far as availability allows: unhealthy replicas first. True when something changed.
bool scale_old_sets_down(std::vector<WorkingSet*> old_sets, const WorkingSet& new_set, const Json& deployment);

}  // namespace rs::control
