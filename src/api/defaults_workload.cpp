// Workloads (k8s pkg/apis/apps/v1/defaults.go, batch/v1/defaults.go).
#include "api/defaults.h"
#include "api/defaults_internal.h"

namespace rs::api {
namespace {

using defaults::child;
using defaults::each;
using defaults::put;

void deployment(Json& spec) {
  put(spec, "replicas", 1);
  put(spec, "revisionHistoryLimit", 10);
  put(spec, "progressDeadlineSeconds", 600);
  Json* strategy = child(spec, "strategy");
  if (strategy == nullptr) return;
  put(*strategy, "type", "RollingUpdate");
  if (str(*strategy, "type") != "RollingUpdate") return;
  if (Json* update = child(*strategy, "rollingUpdate")) {
    put(*update, "maxUnavailable", "25%");
    put(*update, "maxSurge", "25%");
  }
}

void daemon_set(Json& spec) {
  put(spec, "revisionHistoryLimit", 10);
  Json* strategy = child(spec, "updateStrategy");
  if (strategy == nullptr) return;
  put(*strategy, "type", "RollingUpdate");
  if (str(*strategy, "type") != "RollingUpdate") return;
  if (Json* update = child(*strategy, "rollingUpdate")) {
    put(*update, "maxUnavailable", 1);
    put(*update, "maxSurge", 0);
  }
}

void stateful_set(Json& spec) {
  put(spec, "podManagementPolicy", "OrderedReady");
  put(spec, "replicas", 1);
  put(spec, "revisionHistoryLimit", 10);
  if (Json* policy = child(spec, "persistentVolumeClaimRetentionPolicy")) {
    put(*policy, "whenDeleted", "Retain");
    put(*policy, "whenScaled", "Retain");
  }
  if (Json* strategy = child(spec, "updateStrategy")) {
    put(*strategy, "type", "RollingUpdate");
    if (str(*strategy, "type") == "RollingUpdate")
      if (Json* update = child(*strategy, "rollingUpdate")) put(*update, "partition", 0);
  }
  each(find(spec, "volumeClaimTemplates"), [](Json& claim) {
    put(claim, "apiVersion", "v1");
    put(claim, "kind", "PersistentVolumeClaim");
    if (Json* claim_spec = child(claim, "spec")) defaults::claim_spec(*claim_spec);
    if (Json* status = child(claim, "status")) put(*status, "phase", "Pending");
  });
}

void job(Json& object, Json& spec) {
  if (find(spec, "completions") == nullptr && find(spec, "parallelism") == nullptr) put(spec, "completions", 1);
  put(spec, "parallelism", 1);
  put(spec, "backoffLimit", find(spec, "backoffLimitPerIndex") == nullptr ? 6 : 2147483647);
  put(spec, "completionMode", "NonIndexed");
  put(spec, "suspend", false);
  put(spec, "manualSelector", false);
  put(spec, "podReplacementPolicy", find(spec, "podFailurePolicy") == nullptr ? "TerminatingOrFailed" : "Failed");
  each(find(spec, "podFailurePolicy", "rules"), [](Json& rule) {
    each(find(rule, "onPodConditions"), [](Json& pattern) { put(pattern, "status", "True"); });
  });
  const Json* labels = find(spec, "template", "metadata", "labels");
  if (labels != nullptr && rs::object(object, "metadata", "labels").empty()) set(object, *labels, "metadata", "labels");
}

void cron_job(Json& spec) {
  put(spec, "concurrencyPolicy", "Allow");
  put(spec, "suspend", false);
  put(spec, "successfulJobsHistoryLimit", 3);
  put(spec, "failedJobsHistoryLimit", 1);
  if (Json* pod = find(spec, "jobTemplate", "spec", "template")) apply_pod_template_defaults(*pod);
}

void replication_controller(Json& object, Json& spec) {
  put(spec, "replicas", 1);
  const Json* labels = find(spec, "template", "metadata", "labels");
  if (labels == nullptr) return;
  if (rs::object(spec, "selector").empty()) set(spec, *labels, "selector");
  if (rs::object(object, "metadata", "labels").empty()) set(object, *labels, "metadata", "labels");
}

}  // namespace

void defaults::workload(std::string_view kind, Json& object) {
  if (kind == "PodTemplate") {
    if (Json* pod = child(object, "template")) apply_pod_template_defaults(*pod);
    return;
  }
  Json* spec = child(object, "spec");
  if (spec == nullptr) return;
  if (kind == "Deployment") deployment(*spec);
  if (kind == "ReplicaSet") put(*spec, "replicas", 1);
  if (kind == "StatefulSet") stateful_set(*spec);
  if (kind == "DaemonSet") daemon_set(*spec);
  if (kind == "Job") job(object, *spec);
  if (kind == "CronJob") return cron_job(*spec);
  if (kind == "ReplicationController") replication_controller(object, *spec);
  if (Json* pod = find(*spec, "template")) apply_pod_template_defaults(*pod);
}

}  // namespace rs::api
