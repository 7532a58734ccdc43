// Rules of pods. Source: pkg/apis/core/validation (ValidatePodSpec, ValidatePodUpdate, ValidatePodStatusUpdate).
#include "api/validation_pods.h"

#include "api/meta.h"

namespace rs::api::validation {
namespace {

void all_containers(Errors& errors, const Json& spec, const std::string& path, const VolumeNames& volume_names) {
  bool host_network = boolean(spec, "hostNetwork");
  if (array(spec, "containers").empty()) errors.required(at(path, "containers"));
  std::set<std::string, std::less<>> seen;
  for (std::string_view list : {"containers", "initContainers"}) {
    const JsonArray& items = array(spec, list);
    for (size_t i = 0; i < items.size(); ++i) {
      std::string here = at(at(path, list), i);
      container(errors, items[i], here, {list == "initContainers", host_network, volume_names});
      std::string_view name = str(items[i], "name");
      if (!name.empty() && !seen.emplace(name).second) errors.duplicate(at(here, "name"), name);
    }
  }
}

void identity(Errors& errors, const Json& spec, const std::string& path) {
  auto check = [&](std::string_view member, names::Messages (*rule)(std::string_view)) {
    if (std::string_view value = str(spec, member); !value.empty()) errors.each(at(path, member), value, rule(value));
  };
  check("serviceAccountName", names::dns1123_subdomain);
  check("nodeName", names::dns1123_subdomain);
  check("hostname", names::dns1123_label);
  check("subdomain", names::dns1123_label);
  check("priorityClassName", names::dns1123_subdomain);
  check("runtimeClassName", names::dns1123_subdomain);
  const JsonArray& aliases = array(spec, "hostAliases");
  for (size_t i = 0; i < aliases.size(); ++i) {
    std::string here = at(at(path, "hostAliases"), i);
    errors.each(at(here, "ip"), str(aliases[i], "ip"), names::ip_address(str(aliases[i], "ip")));
  }
  const JsonArray& secrets = array(spec, "imagePullSecrets");
  for (size_t i = 0; i < secrets.size(); ++i)
    if (str(secrets[i], "name").empty()) errors.required(at(at(at(path, "imagePullSecrets"), i), "name"));
  const JsonArray& gates = array(spec, "readinessGates");
  for (size_t i = 0; i < gates.size(); ++i)
    errors.each(at(at(at(path, "readinessGates"), i), "conditionType"), str(gates[i], "conditionType"),
                names::qualified_name(str(gates[i], "conditionType")));
}

void pod(Errors& errors, const Json& object) {
  const Json* spec = find(object, "spec");
  static const Json kNothing;
  pod_spec(errors, spec == nullptr ? kNothing : *spec, "spec");
}

// An image may change; nothing else of a container may.
void allow_images(Errors& errors, Json& spec, const Json& old_spec, std::string_view list) {
  Json* items = find(spec, list);
  const JsonArray& old_items = array(old_spec, list);
  if (items == nullptr || !items->is_array()) return;
  for (size_t i = 0; i < items->get_array().size() && i < old_items.size(); ++i) {
    Json& item = items->get_array()[i];
    if (str(item, "image").empty()) errors.required(at(at(at("spec", list), i), "image"));
    if (const Json* image = find(old_items[i], "image")) set(item, *image, "image");
  }
}

bool only_adds_tolerations(const JsonArray& now, const JsonArray& before) {
  // The seconds of an existing toleration may change.
  auto same = [](Json a, Json b) {
    erase(a, "tolerationSeconds");
    erase(b, "tolerationSeconds");
    return semantically_equal(a, b);
  };
  return std::all_of(before.begin(), before.end(), [&](const Json& old) {
    return std::any_of(now.begin(), now.end(), [&](const Json& item) { return same(item, old); });
  });
}

void active_deadline(Errors& errors, const Json& object, const Json& old) {
  const Json* now = find(object, "spec", "activeDeadlineSeconds");
  const Json* before = find(old, "spec", "activeDeadlineSeconds");
  if (before == nullptr) return;
  if (now == nullptr)
    errors.invalid_json("spec.activeDeadlineSeconds", nullptr, "must not update from a positive integer to nil value");
  else if (integer_of(now, 0) > integer_of(before, 0))
    errors.invalid("spec.activeDeadlineSeconds", integer_of(now, 0), "must be less than or equal to previous value");
}

// A pod that is held back by gates may lose gates, and be narrowed to fewer nodes (KEP-3521, KEP-3838).
void allow_gates(Errors& errors, Json& spec, const Json& old_spec) {
  const JsonArray& before = array(old_spec, "schedulingGates");
  for (const Json& gate : array(spec, "schedulingGates"))
    if (std::find(before.begin(), before.end(), gate) == before.end())
      errors.forbidden("spec.schedulingGates", fmt::format("only deletion is allowed, but found new scheduling gate '{}'", str(gate, "name")));
  auto take_old = [&](std::string_view member) {
    if (const Json* value = find(old_spec, member)) set(spec, *value, member);
    else erase(spec, member);
  };
  if (before.empty()) return;
  take_old("schedulingGates");
  const JsonObject& selector = object(spec, "nodeSelector");
  for (const auto& [key, value] : object(old_spec, "nodeSelector"))
    if (!selector.contains(key) || selector.at(key) != value)
      return errors.invalid_json("spec.nodeSelector", find(spec, "nodeSelector"),
                                 "only additions are allowed (no mutations or deletions)");
  take_old("nodeSelector");
}

std::string changed_members(const Json& spec, const Json& old_spec) {
  static const Json kNull;
  std::set<std::string> out;
  auto value = [](const Json& from, std::string_view member) -> const Json& {
    const Json* found = find(from, member);
    return found == nullptr ? kNull : *found;
  };
  for (const Json* side : {&spec, &old_spec})
    if (side->is_object())
      for (const auto& [member, ignored] : side->get_object())
        if (!semantically_equal(value(spec, member), value(old_spec, member))) out.insert(fmt::format("spec.{}", std::string_view(member)));
  return fmt::format("{}", fmt::join(out, ", "));
}

void pod_update(Errors& errors, const Json& object, const Json& old) {
  static const Json kNothing;
  const Json* old_spec = find(old, "spec");
  if (old_spec == nullptr) old_spec = &kNothing;
  for (std::string_view list : {"containers", "initContainers"})
    if (array(object, "spec", list).size() != array(*old_spec, list).size())
      return errors.forbidden(at("spec", list), "pod updates may not add or remove containers");
  active_deadline(errors, object, old);
  Json spec = find(object, "spec") == nullptr ? Json() : *find(object, "spec");
  for (std::string_view list : {"containers", "initContainers"}) allow_images(errors, spec, *old_spec, list);
  allow_gates(errors, spec, *old_spec);
  if (!only_adds_tolerations(array(spec, "tolerations"), array(*old_spec, "tolerations")))
    errors.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds");
  bool grace_repaired = integer(*old_spec, "terminationGracePeriodSeconds") < 0 && integer(spec, "terminationGracePeriodSeconds") == 1;
  for (std::string_view member : {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"}) {
    if (member == "terminationGracePeriodSeconds" && !grace_repaired) continue;
    if (const Json* value = find(*old_spec, member)) set(spec, *value, member);
    else erase(spec, member);
  }
  if (!semantically_equal(spec, *old_spec))
    errors.forbidden("spec", fmt::format("pod updates may not change fields other than `spec.containers[*].image`,"
                                         "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
                                         "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to "
                                         "be set to 1 if it was previously negative)\nchanged: {}",
                                         changed_members(spec, *old_spec)));
}

// A container that is over in a pod that does not restart containers must stay over.
void no_restart(Errors& errors, const Json& object, const Json& old, std::string_view list) {
  const JsonArray& before = array(old, "status", list);
  for (const Json& status : array(object, "status", list))
    for (size_t i = 0; i < before.size(); ++i) {
      if (str(before[i], "name") != str(status, "name") || find(before[i], "state", "terminated") == nullptr) continue;
      if (str(object, "spec", "restartPolicy") == "OnFailure" && integer(before[i], "state", "terminated", "exitCode") != 0) continue;
      if (find(status, "state", "terminated") == nullptr)
        errors.forbidden(at(at(at("status", list), i), "state"), "may not be transitioned to non-terminated state");
    }
}

void pod_status(Errors& errors, const Json& object, const Json& old) {
  std::string_view node = str(object, "spec", "nodeName"), old_node = str(old, "spec", "nodeName");
  if (node != old_node) errors.forbidden("spec.nodeName", "may not be changed directly");
  if (str(old, "spec", "restartPolicy") != "Always") no_restart(errors, object, old, "containerStatuses");
}

constexpr Rules kRules[] = {{"", "Pod", pod, pod_update, pod_status}};

}  // namespace

void pod_spec(Errors& errors, const Json& spec, const std::string& path) {
  VolumeNames volume_names = volumes(errors, spec, path);
  all_containers(errors, spec, path, volume_names);
  one_of(errors, spec, "restartPolicy", path, {"Always", "OnFailure", "Never"}, true);
  one_of(errors, spec, "dnsPolicy", path, {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"}, true);
  not_negative(errors, find(spec, "terminationGracePeriodSeconds"), at(path, "terminationGracePeriodSeconds"));
  if (const Json* deadline = find(spec, "activeDeadlineSeconds"))
    if (int64_t seconds = integer_of(deadline, 0); seconds < 1 || seconds > INT32_MAX)
      errors.invalid(at(path, "activeDeadlineSeconds"), seconds, "must be between 1 and 2147483647, inclusive");
  if (str(spec, "dnsPolicy") == "None" && array(spec, "dnsConfig", "nameservers").empty())
    errors.required(at(path, "dnsConfig.nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None");
  identity(errors, spec, path);
  scheduling(errors, spec, path);
}

void pod_template(Errors& errors, const Json& pod_template, const std::string& path) {
  labels(errors, find(pod_template, "metadata", "labels"), at(path, "labels"));
  annotations(errors, find(pod_template, "metadata", "annotations"), at(path, "annotations"));
  static const Json kNothing;
  const Json* spec = find(pod_template, "spec");
  pod_spec(errors, spec == nullptr ? kNothing : *spec, at(path, "spec"));
  if (!array(pod_template, "spec", "ephemeralContainers").empty())
    errors.forbidden(at(path, "spec.ephemeralContainers"), "ephemeral containers not allowed in pod template");
}

std::span<const Rules> pod_rules() { return kRules; }

}  // namespace rs::api::validation
