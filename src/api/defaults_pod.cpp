// Pods and pod templates (k8s pkg/apis/core/v1/defaults.go, zz_generated.defaults.go).
#include "api/defaults.h"
#include "api/defaults_internal.h"
#include "api/schema.h"

namespace rs::api {
namespace {

using defaults::child;
using defaults::each;
using defaults::put;

// Always for :latest (said or meant), else IfNotPresent; a digest is as good as a tag.
std::string_view pull_policy(std::string_view image) {
  if (image.empty() || image.find('@') != std::string_view::npos) return "IfNotPresent";
  size_t name = image.rfind('/');
  std::string_view last = name == std::string_view::npos ? image : image.substr(name + 1);
  size_t colon = last.find(':');
  return colon == std::string_view::npos || last.substr(colon + 1) == "latest" ? "Always" : "IfNotPresent";
}

void http_get(Json* action) {
  if (action == nullptr) return;
  put(*action, "path", "/");
  put(*action, "scheme", "HTTP");
}

void probe(Json* probe) {
  if (probe == nullptr || !probe->is_object()) return;
  auto number = [&](std::string_view name, int64_t value) {
    if (integer(*probe, name) == 0) probe->get_object()[name] = value;
  };
  number("timeoutSeconds", 1);
  number("periodSeconds", 10);
  number("successThreshold", 1);
  number("failureThreshold", 3);
  http_get(find(*probe, "httpGet"));
  if (Json* grpc = find(*probe, "grpc"); grpc != nullptr && find(*grpc, "service") == nullptr) set(*grpc, "", "service");
}

void container(Json& item) {
  put(item, "imagePullPolicy", pull_policy(str(item, "image")));
  put(item, "terminationMessagePath", "/dev/termination-log");
  put(item, "terminationMessagePolicy", "File");
  child(item, "resources");
  each(find(item, "ports"), [](Json& port) { put(port, "protocol", "TCP"); });
  each(find(item, "env"), [](Json& variable) {
    if (Json* reference = find(variable, "valueFrom", "fieldRef")) put(*reference, "apiVersion", "v1");
  });
  for (std::string_view name : {"livenessProbe", "readinessProbe", "startupProbe"}) probe(find(item, name));
  for (std::string_view name : {"postStart", "preStop"}) http_get(find(item, "lifecycle", name, "httpGet"));
}

// The +default markers of one type.
void static_defaults(Json* value, std::string_view type_name) {
  const TypeInfo* type = find_type("v1", type_name);
  if (value == nullptr || type == nullptr) return;
  for (const FieldInfo& field : type->fields) {
    if (field.default_value.empty() || field.default_value == "\"\"") continue;
    if (auto parsed = parse_json(field.default_value)) put(*value, field.name, std::move(*parsed));
  }
}

void field_references(Json* items) {
  each(items, [](Json& file) {
    if (Json* reference = find(file, "fieldRef")) put(*reference, "apiVersion", "v1");
  });
}

void projected(Json& source) {
  put(source, "defaultMode", 420);
  each(find(source, "sources"), [](Json& part) {
    if (Json* token = find(part, "serviceAccountToken")) put(*token, "expirationSeconds", 3600);
    field_references(find(part, "downwardAPI", "items"));
  });
}

void volume(Json& item) {
  bool has_source = false;
  for (const auto& member : item.get_object()) has_source |= member.key() != "name" && !member.value().is_null();
  if (!has_source) child(item, "emptyDir");
  for (std::string_view name : {"secret", "configMap", "downwardAPI"})
    if (Json* source = find(item, name)) put(*source, "defaultMode", 420);
  field_references(find(item, "downwardAPI", "items"));
  if (Json* source = find(item, "projected")) projected(*source);
  if (Json* source = find(item, "hostPath"); source != nullptr && find(*source, "type") == nullptr) set(*source, "", "type");
  if (Json* spec = find(item, "ephemeral", "volumeClaimTemplate", "spec")) defaults::claim_spec(*spec);
  if (Json* source = find(item, "image")) put(*source, "pullPolicy", pull_policy(str(*source, "reference")));
  static_defaults(find(item, "iscsi"), "ISCSIVolumeSource");
  static_defaults(find(item, "rbd"), "RBDVolumeSource");
  static_defaults(find(item, "azureDisk"), "AzureDiskVolumeSource");
  static_defaults(find(item, "scaleIO"), "ScaleIOVolumeSource");
}

void pod_spec(Json& spec) {
  put(spec, "restartPolicy", "Always");
  put(spec, "dnsPolicy", "ClusterFirst");
  put(spec, "terminationGracePeriodSeconds", 30);
  put(spec, "schedulerName", "default-scheduler");
  child(spec, "securityContext");
  // The old name of the field is kept in step (core/v1 conversion.go).
  if (!str(spec, "serviceAccountName").empty()) set(spec, Json(str(spec, "serviceAccountName")), "serviceAccount");
  else put(spec, "serviceAccountName", str(spec, "serviceAccount"));
  if (str(spec, "serviceAccountName").empty()) erase(spec, "serviceAccountName");
  for (std::string_view name : {"containers", "initContainers", "ephemeralContainers"}) each(find(spec, name), container);
  each(find(spec, "volumes"), volume);
}

// Requests that are not said are the limits; with the host's network a container's port is the host's.
void pod_container(Json& item, bool host_network) {
  const JsonObject limits = object(item, "resources", "limits");
  for (const auto& limit : limits) {
    Json& requests = ensure(item, "resources", "requests");
    if (!requests.is_object()) requests.emplace_object();
    requests.get_object().emplace(limit.key(), limit.value());
  }
  if (!host_network) return;
  each(find(item, "ports"), [](Json& port) {
    if (integer(port, "hostPort") == 0) set(port, integer(port, "containerPort"), "hostPort");
  });
}

}  // namespace

void apply_pod_template_defaults(Json& pod_template) {
  if (Json* spec = child(pod_template, "spec")) pod_spec(*spec);
}

void defaults::pod(Json& object) {
  apply_pod_template_defaults(object);
  Json* spec = child(object, "spec");
  if (spec == nullptr) return;
  if (find(*spec, "enableServiceLinks") == nullptr) set(*spec, true, "enableServiceLinks");
  bool host_network = boolean(*spec, "hostNetwork");
  for (std::string_view name : {"containers", "initContainers"})
    each(find(*spec, name), [&](Json& item) { pod_container(item, host_network); });
}

}  // namespace rs::api
