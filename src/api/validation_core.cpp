// Rules of the small kinds. Source: pkg/apis/core/validation, pkg/apis/coordination/validation, pkg/apis/rbac/validation.
#include "api/meta.h"
#include "api/validation_errors.h"

namespace rs::api::validation {
namespace {

constexpr size_t kMaxDataBytes = 1024 * 1024;  // core.MaxSecretSize

size_t data_bytes(const JsonObject& data) {
  size_t total = 0;
  for (const auto& [key, value] : data) total += value.is_string() ? value.get_string().size() : 0;
  return total;
}

void data_keys(Errors& errors, const JsonObject& data, const std::string& path) {
  for (const auto& [key, value] : data) errors.each(at_key(path, key), key, names::config_map_key(key));
}

void config_map(Errors& errors, const Json& map) {
  const JsonObject& data = object(map, "data");
  const JsonObject& binary = object(map, "binaryData");
  for (const auto& [key, value] : data) {
    errors.each(at_key("data", key), key, names::config_map_key(key));
    if (binary.contains(key)) errors.invalid(at_key("data", key), key, "duplicate of key present in binaryData");
  }
  data_keys(errors, binary, "binaryData");
  if (data_bytes(data) + data_bytes(binary) / 4 * 3 > kMaxDataBytes) errors.too_long("", kMaxDataBytes);
}

void immutable_data(Errors& errors, const Json& map, const Json& old, std::initializer_list<std::string_view> members) {
  if (!boolean(old, "immutable")) return;
  if (!boolean(map, "immutable")) errors.forbidden("immutable", "field is immutable when `immutable` is set");
  static const Json kNull;
  for (std::string_view member : members) {
    const Json* now = find(map, member);
    const Json* before = find(old, member);
    if (!semantically_equal(now == nullptr ? kNull : *now, before == nullptr ? kNull : *before))
      errors.forbidden(std::string(member), "field is immutable when `immutable` is set");
  }
}

void config_map_update(Errors& errors, const Json& map, const Json& old) {
  immutable_data(errors, map, old, {"data", "binaryData"});
}

void secret_needs(Errors& errors, const Json& secret, std::string_view key) {
  if (!object(secret, "data").contains(key)) errors.required(at_key("data", key));
}

void secret(Errors& errors, const Json& object) {
  const JsonObject& data = rs::object(object, "data");
  data_keys(errors, data, "data");
  if (data_bytes(data) / 4 * 3 > kMaxDataBytes) errors.too_long("data", kMaxDataBytes);
  std::string_view type = str(object, "type");
  if (type == "kubernetes.io/service-account-token") {
    if (annotation(object, "kubernetes.io/service-account.name").empty())
      errors.required("metadata.annotations[kubernetes.io/service-account.name]");
  } else if (type == "kubernetes.io/dockercfg") {
    secret_needs(errors, object, ".dockercfg");
  } else if (type == "kubernetes.io/dockerconfigjson") {
    secret_needs(errors, object, ".dockerconfigjson");
  } else if (type == "kubernetes.io/basic-auth") {
    if (!data.contains("username") && !data.contains("password")) {
      errors.required("data[username]");
      errors.required("data[password]");
    }
  } else if (type == "kubernetes.io/ssh-auth") {
    secret_needs(errors, object, "ssh-privatekey");
  } else if (type == "kubernetes.io/tls") {
    secret_needs(errors, object, "tls.crt");
    secret_needs(errors, object, "tls.key");
  }
}

void secret_update(Errors& errors, const Json& object, const Json& old) {
  immutable(errors, find(object, "type"), find(old, "type"), "type");
  immutable_data(errors, object, old, {"data"});
}

void lease(Errors& errors, const Json& object) {
  if (const Json* value = find(object, "spec", "leaseDurationSeconds"); value != nullptr && integer_of(value, 0) <= 0)
    errors.invalid("spec.leaseDurationSeconds", integer_of(value, 0), "must be greater than 0");
  if (const Json* value = find(object, "spec", "leaseTransitions"); value != nullptr && integer_of(value, 0) < 0)
    errors.invalid("spec.leaseTransitions", integer_of(value, 0), "must be greater than or equal to 0");
  if (const Json* value = find(object, "spec", "holderIdentity"); value != nullptr && str(object, "spec", "holderIdentity").empty())
    errors.invalid_json("spec.holderIdentity", value, "must not be empty");
}

void taints(Errors& errors, const Json& node) {
  const JsonArray& list = array(node, "spec", "taints");
  std::set<std::string> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    std::string path = at("spec.taints", i);
    std::string_view key = str(list[i], "key"), effect = str(list[i], "effect"), value = str(list[i], "value");
    errors.each(at(path, "key"), key, names::qualified_name(key));
    if (auto messages = names::label_value(value); !messages.empty()) errors.invalid(at(path, "value"), value, names::join(messages));
    if (effect.empty()) errors.required(at(path, "effect"));
    else if (effect != "NoSchedule" && effect != "PreferNoSchedule" && effect != "NoExecute")
      errors.unsupported(at(path, "effect"), effect, {"NoSchedule", "PreferNoSchedule", "NoExecute"});
    if (!seen.insert(fmt::format("{}\n{}", key, effect)).second)
      errors.add(Type::kDuplicate, path,
                 fmt::format("Duplicate value: {}: taints must be unique by key and effect pair", to_text(list[i])));
  }
}

void node(Errors& errors, const Json& object) { taints(errors, object); }

void node_update(Errors& errors, const Json& object, const Json& old) {
  // podCIDRs and providerID are set once.
  if (!array(old, "spec", "podCIDRs").empty() && find(object, "spec", "podCIDRs") != nullptr &&
      *find(object, "spec", "podCIDRs") != *find(old, "spec", "podCIDRs"))
    errors.forbidden("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid");
  if (!str(old, "spec", "providerID").empty() && str(old, "spec", "providerID") != str(object, "spec", "providerID"))
    errors.forbidden("spec.providerID", "node updates may not change providerID except from \"\" to valid");
}

void namespace_rules(Errors& errors, const Json& object) {
  const JsonArray& list = array(object, "spec", "finalizers");
  for (size_t i = 0; i < list.size(); ++i) {
    std::string_view name = list[i].is_string() ? std::string_view(list[i].get_string()) : "";
    errors.each("spec.finalizers", name, names::qualified_name(name));
    if (name != "kubernetes" && name.find('/') == std::string_view::npos)
      errors.invalid("spec.finalizers", name, "name is neither a standard finalizer name nor is it fully qualified");
  }
}

void event(Errors& errors, const Json& object) {
  std::string_view ns = namespace_of(object), about = str(object, "involvedObject", "namespace");
  if (about.empty()) {
    if (ns != "default" && ns != "kube-system")
      errors.invalid("involvedObject.namespace", about, "does not match event.namespace");
  } else if (about != ns) {
    errors.invalid("involvedObject.namespace", about, "does not match event.namespace");
  }
}

bool role_rule(Errors& errors, const Json& rule, const std::string& path, bool namespaced) {
  if (array(rule, "verbs").empty()) errors.required(at(path, "verbs"), "verbs must contain at least one value");
  if (!array(rule, "nonResourceURLs").empty()) {
    if (namespaced) errors.invalid_json(at(path, "nonResourceURLs"), find(rule, "nonResourceURLs"),
                                        "namespaced rules cannot apply to non-resource URLs");
    if (!array(rule, "apiGroups").empty() || !array(rule, "resources").empty() || !array(rule, "resourceNames").empty())
      errors.invalid_json(at(path, "nonResourceURLs"), find(rule, "nonResourceURLs"),
                          "rules cannot apply to both regular resources and non-resource URLs");
    return true;
  }
  if (array(rule, "apiGroups").empty()) errors.required(at(path, "apiGroups"), "resource rules must supply at least one api group");
  if (array(rule, "resources").empty()) errors.required(at(path, "resources"), "resource rules must supply at least one resource");
  return true;
}

void role_rules(Errors& errors, const Json& role, bool namespaced) {
  const JsonArray& rules = array(role, "rules");
  for (size_t i = 0; i < rules.size(); ++i) role_rule(errors, rules[i], at("rules", i), namespaced);
}
void role(Errors& errors, const Json& object) { role_rules(errors, object, true); }
void cluster_role(Errors& errors, const Json& object) { role_rules(errors, object, false); }

void role_binding_of(Errors& errors, const Json& binding, bool namespaced) {
  if (str(binding, "roleRef", "apiGroup") != "rbac.authorization.k8s.io")
    errors.unsupported("roleRef.apiGroup", str(binding, "roleRef", "apiGroup"), {"rbac.authorization.k8s.io"});
  std::string_view kind = str(binding, "roleRef", "kind");
  if (namespaced && kind != "Role" && kind != "ClusterRole") errors.unsupported("roleRef.kind", kind, {"ClusterRole", "Role"});
  if (!namespaced && kind != "ClusterRole") errors.unsupported("roleRef.kind", kind, {"ClusterRole"});
  if (str(binding, "roleRef", "name").empty()) errors.required("roleRef.name");
  const JsonArray& subjects = array(binding, "subjects");
  for (size_t i = 0; i < subjects.size(); ++i) {
    std::string path = at("subjects", i);
    std::string_view type = str(subjects[i], "kind"), name = str(subjects[i], "name"), group = str(subjects[i], "apiGroup");
    if (name.empty()) errors.required(at(path, "name"));
    if (type == "ServiceAccount") {
      if (!name.empty()) errors.each(at(path, "name"), name, names::dns1123_subdomain(name));
      if (!group.empty()) errors.unsupported(at(path, "apiGroup"), group, {""});
      if (!namespaced && str(subjects[i], "namespace").empty()) errors.required(at(path, "namespace"));
    } else if (type == "User" || type == "Group") {
      if (group != "rbac.authorization.k8s.io") errors.unsupported(at(path, "apiGroup"), group, {"rbac.authorization.k8s.io"});
    } else {
      errors.unsupported(at(path, "kind"), type, {"Group", "ServiceAccount", "User"});
    }
  }
}
void role_binding(Errors& errors, const Json& object) { role_binding_of(errors, object, true); }
void cluster_role_binding(Errors& errors, const Json& object) { role_binding_of(errors, object, false); }

void role_binding_update(Errors& errors, const Json& object, const Json& old) {
  const Json* now = find(object, "roleRef");
  const Json* before = find(old, "roleRef");
  if (now != nullptr && before != nullptr && !semantically_equal(*now, *before))
    errors.invalid_json("roleRef", now, "cannot change roleRef");
}

constexpr std::string_view kRbac = "rbac.authorization.k8s.io";
constexpr Rules kRules[] = {{"", "ConfigMap", config_map, config_map_update, nullptr},
                            {"", "Secret", secret, secret_update, nullptr},
                            {"coordination.k8s.io", "Lease", lease, nullptr, nullptr},
                            {"", "Node", node, node_update, nullptr},
                            {"", "Namespace", namespace_rules, nullptr, nullptr},
                            {"", "Event", event, nullptr, nullptr},
                            {"", "ServiceAccount", nullptr, nullptr, nullptr},
                            {kRbac, "Role", role, nullptr, nullptr},
                            {kRbac, "ClusterRole", cluster_role, nullptr, nullptr},
                            {kRbac, "RoleBinding", role_binding, role_binding_update, nullptr},
                            {kRbac, "ClusterRoleBinding", cluster_role_binding, role_binding_update, nullptr}};

}  // namespace

std::span<const Rules> core_rules() { return kRules; }

}  // namespace rs::api::validation
