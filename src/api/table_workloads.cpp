// Rows of controllers of pods: apps, batch, ReplicationController, PodTemplate.
// Source: pkg/printers/internalversion/printers.go (1.32).
#include "api/meta.h"
#include "api/table_printers.h"

namespace rs::api::printers {
namespace {

const Json& template_spec(const Json& object) {
  static const Json kNothing;
  const Json* spec = find(object, "spec", "template", "spec");
  return spec == nullptr ? kNothing : *spec;
}

void add_template(JsonArray& cells, const Json& pod_spec, std::string selector) {
  cells.emplace_back(container_names(pod_spec));
  cells.emplace_back(container_images(pod_spec));
  cells.emplace_back(std::move(selector));
}

constexpr Column kDeploymentColumns[] = {kNameColumn,
                                         {"Ready", "string", "Number of the pod with ready state"},
                                         {"Up-to-date", "integer", "Pods that have the desired template spec."},
                                         {"Available", "integer", "Pods that have been ready for at least minReadySeconds."},
                                         kAgeColumn,
                                         kContainersColumn,
                                         kImagesColumn,
                                         kSelectorColumn};
JsonArray deployment_cells(const Json& deployment, WallTime now) {
  JsonArray cells{name_of(deployment),
                  fmt::format("{}/{}", integer(deployment, "status", "readyReplicas"), integer(deployment, "spec", "replicas")),
                  integer(deployment, "status", "updatedReplicas"), integer(deployment, "status", "availableReplicas"),
                  age(deployment, now)};
  std::string selector = format_selector(find(deployment, "spec", "selector"));
  add_template(cells, template_spec(deployment), selector == kNone ? "" : selector);
  return cells;
}

constexpr Column kReplicaSetColumns[] = {kNameColumn,
                                         {"Desired", "integer", "The number of desired pods."},
                                         {"Current", "integer", "The number of pods there are."},
                                         {"Ready", "integer", "The number of pods with a Ready condition."},
                                         kAgeColumn,
                                         kContainersColumn,
                                         kImagesColumn,
                                         kSelectorColumn};
JsonArray replica_cells(const Json& set, WallTime now, std::string selector) {
  JsonArray cells{name_of(set), integer(set, "spec", "replicas"), integer(set, "status", "replicas"),
                  integer(set, "status", "readyReplicas"), age(set, now)};
  add_template(cells, template_spec(set), std::move(selector));
  return cells;
}
JsonArray replica_set_cells(const Json& set, WallTime now) {
  return replica_cells(set, now, format_selector(find(set, "spec", "selector")));
}
JsonArray replication_controller_cells(const Json& set, WallTime now) {
  return replica_cells(set, now, format_labels(object(set, "spec", "selector")));
}

constexpr Column kStatefulSetColumns[] = {
    kNameColumn, {"Ready", "string", "Number of the pod with ready state"}, kAgeColumn, kContainersColumn, kImagesColumn};
JsonArray stateful_set_cells(const Json& set, WallTime now) {
  return {name_of(set),
          fmt::format("{}/{}", integer(set, "status", "readyReplicas"), integer(set, "spec", "replicas")), age(set, now),
          container_names(template_spec(set)), container_images(template_spec(set))};
}

constexpr Column kDaemonSetColumns[] = {kNameColumn,
                                        {"Desired", "integer", "Nodes that should run the daemon pod."},
                                        {"Current", "integer", "Nodes that run the daemon pod and should."},
                                        {"Ready", "integer", "Nodes that should run the daemon pod and have it ready."},
                                        {"Up-to-date", "integer", "Nodes that run the updated daemon pod."},
                                        {"Available", "integer", "Nodes with the daemon pod available."},
                                        {"Node Selector", "string", "Labels of the nodes that run it."},
                                        kAgeColumn,
                                        kContainersColumn,
                                        kImagesColumn,
                                        kSelectorColumn};
JsonArray daemon_set_cells(const Json& set, WallTime now) {
  auto count = [&](std::string_view name) { return integer(set, "status", name); };
  JsonArray cells{name_of(set),
                  count("desiredNumberScheduled"),
                  count("currentNumberScheduled"),
                  count("numberReady"),
                  count("updatedNumberScheduled"),
                  count("numberAvailable"),
                  format_labels(object(set, "spec", "template", "spec", "nodeSelector")),
                  age(set, now)};
  add_template(cells, template_spec(set), format_selector(find(set, "spec", "selector")));
  return cells;
}

constexpr Column kJobColumns[] = {kNameColumn,
                                  {"Status", "string", "Status of the job."},
                                  {"Completions", "string", "The number of pods which reached phase Succeeded."},
                                  {"Duration", "string", "Time required to complete the job."},
                                  kAgeColumn,
                                  kContainersColumn,
                                  kImagesColumn,
                                  kSelectorColumn};

std::string job_status(const Json& job) {
  for (std::string_view type : {"Complete", "Failed"})
    if (condition_is_true(job, type)) return std::string(type);
  if (is_deleting(job)) return "Terminating";
  for (std::string_view type : {"Suspended", "FailureTarget", "SuccessCriteriaMet"})
    if (condition_is_true(job, type)) return std::string(type);
  return "Running";
}

std::string job_duration(const Json& job, WallTime now) {
  WallTime start, end = now;
  if (!parse_rfc3339(str(job, "status", "startTime"), start)) return "";
  parse_rfc3339(str(job, "status", "completionTime"), end);
  return human_duration(end - start);
}

JsonArray job_cells(const Json& job, WallTime now) {
  int64_t succeeded = integer(job, "status", "succeeded");
  int64_t parallelism = integer(job, "spec", "parallelism");
  std::string completions;
  if (find(job, "spec", "completions") != nullptr)
    completions = fmt::format("{}/{}", succeeded, integer(job, "spec", "completions"));
  else if (parallelism > 1) completions = fmt::format("{}/1 of {}", succeeded, parallelism);
  else completions = fmt::format("{}/1", succeeded);
  JsonArray cells{name_of(job), job_status(job), completions, job_duration(job, now), age(job, now)};
  add_template(cells, template_spec(job), format_selector(find(job, "spec", "selector")));
  return cells;
}

constexpr Column kCronJobColumns[] = {kNameColumn,
                                      {"Schedule", "string", "The schedule in Cron format."},
                                      {"Timezone", "string", "The time zone name for the given schedule."},
                                      {"Suspend", "boolean", "Whether subsequent executions are suspended."},
                                      {"Active", "integer", "Jobs that run now."},
                                      {"Last Schedule", "string", "When the job was last successfully scheduled."},
                                      kAgeColumn,
                                      kContainersColumn,
                                      kImagesColumn,
                                      kSelectorColumn};
JsonArray cron_job_cells(const Json& job, WallTime now) {
  std::string_view last = str(job, "status", "lastScheduleTime");
  const Json* suspend = find(job, "spec", "suspend");
  JsonArray cells{name_of(job),
                  str(job, "spec", "schedule"),
                  or_none(str(job, "spec", "timeZone")),
                  suspend == nullptr ? "<unset>" : boolean(job, "spec", "suspend") ? "True" : "False",
                  int64_t(array(job, "status", "active").size()),
                  last.empty() ? std::string(kNone) : since(last, now),
                  age(job, now)};
  static const Json kNothing;
  const Json* spec = find(job, "spec", "jobTemplate", "spec", "template", "spec");
  add_template(cells, spec == nullptr ? kNothing : *spec,
               format_selector(find(job, "spec", "jobTemplate", "spec", "selector")));
  return cells;
}

constexpr Column kRevisionColumns[] = {kNameColumn,
                                       {"Controller", "string", "Controller of the object"},
                                       {"Revision", "string", "Revision of the controller's state."},
                                       kAgeColumn};
JsonArray revision_cells(const Json& revision, WallTime now) {
  std::string controller(kNone);
  if (std::optional<OwnerReference> owner = controller_of(revision)) {
    std::string_view group = owner->api_version;
    group = group.substr(0, group.find('/') == std::string_view::npos ? 0 : group.find('/'));
    std::string kind = owner->kind;
    std::transform(kind.begin(), kind.end(), kind.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    controller = fmt::format("{}{}{}/{}", kind, group.empty() ? "" : ".", group, owner->name);
  }
  return {name_of(revision), controller, integer(revision, "revision"), age(revision, now)};
}

constexpr Column kPodTemplateColumns[] = {kNameColumn,
                                          {"Containers", "string", "Names of each container in the template."},
                                          {"Images", "string", "Images referenced by each container in the template."},
                                          {"Pod Labels", "string", "The labels for the pod template."}};
JsonArray pod_template_cells(const Json& object, WallTime) {
  static const Json kNothing;
  const Json* spec = find(object, "template", "spec");
  if (spec == nullptr) spec = &kNothing;
  return {name_of(object), container_names(*spec), container_images(*spec),
          format_labels(rs::object(object, "template", "metadata", "labels"))};
}

constexpr Printer kPrinters[] = {{"apps", "Deployment", kDeploymentColumns, deployment_cells},
                                 {"apps", "ReplicaSet", kReplicaSetColumns, replica_set_cells},
                                 {"apps", "StatefulSet", kStatefulSetColumns, stateful_set_cells},
                                 {"apps", "DaemonSet", kDaemonSetColumns, daemon_set_cells},
                                 {"apps", "ControllerRevision", kRevisionColumns, revision_cells},
                                 {"batch", "Job", kJobColumns, job_cells},
                                 {"batch", "CronJob", kCronJobColumns, cron_job_cells},
                                 {"", "ReplicationController", kReplicaSetColumns, replication_controller_cells},
                                 {"", "PodTemplate", kPodTemplateColumns, pod_template_cells}};

}  // namespace

std::span<const Printer> workload_printers() { return kPrinters; }

}  // namespace rs::api::printers
