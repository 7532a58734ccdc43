// The table of kinds (reference section A4), and the two views of it: what is served, and what is known.
#include <algorithm>

#include "api/codec/normaliser.h"
#include "api/kind.h"
#include "api/schema.h"
#include "base/assert.h"

namespace rs::api {
namespace {

// flags, separated by blanks:
//   cluster      not namespaced            status       has the status subresource
//   generation   metadata.generation       no-delete-collection
//   create-only  a virtual kind: an answer to a question, never stored
//   subresource  only the object of a subresource: no resource of its own
//   unserved     known to the schema, codecs and clients; Roadstead has no behaviour for it yet
//   stored=GV    its objects are stored as that group version's
struct Row {
  std::string_view group_version, plural, kind, short_names, categories, flags;
  std::string_view subresources = {};  // name=verb,verb[:group/version/Kind], separated by blanks
  std::string_view selectable = {};
};

constexpr std::string_view kScale = "scale=get,patch,update:autoscaling/v1/Scale";
constexpr std::string_view kEventFields =
    "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid involvedObject.apiVersion "
    "involvedObject.resourceVersion involvedObject.fieldPath reason reportingComponent source type";
constexpr std::string_view kPodFields =
    "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork status.phase "
    "status.podIP status.nominatedNodeName";
constexpr std::string_view kPodSubresources =
    "attach=create,get:v1/PodAttachOptions binding=create:v1/Binding ephemeralcontainers=get,patch,update "
    "eviction=create:policy/v1/Eviction exec=create,get:v1/PodExecOptions log=get "
    "portforward=create,get:v1/PodPortForwardOptions";

constexpr Row kRows[] = {
    {"v1", "bindings", "Binding", "", "", "create-only"},
    {"v1", "configmaps", "ConfigMap", "cm", "", ""},
    {"v1", "endpoints", "Endpoints", "ep", "", ""},
    {"v1", "events", "Event", "ev", "", "", "", kEventFields},
    {"v1", "limitranges", "LimitRange", "limits", "", "unserved"},
    {"v1", "namespaces", "Namespace", "ns", "", "cluster status no-delete-collection",
     "finalize=update", "status.phase"},
    {"v1", "nodes", "Node", "no", "", "cluster status", "", "spec.unschedulable"},
    {"v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", "", "status unserved"},
    {"v1", "persistentvolumes", "PersistentVolume", "pv", "", "cluster status unserved"},
    {"v1", "pods", "Pod", "po", "all", "status", kPodSubresources, kPodFields},
    {"v1", "podtemplates", "PodTemplate", "", "", "generation unserved"},
    {"v1", "replicationcontrollers", "ReplicationController", "rc", "all", "status generation unserved", kScale,
     "status.replicas"},
    {"v1", "resourcequotas", "ResourceQuota", "quota", "", "status unserved"},
    {"v1", "secrets", "Secret", "", "", "", "", "type"},
    {"v1", "serviceaccounts", "ServiceAccount", "sa", "", "",
     "token=create:authentication.k8s.io/v1/TokenRequest"},
    {"v1", "services", "Service", "svc", "all", "status", "", "spec.clusterIP spec.type"},
    {"v1", "", "PodExecOptions", "", "", "subresource"},
    {"v1", "", "PodLogOptions", "", "", "subresource"},

    {"apiregistration.k8s.io/v1", "apiservices", "APIService", "", "api-extensions", "cluster status unserved"},

    {"apps/v1", "controllerrevisions", "ControllerRevision", "", "", "unserved"},
    {"apps/v1", "daemonsets", "DaemonSet", "ds", "all", "status generation unserved"},
    {"apps/v1", "deployments", "Deployment", "deploy", "all", "status generation", kScale},
    {"apps/v1", "replicasets", "ReplicaSet", "rs", "all", "status generation", kScale, "status.replicas"},
    {"apps/v1", "statefulsets", "StatefulSet", "sts", "all", "status generation unserved", kScale},

    {"events.k8s.io/v1", "events", "Event", "ev", "", "stored=v1", "",
     "regarding.kind regarding.namespace regarding.name regarding.uid regarding.apiVersion regarding.resourceVersion "
     "regarding.fieldPath reason reportingController type"},

    {"authentication.k8s.io/v1", "selfsubjectreviews", "SelfSubjectReview", "", "", "cluster create-only"},
    {"authentication.k8s.io/v1", "tokenreviews", "TokenReview", "", "", "cluster create-only"},
    {"authentication.k8s.io/v1", "", "TokenRequest", "", "", "subresource"},

    {"authorization.k8s.io/v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", "", "", "create-only"},
    {"authorization.k8s.io/v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", "", "", "cluster create-only"},
    {"authorization.k8s.io/v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", "", "", "cluster create-only"},
    {"authorization.k8s.io/v1", "subjectaccessreviews", "SubjectAccessReview", "", "", "cluster create-only"},

    {"autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", "all", "status unserved"},
    {"autoscaling/v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", "all",
     "status unserved stored=autoscaling/v2"},
    {"autoscaling/v1", "", "Scale", "", "", "subresource"},

    {"batch/v1", "cronjobs", "CronJob", "cj", "all", "status generation unserved"},
    {"batch/v1", "jobs", "Job", "", "all", "status generation", "", "status.successful"},

    {"certificates.k8s.io/v1", "certificatesigningrequests", "CertificateSigningRequest", "csr", "",
     "cluster status unserved", "approval=get,patch,update", "spec.signerName"},

    {"networking.k8s.io/v1", "ingressclasses", "IngressClass", "", "", "cluster generation unserved"},
    {"networking.k8s.io/v1", "ingresses", "Ingress", "ing", "", "status generation unserved"},
    {"networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", "netpol", "", "generation unserved"},

    {"policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", "", "status generation"},
    {"policy/v1", "", "Eviction", "", "", "subresource"},

    {"rbac.authorization.k8s.io/v1", "clusterrolebindings", "ClusterRoleBinding", "", "", "cluster"},
    {"rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", "", "", "cluster"},
    {"rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding", "", "", ""},
    {"rbac.authorization.k8s.io/v1", "roles", "Role", "", "", ""},

    {"storage.k8s.io/v1", "csidrivers", "CSIDriver", "", "", "cluster unserved"},
    {"storage.k8s.io/v1", "csinodes", "CSINode", "", "", "cluster unserved"},
    {"storage.k8s.io/v1", "csistoragecapacities", "CSIStorageCapacity", "", "", "unserved"},
    {"storage.k8s.io/v1", "storageclasses", "StorageClass", "sc", "", "cluster unserved"},
    {"storage.k8s.io/v1", "volumeattachments", "VolumeAttachment", "", "", "cluster status unserved"},

    {"admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", "",
     "api-extensions", "cluster generation unserved"},
    {"admissionregistration.k8s.io/v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", "",
     "api-extensions", "cluster status generation unserved"},
    {"admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", "",
     "api-extensions", "cluster generation unserved"},
    {"admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", "",
     "api-extensions", "cluster generation unserved"},
    {"apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", "crd crds", "api-extensions",
     "cluster status generation unserved"},

    {"scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", "pc", "", "cluster generation unserved"},
    {"coordination.k8s.io/v1", "leases", "Lease", "", "", ""},
    {"node.k8s.io/v1", "runtimeclasses", "RuntimeClass", "", "", "cluster unserved"},
    {"discovery.k8s.io/v1", "endpointslices", "EndpointSlice", "", "", "generation"},
    {"flowcontrol.apiserver.k8s.io/v1", "flowschemas", "FlowSchema", "", "", "cluster status generation unserved"},
    {"flowcontrol.apiserver.k8s.io/v1", "prioritylevelconfigurations", "PriorityLevelConfiguration", "", "",
     "cluster status generation unserved"},
};

std::vector<std::string> words(std::string_view text, char separator = ' ') {
  std::vector<std::string> out;
  while (!text.empty()) {
    size_t end = std::min(text.find(separator), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::pair<std::string, std::string> split_group_version(std::string_view text) {
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return {"", std::string(text)};
  return {std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

// "eviction=create:policy/v1/Eviction"
Subresource read_subresource(std::string_view text) {
  Subresource out;
  size_t equal = text.find('='), colon = text.find(':');
  out.name = text.substr(0, equal);
  out.verbs = words(text.substr(equal + 1, std::min(colon, text.size()) - equal - 1), ',');
  if (colon == std::string_view::npos) return out;
  std::string_view object = text.substr(colon + 1);
  size_t slash = object.rfind('/');
  out.kind = object.substr(slash + 1);
  std::tie(out.group, out.version) = split_group_version(object.substr(0, slash));
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  return out;
}

Kind read_row(const Row& row) {
  Kind kind;
  std::tie(kind.group, kind.version) = split_group_version(row.group_version);
  kind.kind = row.kind;
  kind.plural = row.plural;
  kind.singular = row.plural.empty() ? "" : lower(row.kind);
  kind.short_names = words(row.short_names);
  kind.categories = words(row.categories);
  kind.verbs = words("create delete deletecollection get list patch update watch");
  kind.selectable_fields = words(row.selectable);
  kind.type = find_type(row.group_version, row.kind);
  ASSERT(kind.type != nullptr, "a row of kinds.cpp names a type that schema/*.schema does not have");
  for (const std::string& text : words(row.subresources)) kind.subresources.push_back(read_subresource(text));
  for (const std::string& flag : words(row.flags)) {
    if (flag == "cluster") kind.namespaced = false;
    if (flag == "generation") kind.has_generation = true;
    if (flag == "no-delete-collection") std::erase(kind.verbs, "deletecollection");
    if (flag.starts_with("stored=")) kind.stored_group_version = flag.substr(7);
    if (flag == "create-only" || flag == "subresource") {
      kind.stored = false;
      kind.verbs = {"create"};
    }
    if (flag == "status") {
      kind.has_status = true;
      kind.subresources.push_back({"status", "", "", "", {"get", "patch", "update"}});
    }
  }
  std::ranges::sort(kind.subresources, {}, &Subresource::name);
  return kind;
}

class Table final : public KindTable {
 public:
  explicit Table(bool with_unserved) {
    for (const Row& row : kRows) {
      if (!with_unserved && row.flags.find("unserved") != std::string_view::npos) continue;
      auto kind = std::make_shared<const Kind>(read_row(row));
      if (!kind->plural.empty()) resources_.push_back(kind);
      kinds_.push_back(std::move(kind));
    }
  }

  const std::vector<std::shared_ptr<const Kind>>& all() const override { return resources_; }
  const Kind* by_resource(std::string_view group, std::string_view version, std::string_view plural) const override {
    for (const auto& kind : resources_)
      if (kind->plural == plural && kind->group == group && kind->version == version) return kind.get();
    return nullptr;
  }
  const Kind* by_kind(std::string_view group, std::string_view version, std::string_view name) const override {
    for (const auto& kind : kinds_)
      if (kind->kind == name && kind->group == group && kind->version == version) return kind.get();
    return nullptr;
  }

 private:
  std::vector<std::shared_ptr<const Kind>> resources_, kinds_;
};

}  // namespace

std::string group_version(std::string_view group, std::string_view version) {
  if (group.empty()) return std::string(version);
  return fmt::format("{}/{}", group, version);
}

const Subresource* Kind::subresource(std::string_view name) const {
  auto found = std::ranges::find(subresources, name, &Subresource::name);
  return found == subresources.end() ? nullptr : &*found;
}

const KindTable& builtin_kinds() {
  static const Table kTable(false);
  return kTable;
}

const KindTable& known_kinds() {
  static const Table kTable(true);
  return kTable;
}

namespace {
// v1 and events.k8s.io/v1 names of the same members (k8s pkg/apis/events/v1/conversion.go).
constexpr std::pair<std::string_view, std::string_view> kEventNames[] = {
    {"involvedObject", "regarding"},          {"message", "note"},
    {"source", "deprecatedSource"},           {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"}, {"count", "deprecatedCount"},
    {"reportingComponent", "reportingController"},
};
}  // namespace

Json convert_stored(const Kind& from, const Kind& to, Json object) {
  if (from.kind != "Event" || to.kind != "Event" || from.group == to.group || !object.is_object()) return object;
  bool to_core = to.group.empty();
  JsonObject& members = object.get_object();
  for (auto [core, events] : kEventNames) {
    std::string_view old_name = to_core ? events : core, new_name = to_core ? core : events;
    auto found = members.find(old_name);
    if (found == members.end()) continue;
    Json value = std::move(found->value());
    members.erase(found);
    members.insert_or_assign(new_name, std::move(value));
  }
  // What one form requires the other may leave out when it is empty.
  Normaliser normaliser;
  if (to.type != nullptr) (void)normaliser.run(members, *to.type);
  members["apiVersion"] = to.group_version();
  return object;
}

}  // namespace rs::api
