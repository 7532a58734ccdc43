#include "api/validation.h"

#include "api/meta.h"
#include "api/selector.h"
#include "api/validation_errors.h"

namespace rs::api {
namespace validation {
namespace {

constexpr size_t kAnnotationBytesMax = 256 * 1024;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return out;
}

std::string_view text_of(const Json& value) {
  return value.is_string() ? std::string_view(value.get_string()) : std::string_view();
}

void owner_references(Errors& errors, const Json& metadata) {
  std::string controller;
  const JsonArray& owners = array(metadata, "ownerReferences");
  for (size_t i = 0; i < owners.size(); ++i) {
    std::string path = at("metadata.ownerReferences", i);
    const Json& owner = owners[i];
    std::string_view version = str(owner, "apiVersion");
    if (version.substr(version.find('/') + 1).empty()) errors.invalid(at(path, "version"), version, "version must not be empty");
    for (std::string_view member : {"kind", "name", "uid"})
      if (str(owner, member).empty()) errors.invalid(at(path, member), "", fmt::format("{} must not be empty", member));
    if (version == "v1" && str(owner, "kind") == "Event")
      errors.invalid("metadata.ownerReferences", "Event", "/v1, Kind=Event is disallowed from being an owner");
    if (!boolean(owner, "controller")) continue;
    if (!controller.empty())
      errors.invalid_json("metadata.ownerReferences", find(metadata, "ownerReferences"),
                          fmt::format("Only one reference can have Controller set to true. Found \"true\" in references for "
                                      "{} and {}", controller, str(owner, "name")));
    controller = str(owner, "name");
  }
}

void finalizers(Errors& errors, const Json& metadata) {
  const JsonArray& list = array(metadata, "finalizers");
  bool orphan = false, foreground = false;
  for (size_t i = 0; i < list.size(); ++i) {
    std::string_view name = text_of(list[i]);
    errors.each("metadata.finalizers", name, names::qualified_name(name));
    bool standard = name == "kubernetes" || name == "orphan" || name == "foregroundDeletion";
    if (!standard && name.find('/') == std::string_view::npos)
      errors.invalid(at("metadata.finalizers", i), name, "name is neither a standard finalizer name nor is it fully qualified");
    orphan |= name == "orphan";
    foreground |= name == "foregroundDeletion";
  }
  if (orphan && foreground)
    errors.invalid_json("metadata.finalizers", find(metadata, "finalizers"),
                        "finalizer orphan and foregroundDeletion cannot be both set");
}

names::Messages name_messages(const Kind& kind, std::string_view name) {
  if (kind.group == "rbac.authorization.k8s.io") return names::path_segment(name);
  if (kind.group.empty() && kind.kind == "Service") return names::dns1035_label(name);
  if (kind.group.empty() && kind.kind == "Namespace") return names::dns1123_label(name);
  names::Messages out = names::dns1123_subdomain(name);
  // Its jobs add eleven characters (batch/validation).
  if (kind.kind == "CronJob" && name.size() > 52) out.push_back("must be no more than 52 characters");
  return out;
}

void metadata(Errors& errors, const Kind& kind, const Json& object) {
  static const Json kNothing;
  const Json* meta = find(object, "metadata");
  if (meta == nullptr) meta = &kNothing;
  if (std::string base(str(*meta, "generateName")); !base.empty()) {
    if (base.back() == '-') base.back() = 'a';  // something will follow it
    errors.each("metadata.generateName", str(*meta, "generateName"), name_messages(kind, base));
  }
  if (std::string_view name = str(*meta, "name"); name.empty())
    errors.required("metadata.name", "name or generateName is required");
  else
    errors.each("metadata.name", name, name_messages(kind, name));
  std::string_view ns = str(*meta, "namespace");
  if (kind.namespaced && ns.empty()) errors.required("metadata.namespace");
  else if (kind.namespaced) errors.each("metadata.namespace", ns, names::dns1123_label(ns));
  else if (!ns.empty()) errors.forbidden("metadata.namespace", "not allowed on this type");
  labels(errors, find(*meta, "labels"), "metadata.labels");
  annotations(errors, find(*meta, "annotations"), "metadata.annotations");
  owner_references(errors, *meta);
  finalizers(errors, *meta);
}

const Rules* rules_of(const Kind& kind) {
  for (std::span<const Rules> family : {core_rules(), pod_rules(), service_rules(), workload_rules()})
    for (const Rules& rules : family)
      if (rules.kind == kind.kind && rules.group == kind.group) return &rules;
  return nullptr;
}

}  // namespace

void labels(Errors& errors, const Json* value, const std::string& path) {
  if (value == nullptr || !value->is_object()) return;
  for (const auto& [key, text] : value->get_object()) {
    errors.each(path, key, names::qualified_name(key));
    errors.each(path, text_of(text), names::label_value(text_of(text)));
  }
}

void annotations(Errors& errors, const Json* value, const std::string& path) {
  if (value == nullptr || !value->is_object()) return;
  size_t total = 0;
  for (const auto& [key, text] : value->get_object()) {
    errors.each(path, key, names::qualified_name(lower(key)));
    total += key.size() + text_of(text).size();
  }
  if (total > kAnnotationBytesMax) errors.too_long(path, kAnnotationBytesMax);
}

void label_selector(Errors& errors, const Json* selector, const std::string& path) {
  if (selector == nullptr) return;
  labels(errors, find(*selector, "matchLabels"), at(path, "matchLabels"));
  const JsonArray& expressions = array(*selector, "matchExpressions");
  for (size_t i = 0; i < expressions.size(); ++i) {
    const Json& expression = expressions[i];
    std::string here = at(at(path, "matchExpressions"), i);
    std::string_view op = str(expression, "operator"), key = str(expression, "key");
    const JsonArray& values = array(expression, "values");
    if (op == "In" || op == "NotIn") {
      if (values.empty()) errors.required(at(here, "values"), "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (!values.empty()) errors.forbidden(at(here, "values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else {
      errors.invalid(at(here, "operator"), op, "not a valid selector operator");
    }
    errors.each(at(here, "key"), key, names::qualified_name(key));
    for (size_t v = 0; v < values.size(); ++v)
      errors.each(at(at(here, "values"), v), text_of(values[v]), names::label_value(text_of(values[v])));
  }
}

void not_negative(Errors& errors, const Json* value, const std::string& path) {
  int64_t number = integer_of(value, 0);
  if (number < 0) errors.invalid(path, number, "must be greater than or equal to 0");
}

void number_or_percent(Errors& errors, const Json* value, const std::string& path) {
  if (value == nullptr) return;
  if (!value->is_string()) return not_negative(errors, value, path);
  std::string_view text = value->get_string();
  errors.each(path, text, names::percent(text));
}

void immutable(Errors& errors, const Json* value, const Json* old_value, const std::string& path) {
  static const Json kNull;
  if (!semantically_equal(value == nullptr ? kNull : *value, old_value == nullptr ? kNull : *old_value))
    errors.invalid_json(path, value, kImmutable);
}

void one_of(Errors& errors, const Json& object, std::string_view member, const std::string& path,
            std::initializer_list<std::string_view> supported, bool needed) {
  std::string_view value = str(object, member);
  if (value.empty()) {
    if (needed) errors.required(at(path, member));
  } else if (std::find(supported.begin(), supported.end(), value) == supported.end()) {
    errors.unsupported(at(path, member), value, supported);
  }
}

}  // namespace validation

using validation::Errors;

std::vector<FieldError> validate_name(const Kind& kind, std::string_view name, std::string_view field) {
  Errors errors;
  if (name.empty()) errors.required(std::string(field), "name or generateName is required");
  else errors.each(field, name, validation::name_messages(kind, name));
  return errors.take();
}

std::vector<FieldError> validate_create(const Kind& kind, const Json& object) {
  Errors errors;
  if (!kind.stored) return {};
  validation::metadata(errors, kind, object);
  const validation::Rules* rules = validation::rules_of(kind);
  if (rules != nullptr && rules->create != nullptr) rules->create(errors, object);
  return errors.take();
}

std::vector<FieldError> validate_update(const Kind& kind, const Json& object, const Json& old_object) {
  Errors errors;
  if (!kind.stored) return {};
  validation::metadata(errors, kind, object);
  const validation::Rules* rules = validation::rules_of(kind);
  if (rules != nullptr && rules->create != nullptr) rules->create(errors, object);
  if (rules != nullptr && rules->update != nullptr) rules->update(errors, object, old_object);
  return errors.take();
}

std::vector<FieldError> validate_status_update(const Kind& kind, const Json& object, const Json& old_object) {
  Errors errors;
  validation::metadata(errors, kind, object);
  const validation::Rules* rules = validation::rules_of(kind);
  if (rules != nullptr && rules->status != nullptr) rules->status(errors, object, old_object);
  return errors.take();
}

Error invalid_error(const Kind& kind, std::string_view name, const std::vector<FieldError>& errors) {
  static constexpr std::string_view kReasons[] = {"FieldValueRequired",  "FieldValueInvalid",   "FieldValueNotSupported",
                                                  "FieldValueForbidden", "FieldValueDuplicate", "FieldValueTooLong",
                                                  "FieldValueTooMany",   "FieldValueTypeInvalid", "FieldValueNotFound"};
  auto details = std::make_shared<ErrorDetails>();
  details->kind = kind.kind;
  details->group = kind.group;
  details->name = name;
  std::vector<std::string> texts;
  std::set<std::string> seen;
  for (const FieldError& error : errors) {
    details->causes.push_back({std::string(kReasons[size_t(error.type)]), error.detail, error.field});
    std::string text = fmt::format("{}: {}", error.field, error.detail);
    if (seen.insert(text).second) texts.push_back(std::move(text));
  }
  std::string list = texts.size() == 1 ? texts[0] : fmt::format("[{}]", fmt::join(texts, ", "));
  std::string what = kind.group.empty() ? kind.kind : fmt::format("{}.{}", kind.kind, kind.group);
  return Error{Code::kInvalid, fmt::format("{} \"{}\" is invalid: {}", what, name, list), std::move(details)};
}

}  // namespace rs::api
