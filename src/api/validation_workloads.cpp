// Rules of controllers of pods. Source: pkg/apis/apps/validation, pkg/apis/batch/validation, pkg/apis/policy/validation.
#include "api/meta.h"
#include "api/selector.h"
#include "api/validation_errors.h"

namespace rs::api::validation {
namespace {

const Json& part(const Json& object, std::string_view a, std::string_view b = "") {
  static const Json kNothing;
  const Json* found = b.empty() ? find(object, a) : find(object, a, b);
  return found == nullptr ? kNothing : *found;
}

// As Go prints a map[string]string, which people know from this very message.
std::string go_map(const JsonObject& map) {
  if (map.empty()) return "map[string]string(nil)";
  std::map<std::string, std::string> sorted;
  for (const auto& [key, value] : map) sorted[std::string(key)] = value.is_string() ? std::string(value.get_string()) : "";
  std::string out;
  for (const auto& [key, value] : sorted)
    out += fmt::format("{}{}:{}", out.empty() ? "" : ", ", Errors::quoted(key), Errors::quoted(value));
  return "map[string]string{" + out + "}";
}

std::string go_selector(const Json& selector) {
  const JsonArray& expressions = array(selector, "matchExpressions");
  std::string list;
  for (const Json& item : expressions)
    list += fmt::format("{}v1.LabelSelectorRequirement{}", list.empty() ? "" : ", ", to_text(item));
  return fmt::format("v1.LabelSelector{{MatchLabels:{}, MatchExpressions:[]v1.LabelSelectorRequirement{}}}",
                     go_map(object(selector, "matchLabels")), expressions.empty() ? "(nil)" : "{" + list + "}");
}

void selector_and_template(Errors& errors, const Json& object, std::string_view kind) {
  const Json* selector = find(object, "spec", "selector");
  if (selector == nullptr) errors.required("spec.selector");
  else label_selector(errors, selector, "spec.selector");
  if (selector != nullptr && rs::object(*selector, "matchLabels").empty() && array(*selector, "matchExpressions").empty())
    errors.add(Type::kInvalid, "spec.selector",
               fmt::format("Invalid value: {}: empty selector is invalid for {}", go_selector(*selector), kind));
  const JsonObject& pod_labels = rs::object(object, "spec", "template", "metadata", "labels");
  Result<LabelSelector> parsed = LabelSelector::from_json(selector);
  if (selector != nullptr && parsed && !parsed->empty() && !parsed->matches(pod_labels))
    errors.add(Type::kInvalid, "spec.template.metadata.labels",
               fmt::format("Invalid value: {}: `selector` does not match template `labels`", go_map(pod_labels)));
  pod_template(errors, part(object, "spec", "template"), "spec.template");
}

void long_running(Errors& errors, const Json& object, std::string_view kind) {
  std::string_view policy = str(object, "spec", "template", "spec", "restartPolicy");
  if (!policy.empty() && policy != "Always") errors.unsupported("spec.template.spec.restartPolicy", policy, {"Always"});
  if (find(object, "spec", "template", "spec", "activeDeadlineSeconds") != nullptr)
    errors.forbidden("spec.template.spec.activeDeadlineSeconds",
                     fmt::format("activeDeadlineSeconds in {} is not Supported", kind));
}

bool is_zero(const Json* value) {
  if (value == nullptr) return true;
  if (value->is_string()) return std::string_view(value->get_string()) == "0%";
  return integer_of(value, 0) == 0;
}

void at_most_all(Errors& errors, const Json* value, const std::string& path) {
  if (value == nullptr || !value->is_string()) return;
  std::string_view text = value->get_string();
  if (names::is_percent(text) && std::atoi(std::string(text).c_str()) > 100)
    errors.invalid(path, text, "must not be greater than 100%");
}

void strategy(Errors& errors, const Json& deployment) {
  const Json& value = part(deployment, "spec", "strategy");
  std::string_view type = str(value, "type");
  const Json* rolling = find(value, "rollingUpdate");
  if (type == "Recreate") {
    if (rolling != nullptr)
      errors.forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'");
  } else if (type == "RollingUpdate") {
    if (rolling == nullptr) return errors.required("spec.strategy.rollingUpdate", "this should be defaulted and never be nil");
    const Json* unavailable = find(*rolling, "maxUnavailable");
    const Json* surge = find(*rolling, "maxSurge");
    number_or_percent(errors, unavailable, "spec.strategy.rollingUpdate.maxUnavailable");
    number_or_percent(errors, surge, "spec.strategy.rollingUpdate.maxSurge");
    if (is_zero(unavailable) && is_zero(surge))
      errors.invalid_json("spec.strategy.rollingUpdate.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0");
    at_most_all(errors, unavailable, "spec.strategy.rollingUpdate.maxUnavailable");
  } else {
    errors.unsupported("spec.strategy.type", type, {"Recreate", "RollingUpdate"});
  }
}

void deployment(Errors& errors, const Json& object) {
  const Json& spec = part(object, "spec");
  not_negative(errors, find(spec, "replicas"), "spec.replicas");
  selector_and_template(errors, object, "deployment");
  long_running(errors, object, "ReplicaSet");
  strategy(errors, object);
  for (const char* member : {"minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"})
    not_negative(errors, find(spec, member), at("spec", member));
  if (find(spec, "progressDeadlineSeconds") != nullptr &&
      integer(spec, "progressDeadlineSeconds") <= integer(spec, "minReadySeconds"))
    errors.invalid("spec.progressDeadlineSeconds", integer(spec, "progressDeadlineSeconds"),
                   "must be greater than minReadySeconds");
}

void immutable_selector(Errors& errors, const Json& object, const Json& old) {
  const Json &now = part(object, "spec", "selector"), &before = part(old, "spec", "selector");
  if (!semantically_equal(now, before))
    errors.add(Type::kInvalid, "spec.selector", fmt::format("Invalid value: {}: {}", go_selector(now), kImmutable));
}

void counters(Errors& errors, const Json& object, std::initializer_list<const char*> members) {
  for (const char* member : members) not_negative(errors, find(object, "status", member), at("status", member));
}

void deployment_status(Errors& errors, const Json& object, const Json&) {
  counters(errors, object, {"observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas",
                            "unavailableReplicas"});
  auto more = [&](const char* member, const char* limit) {
    if (integer(object, "status", member) > integer(object, "status", limit))
      errors.invalid(at("status", member), integer(object, "status", member), fmt::format("cannot be greater than status.{}", limit));
  };
  more("updatedReplicas", "replicas");
  more("readyReplicas", "replicas");
  more("availableReplicas", "replicas");
  more("availableReplicas", "readyReplicas");
}

void replica_set(Errors& errors, const Json& object) {
  const Json& spec = part(object, "spec");
  not_negative(errors, find(spec, "replicas"), "spec.replicas");
  not_negative(errors, find(spec, "minReadySeconds"), "spec.minReadySeconds");
  selector_and_template(errors, object, "replicaset");
  long_running(errors, object, "ReplicaSet");
}

void replica_set_status(Errors& errors, const Json& object, const Json&) {
  counters(errors, object, {"replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"});
  int64_t replicas = integer(object, "status", "replicas");
  for (const char* member : {"fullyLabeledReplicas", "readyReplicas", "availableReplicas"})
    if (integer(object, "status", member) > replicas)
      errors.invalid(at("status", member), integer(object, "status", member), "cannot be greater than status.replicas");
}

void job(Errors& errors, const Json& object) {
  const Json& spec = part(object, "spec");
  for (const char* member : {"parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"})
    not_negative(errors, find(spec, member), at("spec", member));
  one_of(errors, spec, "completionMode", "spec", {"NonIndexed", "Indexed"}, false);
  if (str(spec, "completionMode") == "Indexed" && find(spec, "completions") == nullptr)
    errors.required("spec.completions", "when completion mode is Indexed");
  selector_and_template(errors, object, "job");
  std::string_view policy = str(spec, "template", "spec", "restartPolicy");
  if (policy != "OnFailure" && policy != "Never")
    errors.required("spec.template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\"");
}

void job_update(Errors& errors, const Json& object, const Json& old) {
  bool indexed = str(object, "spec", "completionMode") == "Indexed";
  if (!indexed) immutable(errors, find(object, "spec", "completions"), find(old, "spec", "completions"), "spec.completions");
  immutable_selector(errors, object, old);
  // A job that is suspended and has not started may still be steered to other nodes (KEP-2926).
  Json now = part(object, "spec", "template"), before = part(old, "spec", "template");
  if (boolean(old, "spec", "suspend") && find(old, "status", "startTime") == nullptr)
    for (Json* item : {&now, &before})
      for (std::string_view member : {"nodeSelector", "tolerations", "affinity", "schedulingGates"}) erase(*item, member, "spec");
  immutable(errors, &now, &before, "spec.template");
  for (const char* member : {"completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"})
    immutable(errors, find(object, "spec", member), find(old, "spec", member), at("spec", member));
}

void job_status(Errors& errors, const Json& object, const Json&) {
  counters(errors, object, {"active", "succeeded", "failed", "ready", "terminating"});
}

void budget(Errors& errors, const Json& object) {
  const Json* least = find(object, "spec", "minAvailable");
  const Json* most = find(object, "spec", "maxUnavailable");
  if (least != nullptr && most != nullptr)
    errors.invalid_json("spec", find(object, "spec"), "minAvailable and maxUnavailable cannot be both set");
  number_or_percent(errors, least, "spec.minAvailable");
  at_most_all(errors, least, "spec.minAvailable");
  number_or_percent(errors, most, "spec.maxUnavailable");
  at_most_all(errors, most, "spec.maxUnavailable");
  label_selector(errors, find(object, "spec", "selector"), "spec.selector");
  one_of(errors, part(object, "spec"), "unhealthyPodEvictionPolicy", "spec", {"AlwaysAllow", "IfHealthyBudget"}, false);
}

void budget_status(Errors& errors, const Json& object, const Json&) {
  counters(errors, object, {"disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"});
}

constexpr Rules kRules[] = {{"apps", "Deployment", deployment, immutable_selector, deployment_status},
                            {"apps", "ReplicaSet", replica_set, immutable_selector, replica_set_status},
                            {"batch", "Job", job, job_update, job_status},
                            {"policy", "PodDisruptionBudget", budget, nullptr, budget_status}};

}  // namespace

std::span<const Rules> workload_rules() { return kRules; }

}  // namespace rs::api::validation
