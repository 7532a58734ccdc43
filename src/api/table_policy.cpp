// Rows of what governs others: disruption budgets, RBAC, priority and storage classes, ingresses, quotas.
// Source: pkg/printers/internalversion/printers.go (1.32).
#include "api/meta.h"
#include "api/table_printers.h"

namespace rs::api::printers {
namespace {

std::string number_or_percent(const Json* value) {
  if (value == nullptr) return "N/A";
  return value->is_string() ? std::string(value->get_string()) : to_text(*value);
}

std::string true_or_false(bool value) { return value ? "true" : "false"; }

constexpr Column kBudgetColumns[] = {
    kNameColumn,
    {"Min Available", "string", "The minimum number of pods that must be available."},
    {"Max Unavailable", "string", "The maximum number of pods that may be unavailable."},
    {"Allowed Disruptions", "integer", "Calculated number of pods that may be disrupted at this time."},
    kAgeColumn};
JsonArray budget_cells(const Json& budget, WallTime now) {
  return {name_of(budget), number_or_percent(find(budget, "spec", "minAvailable")),
          number_or_percent(find(budget, "spec", "maxUnavailable")), integer(budget, "status", "disruptionsAllowed"),
          age(budget, now)};
}

constexpr Column kRoleColumns[] = {
    kNameColumn,
    {"Created At", "date", "CreationTimestamp is a timestamp representing the server time when this object was created."}};
JsonArray role_cells(const Json& role, WallTime) { return {name_of(role), str(role, "metadata", "creationTimestamp")}; }

constexpr Column kBindingColumns[] = {kNameColumn,
                                      {"Role", "string", "The role that is granted."},
                                      kAgeColumn,
                                      {"Users", "string", "Users in the binding", 1},
                                      {"Groups", "string", "Groups in the binding", 1},
                                      {"ServiceAccounts", "string", "ServiceAccounts in the binding", 1}};
JsonArray binding_cells(const Json& binding, WallTime now) {
  std::vector<std::string> users, groups, accounts;
  for (const Json& subject : array(binding, "subjects")) {
    std::string_view kind = str(subject, "kind"), name = str(subject, "name");
    if (kind == "User") users.emplace_back(name);
    else if (kind == "Group") groups.emplace_back(name);
    else if (kind == "ServiceAccount") accounts.push_back(fmt::format("{}/{}", str(subject, "namespace"), name));
  }
  auto list = [](const std::vector<std::string>& items) { return fmt::format("{}", fmt::join(items, ", ")); };
  return {name_of(binding),
          fmt::format("{}/{}", str(binding, "roleRef", "kind"), str(binding, "roleRef", "name")),
          age(binding, now), list(users), list(groups), list(accounts)};
}

constexpr Column kPriorityColumns[] = {kNameColumn,
                                       {"Value", "integer", "The integer value of this priority class."},
                                       {"Global-Default", "boolean", "Whether it is for pods without a priority class."},
                                       kAgeColumn,
                                       {"PreemptionPolicy", "string", "Whether its pods preempt others."}};
JsonArray priority_cells(const Json& priority, WallTime now) {
  std::string_view policy = str(priority, "preemptionPolicy");
  return {name_of(priority), integer(priority, "value"), boolean(priority, "globalDefault"), age(priority, now),
          policy.empty() ? "PreemptLowerPriority" : policy};
}

constexpr Column kRuntimeColumns[] = {kNameColumn, {"Handler", "string", "The runtime that handles its pods."}, kAgeColumn};
JsonArray runtime_cells(const Json& runtime, WallTime now) {
  return {name_of(runtime), str(runtime, "handler"), age(runtime, now)};
}

constexpr Column kStorageClassColumns[] = {kNameColumn,
                                           {"Provisioner", "string", "The type of the provisioner."},
                                           {"ReclaimPolicy", "string", "What happens to volumes that are released."},
                                           {"VolumeBindingMode", "string", "When volumes are bound."},
                                           {"AllowVolumeExpansion", "string", "Whether volumes can grow."},
                                           kAgeColumn};
JsonArray storage_class_cells(const Json& storage, WallTime now) {
  std::string name(name_of(storage));
  for (std::string_view key : {"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"})
    if (annotation(storage, key) == "true") {
      name += " (default)";
      break;
    }
  std::string_view reclaim = str(storage, "reclaimPolicy"), binding = str(storage, "volumeBindingMode");
  return {name, str(storage, "provisioner"), reclaim.empty() ? "Delete" : reclaim, binding.empty() ? "Immediate" : binding,
          true_or_false(boolean(storage, "allowVolumeExpansion")), age(storage, now)};
}

constexpr Column kClaimColumns[] = {kNameColumn,
                                    {"Status", "string", "The phase of the claim."},
                                    {"Volume", "string", "The volume that backs it."},
                                    {"Capacity", "string", "The size of that volume."},
                                    {"Access Modes", "string", "The access modes of that volume."},
                                    {"StorageClass", "string", "The class that the claim asks for."},
                                    {"VolumeAttributesClass", "string", "The attributes class that the claim asks for."},
                                    kAgeColumn,
                                    {"VolumeMode", "string", "Filesystem or Block.", 1}};

std::string access_modes(const JsonArray& modes) {
  static constexpr std::pair<std::string_view, std::string_view> kShort[] = {
      {"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}};
  std::vector<std::string_view> out;
  for (const auto& [mode, text] : kShort)
    if (std::any_of(modes.begin(), modes.end(),
                    [&](const Json& item) { return item.is_string() && std::string_view(item.get_string()) == mode; }))
      out.push_back(text);
  return fmt::format("{}", fmt::join(out, ","));
}

std::string_view or_unset(std::string_view text) { return text.empty() ? "<unset>" : text; }

JsonArray claim_cells(const Json& claim, WallTime now) {
  bool bound = !str(claim, "spec", "volumeName").empty();
  return {name_of(claim),
          is_deleting(claim) ? "Terminating" : str(claim, "status", "phase"),
          str(claim, "spec", "volumeName"),
          bound ? str(claim, "status", "capacity", "storage") : "",
          bound ? access_modes(array(claim, "status", "accessModes")) : "",
          str(claim, "spec", "storageClassName"),
          or_unset(str(claim, "spec", "volumeAttributesClassName")),
          age(claim, now),
          or_unset(str(claim, "spec", "volumeMode"))};
}

constexpr Column kVolumeColumns[] = {kNameColumn,
                                     {"Capacity", "string", "The size of the volume."},
                                     {"Access Modes", "string", "The ways the volume can be mounted."},
                                     {"Reclaim Policy", "string", "What happens to it when it is released."},
                                     {"Status", "string", "The phase of the volume."},
                                     {"Claim", "string", "The claim it is bound to."},
                                     {"StorageClass", "string", "Its storage class."},
                                     {"VolumeAttributesClass", "string", "Its attributes class."},
                                     {"Reason", "string", "Why it is in a failed state."},
                                     kAgeColumn,
                                     {"VolumeMode", "string", "Filesystem or Block.", 1}};
JsonArray volume_cells(const Json& volume, WallTime now) {
  const Json* claim = find(volume, "spec", "claimRef");
  return {name_of(volume),
          str(volume, "spec", "capacity", "storage"),
          access_modes(array(volume, "spec", "accessModes")),
          str(volume, "spec", "persistentVolumeReclaimPolicy"),
          is_deleting(volume) ? "Terminating" : str(volume, "status", "phase"),
          claim == nullptr ? "" : fmt::format("{}/{}", str(*claim, "namespace"), str(*claim, "name")),
          str(volume, "spec", "storageClassName"),
          or_unset(str(volume, "spec", "volumeAttributesClassName")),
          str(volume, "status", "reason"),
          age(volume, now),
          or_unset(str(volume, "spec", "volumeMode"))};
}

constexpr Column kIngressColumns[] = {kNameColumn,
                                      {"Class", "string", "The IngressClass whose controller serves it."},
                                      {"Hosts", "string", "Hosts that incoming requests are matched against."},
                                      {"Address", "string", "Where it can be reached."},
                                      {"Ports", "string", "Ports of TLS configurations that open"},
                                      kAgeColumn};
JsonArray ingress_cells(const Json& ingress, WallTime now) {
  std::vector<std::string> hosts, addresses;
  for (const Json& rule : array(ingress, "spec", "rules"))
    if (!str(rule, "host").empty()) hosts.emplace_back(str(rule, "host"));
  for (const Json& point : array(ingress, "status", "loadBalancer", "ingress"))
    addresses.emplace_back(str(point, "ip").empty() ? str(point, "hostname") : str(point, "ip"));
  return {name_of(ingress),
          or_none(str(ingress, "spec", "ingressClassName")),
          limited_list(hosts, "*"),
          fmt::format("{}", fmt::join(addresses, ",")),
          array(ingress, "spec", "tls").empty() ? "80" : "80, 443",
          age(ingress, now)};
}

constexpr Column kNetworkPolicyColumns[] = {
    kNameColumn, {"Pod-Selector", "string", "The pods it applies to."}, kAgeColumn};
JsonArray network_policy_cells(const Json& policy, WallTime now) {
  return {name_of(policy), format_selector(find(policy, "spec", "podSelector")), age(policy, now)};
}

constexpr Column kQuotaColumns[] = {kNameColumn,
                                    {"Request", "string", "Used and allowed requests."},
                                    {"Limit", "string", "Used and allowed limits."},
                                    kAgeColumn};
JsonArray quota_cells(const Json& quota, WallTime now) {
  std::map<std::string, std::string> requests, limits;
  for (const auto& [key, hard] : object(quota, "status", "hard")) {
    std::string name(key);
    std::string text = fmt::format("{}: {}/{}", name, str(quota, "status", "used", key),
                                   hard.is_string() ? std::string_view(hard.get_string()) : std::string_view());
    (name.starts_with("limits") ? limits : requests)[name] = text;
  }
  auto list = [](const std::map<std::string, std::string>& items) {
    std::string out;
    for (const auto& [name, text] : items) out += (out.empty() ? "" : ", ") + text;
    return out;
  };
  return {name_of(quota), list(requests), list(limits), age(quota, now)};
}

constexpr Printer kPrinters[] = {{"policy", "PodDisruptionBudget", kBudgetColumns, budget_cells},
                                 {"rbac.authorization.k8s.io", "Role", kRoleColumns, role_cells},
                                 {"rbac.authorization.k8s.io", "ClusterRole", kRoleColumns, role_cells},
                                 {"rbac.authorization.k8s.io", "RoleBinding", kBindingColumns, binding_cells},
                                 {"rbac.authorization.k8s.io", "ClusterRoleBinding", kBindingColumns, binding_cells},
                                 {"scheduling.k8s.io", "PriorityClass", kPriorityColumns, priority_cells},
                                 {"node.k8s.io", "RuntimeClass", kRuntimeColumns, runtime_cells},
                                 {"storage.k8s.io", "StorageClass", kStorageClassColumns, storage_class_cells},
                                 {"", "PersistentVolumeClaim", kClaimColumns, claim_cells},
                                 {"", "PersistentVolume", kVolumeColumns, volume_cells},
                                 {"networking.k8s.io", "Ingress", kIngressColumns, ingress_cells},
                                 {"networking.k8s.io", "NetworkPolicy", kNetworkPolicyColumns, network_policy_cells},
                                 {"", "ResourceQuota", kQuotaColumns, quota_cells}};

}  // namespace

std::span<const Printer> policy_printers() { return kPrinters; }

}  // namespace rs::api::printers
