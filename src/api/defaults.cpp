// All kinds but workloads, and the table that leads to each kind's defaults.
#include "api/defaults.h"

#include "api/codec/protobuf_reader.h"
#include "api/defaults_internal.h"

namespace rs::api {

void defaults::claim_spec(Json& spec) { put(spec, "volumeMode", "Filesystem"); }

namespace {

using defaults::child;
using defaults::each;
using defaults::put;

void ports_tcp(Json* ports) {
  each(ports, [](Json& port) { put(port, "protocol", "TCP"); });
}

// k8s core/v1 SetDefaults_Service; the families are those of a single-stack cluster (registry/core/service).
void service(Json& object) {
  Json* spec = child(object, "spec");
  if (spec == nullptr) return;
  put(*spec, "sessionAffinity", "None");
  if (str(*spec, "sessionAffinity") == "None") erase(*spec, "sessionAffinityConfig");
  if (str(*spec, "sessionAffinity") == "ClientIP" && find(*spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds") == nullptr)
    set(*spec, 10800, "sessionAffinityConfig", "clientIP", "timeoutSeconds");
  put(*spec, "type", "ClusterIP");
  each(find(*spec, "ports"), [](Json& port) {
    put(port, "protocol", "TCP");
    const Json* target = find(port, "targetPort");
    if (defaults::is_unset(target) || (target->is_number() && integer_of(target, 0) == 0))
      set(port, integer(port, "port"), "targetPort");
  });
  const std::string type(str(*spec, "type"));  // a copy: what follows may move the members
  bool balanced = type == "LoadBalancer";
  if (balanced || type == "NodePort" || (type == "ClusterIP" && !array(*spec, "externalIPs").empty()))
    put(*spec, "externalTrafficPolicy", "Cluster");
  if (type == "ExternalName") return;
  put(*spec, "internalTrafficPolicy", "Cluster");
  if (balanced) put(*spec, "allocateLoadBalancerNodePorts", true);
  put(*spec, "ipFamilyPolicy", "SingleStack");
  if (array(*spec, "ipFamilies").empty()) set(*spec, JsonArray{"IPv4"}, "ipFamilies");
  each(find(object, "status", "loadBalancer", "ingress"), [](Json& ingress) {
    if (!str(ingress, "ip").empty()) put(ingress, "ipMode", "VIP");
  });
}

// stringData is write-only: what it says goes into data (core/v1 conversion.go).
void secret(Json& object) {
  put(object, "type", "Opaque");
  const JsonObject plain = rs::object(object, "stringData");
  for (const auto& member : plain)
    if (member.value().is_string()) set(object, Json(to_base64(member.value().get_string())), "data", std::string_view(member.key()));
  erase(object, "stringData");
}

void namespace_(Json& object) {
  if (Json* status = child(object, "status")) put(*status, "phase", "Active");
  std::string_view name = str(object, "metadata", "name");
  if (!name.empty() && str(object, "metadata", "labels", "kubernetes.io/metadata.name") != name)
    set(object, Json(name), "metadata", "labels", "kubernetes.io/metadata.name");
}

void node(Json& object) {
  const Json* capacity = find(object, "status", "capacity");
  if (capacity != nullptr && rs::object(object, "status", "allocatable").empty())
    set(object, *capacity, "status", "allocatable");
}

void endpoints(Json& object) {
  each(find(object, "subsets"), [](Json& subset) { ports_tcp(find(subset, "ports")); });
}

void endpoint_slice(Json& object) {
  each(find(object, "ports"), [](Json& port) {
    put(port, "name", "");
    put(port, "protocol", "TCP");
  });
}

void limit_range(Json& object) {
  each(find(object, "spec", "limits"), [](Json& item) {
    if (str(item, "type") != "Container") return;
    auto fill = [&](std::string_view to, std::string_view from) {
      const JsonObject source = rs::object(item, from);
      for (const auto& member : source) {
        Json& target = ensure(item, to);
        if (!target.is_object()) target.emplace_object();
        target.get_object().emplace(member.key(), member.value());
      }
    };
    fill("default", "max");
    fill("defaultRequest", "default");
    fill("defaultRequest", "min");
  });
}

void persistent_volume(Json& object) {
  if (Json* status = child(object, "status")) put(*status, "phase", "Pending");
  Json* spec = child(object, "spec");
  if (spec == nullptr) return;
  put(*spec, "persistentVolumeReclaimPolicy", "Retain");
  put(*spec, "volumeMode", "Filesystem");
  if (Json* path = find(*spec, "hostPath"); path != nullptr && find(*path, "type") == nullptr) set(*path, "", "type");
}

void persistent_volume_claim(Json& object) {
  if (Json* status = child(object, "status")) put(*status, "phase", "Pending");
  if (Json* spec = child(object, "spec")) defaults::claim_spec(*spec);
}

void network_policy(Json& object) {
  Json* spec = child(object, "spec");
  if (spec == nullptr) return;
  for (std::string_view side : {"ingress", "egress"})
    each(find(*spec, side), [](Json& rule) { ports_tcp(find(rule, "ports")); });
  if (!array(*spec, "policyTypes").empty()) return;
  JsonArray types{"Ingress"};
  if (!array(*spec, "egress").empty()) types.push_back("Egress");
  set(*spec, types, "policyTypes");
}

void role_binding(Json& object) {
  constexpr std::string_view kGroup = "rbac.authorization.k8s.io";
  if (Json* role = child(object, "roleRef")) put(*role, "apiGroup", kGroup);
  each(find(object, "subjects"), [&](Json& subject) {
    if (str(subject, "kind") == "User" || str(subject, "kind") == "Group") put(subject, "apiGroup", kGroup);
  });
}

JsonObject scaling_rules(JsonArray policies, int window) {
  return JsonObject{{"stabilizationWindowSeconds", window}, {"selectPolicy", "Max"}, {"policies", std::move(policies)}};
}

void autoscaler(const Kind& kind, Json& object) {
  Json* spec = child(object, "spec");
  if (spec == nullptr) return;
  put(*spec, "minReplicas", 1);
  if (kind.version != "v2") return;
  if (array(*spec, "metrics").empty())
    set(*spec, JsonArray{JsonObject{{"type", "Resource"},
                                    {"resource", JsonObject{{"name", "cpu"},
                                                            {"target", JsonObject{{"type", "Utilization"},
                                                                                  {"averageUtilization", 80}}}}}}},
        "metrics");
  Json* behavior = find(*spec, "behavior");
  if (behavior == nullptr) return;
  JsonObject percent{{"type", "Percent"}, {"value", 100}, {"periodSeconds", 15}};
  JsonObject pods{{"type", "Pods"}, {"value", 4}, {"periodSeconds", 15}};
  JsonObject up = scaling_rules(JsonArray{pods, percent}, 0), down = scaling_rules(JsonArray{percent}, 300);
  down.erase("stabilizationWindowSeconds");  // the controller's flag decides
  for (auto [name, rules] : {std::pair{"scaleUp", &up}, std::pair{"scaleDown", &down}})
    if (Json* side = child(*behavior, name))
      for (auto& rule : *rules) put(*side, rule.key(), rule.value());
}

void webhooks(const Kind& kind, Json& object) {
  each(find(object, "webhooks"), [&](Json& hook) {
    put(hook, "failurePolicy", "Fail");
    put(hook, "matchPolicy", "Equivalent");
    put(hook, "timeoutSeconds", 10);
    child(hook, "namespaceSelector");
    child(hook, "objectSelector");
    if (kind.kind == "MutatingWebhookConfiguration") put(hook, "reinvocationPolicy", "Never");
    each(find(hook, "rules"), [](Json& rule) { put(rule, "scope", "*"); });
    if (Json* target = find(hook, "clientConfig", "service")) put(*target, "port", 443);
  });
}

void custom_resource_definition(Json& object) {
  Json* spec = child(object, "spec");
  Json* names = spec == nullptr ? nullptr : child(*spec, "names");
  if (names == nullptr) return;
  std::string kind(str(*names, "kind")), singular = kind;
  for (char& c : singular)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  if (!kind.empty()) {
    put(*names, "singular", singular);
    put(*names, "listKind", kind + "List");
  }
  if (Json* conversion = child(*spec, "conversion")) put(*conversion, "strategy", "None");
  if (Json* target = find(*spec, "conversion", "webhook", "clientConfig", "service")) put(*target, "port", 443);
}

void csi_driver(Json& object) {
  Json* spec = child(object, "spec");
  if (spec == nullptr) return;
  put(*spec, "attachRequired", true);
  put(*spec, "podInfoOnMount", false);
  put(*spec, "storageCapacity", false);
  put(*spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
  put(*spec, "requiresRepublish", false);
  put(*spec, "seLinuxMount", false);
  if (array(*spec, "volumeLifecycleModes").empty()) set(*spec, JsonArray{"Persistent"}, "volumeLifecycleModes");
}

void core(const std::string& kind, Json& object) {
  if (kind == "Pod") defaults::pod(object);
  else if (kind == "Service") service(object);
  else if (kind == "Secret") secret(object);
  else if (kind == "Namespace") namespace_(object);
  else if (kind == "Node") node(object);
  else if (kind == "Endpoints") endpoints(object);
  else if (kind == "LimitRange") limit_range(object);
  else if (kind == "PersistentVolume") persistent_volume(object);
  else if (kind == "PersistentVolumeClaim") persistent_volume_claim(object);
  else if (kind == "ReplicationController" || kind == "PodTemplate") defaults::workload(kind, object);
}

void storage_class(Json& object) {
  put(object, "reclaimPolicy", "Delete");
  put(object, "volumeBindingMode", "Immediate");
}

}  // namespace

void apply_defaults(const Kind& kind, Json& object) {
  if (!object.is_object()) return;
  const std::string& name = kind.kind;
  if (kind.group.empty()) core(name, object);
  else if (kind.group == "apps" || kind.group == "batch") {
    if (name != "ControllerRevision") defaults::workload(name, object);
  } else if (name == "EndpointSlice") endpoint_slice(object);
  else if (name == "NetworkPolicy") network_policy(object);
  else if (name == "RoleBinding" || name == "ClusterRoleBinding") role_binding(object);
  else if (name == "HorizontalPodAutoscaler") autoscaler(kind, object);
  else if (name == "StorageClass") storage_class(object);
  else if (name == "CSIDriver") csi_driver(object);
  else if (name == "PriorityClass") put(object, "preemptionPolicy", "PreemptLowerPriority");
  else if (name.ends_with("WebhookConfiguration")) webhooks(kind, object);
  else if (name == "CustomResourceDefinition") custom_resource_definition(object);
  else if (name == "TokenRequest") {
    if (Json* spec = child(object, "spec")) put(*spec, "expirationSeconds", 3600);
  } else if (name == "APIService") {
    if (Json* target = find(object, "spec", "service")) put(*target, "port", 443);
  }
}

}  // namespace rs::api
