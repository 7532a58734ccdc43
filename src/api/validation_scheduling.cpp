// Rules of where a pod may run. Source: pkg/apis/core/validation (validateAffinity, ValidateTolerations …).
#include <charconv>

#include "api/validation_pods.h"

namespace rs::api::validation {
namespace {

void tolerations(Errors& errors, const Json& spec, const std::string& path) {
  const JsonArray& list = array(spec, "tolerations");
  for (size_t i = 0; i < list.size(); ++i) {
    const Json& toleration = list[i];
    std::string here = at(at(path, "tolerations"), i);
    std::string_view key = str(toleration, "key"), op = str(toleration, "operator"), value = str(toleration, "value");
    std::string_view effect = str(toleration, "effect");
    if (!key.empty()) errors.each(at(here, "key"), key, names::qualified_name(key));
    if (key.empty() && op != "Exists")
      errors.invalid(at(here, "operator"), op,
                     "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
    if (find(toleration, "tolerationSeconds") != nullptr && effect != "NoExecute")
      errors.invalid(at(here, "effect"), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
    if (op.empty() || op == "Equal") {
      if (auto messages = names::label_value(value); !messages.empty())
        errors.invalid(at(here, "operator"), value, names::join(messages));
    } else if (op == "Exists") {
      if (!value.empty()) errors.invalid_json(at(here, "operator"), &toleration, "value must be empty when `operator` is 'Exists'");
    } else {
      errors.unsupported(at(here, "operator"), op, {"Equal", "Exists"});
    }
    one_of(errors, toleration, "effect", here, {"NoSchedule", "PreferNoSchedule", "NoExecute"}, false);
  }
}

bool is_integer(const Json& value) {
  std::string_view text = value.is_string() ? std::string_view(value.get_string()) : std::string_view();
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return !text.empty() && error == std::errc{} && end == text.data() + text.size();
}

void node_requirement(Errors& errors, const Json& requirement, const std::string& path) {
  std::string_view op = str(requirement, "operator"), key = str(requirement, "key");
  const JsonArray& values = array(requirement, "values");
  if (op == "In" || op == "NotIn") {
    if (values.empty()) errors.required(at(path, "values"), "must be specified when `operator` is 'In' or 'NotIn'");
  } else if (op == "Exists" || op == "DoesNotExist") {
    if (!values.empty())
      errors.forbidden(at(path, "values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
  } else if (op == "Gt" || op == "Lt") {
    if (values.size() != 1 || !is_integer(values[0]))
      errors.required(at(path, "values"), "must be specified single value when `operator` is 'Lt' or 'Gt'");
  } else {
    errors.invalid(at(path, "operator"), op, "not a valid selector operator");
  }
  errors.each(at(path, "key"), key, names::qualified_name(key));
}

void node_term(Errors& errors, const Json& term, const std::string& path) {
  const JsonArray& expressions = array(term, "matchExpressions");
  for (size_t i = 0; i < expressions.size(); ++i) node_requirement(errors, expressions[i], at(at(path, "matchExpressions"), i));
  const JsonArray& fields = array(term, "matchFields");
  for (size_t i = 0; i < fields.size(); ++i)
    if (str(fields[i], "key") != "metadata.name")
      errors.invalid(at(at(at(path, "matchFields"), i), "key"), str(fields[i], "key"), "not a valid field selector key");
}

void weight(Errors& errors, const Json& item, const std::string& path) {
  if (int64_t value = integer(item, "weight"); value < 1 || value > 100)
    errors.invalid(at(path, "weight"), value, "must be in the range 1-100");
}

void node_affinity(Errors& errors, const Json& affinity, const std::string& path) {
  if (const Json* required = find(affinity, "requiredDuringSchedulingIgnoredDuringExecution")) {
    std::string here = at(at(path, "requiredDuringSchedulingIgnoredDuringExecution"), "nodeSelectorTerms");
    const JsonArray& terms = array(*required, "nodeSelectorTerms");
    if (terms.empty()) errors.required(here, "must have at least one node selector term");
    for (size_t i = 0; i < terms.size(); ++i) node_term(errors, terms[i], at(here, i));
  }
  const JsonArray& preferred = array(affinity, "preferredDuringSchedulingIgnoredDuringExecution");
  for (size_t i = 0; i < preferred.size(); ++i) {
    std::string here = at(at(path, "preferredDuringSchedulingIgnoredDuringExecution"), i);
    weight(errors, preferred[i], here);
    if (const Json* term = find(preferred[i], "preference")) node_term(errors, *term, at(here, "preference"));
  }
}

void pod_term(Errors& errors, const Json& term, const std::string& path) {
  label_selector(errors, find(term, "labelSelector"), at(path, "labelSelector"));
  label_selector(errors, find(term, "namespaceSelector"), at(path, "namespaceSelector"));
  std::string_view key = str(term, "topologyKey");
  if (key.empty()) errors.required(at(path, "topologyKey"), "can not be empty");
  errors.each(at(path, "topologyKey"), key, names::qualified_name(key));
}

void pod_affinity(Errors& errors, const Json& affinity, const std::string& path) {
  const JsonArray& required = array(affinity, "requiredDuringSchedulingIgnoredDuringExecution");
  for (size_t i = 0; i < required.size(); ++i)
    pod_term(errors, required[i], at(at(path, "requiredDuringSchedulingIgnoredDuringExecution"), i));
  const JsonArray& preferred = array(affinity, "preferredDuringSchedulingIgnoredDuringExecution");
  for (size_t i = 0; i < preferred.size(); ++i) {
    std::string here = at(at(path, "preferredDuringSchedulingIgnoredDuringExecution"), i);
    weight(errors, preferred[i], here);
    if (const Json* term = find(preferred[i], "podAffinityTerm")) pod_term(errors, *term, at(here, "podAffinityTerm"));
  }
}

void spread(Errors& errors, const Json& spec, const std::string& path) {
  const JsonArray& list = array(spec, "topologySpreadConstraints");
  std::set<std::pair<std::string, std::string>> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    std::string here = at(at(path, "topologySpreadConstraints"), i);
    std::string_view key = str(list[i], "topologyKey"), action = str(list[i], "whenUnsatisfiable");
    if (int64_t skew = integer(list[i], "maxSkew"); skew <= 0) errors.invalid(at(here, "maxSkew"), skew, "must be greater than zero");
    if (key.empty()) errors.required(at(here, "topologyKey"), "can not be empty");
    else errors.each(at(here, "topologyKey"), key, names::qualified_name(key));
    if (action != "DoNotSchedule" && action != "ScheduleAnyway")
      errors.unsupported(at(here, "whenUnsatisfiable"), action, {"DoNotSchedule", "ScheduleAnyway"});
    if (!seen.insert({std::string(key), std::string(action)}).second)
      errors.duplicate(at(here, "{topologyKey, whenUnsatisfiable}"), fmt::format("{{{}, {}}}", key, action));
    if (const Json* least = find(list[i], "minDomains"); least != nullptr && integer_of(least, 0) <= 0)
      errors.invalid(at(here, "minDomains"), integer_of(least, 0), "must be greater than zero");
    label_selector(errors, find(list[i], "labelSelector"), at(here, "labelSelector"));
  }
}

}  // namespace

void scheduling(Errors& errors, const Json& spec, const std::string& path) {
  labels(errors, find(spec, "nodeSelector"), at(path, "nodeSelector"));
  if (const Json* affinity = find(spec, "affinity")) {
    std::string here = at(path, "affinity");
    if (const Json* node = find(*affinity, "nodeAffinity")) node_affinity(errors, *node, at(here, "nodeAffinity"));
    for (std::string_view member : {"podAffinity", "podAntiAffinity"})
      if (const Json* pod = find(*affinity, member)) pod_affinity(errors, *pod, at(here, member));
  }
  tolerations(errors, spec, path);
  spread(errors, spec, path);
}

}  // namespace rs::api::validation
