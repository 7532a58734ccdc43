// Inside validation: how errors are collected and worded (apimachinery util/validation/field). Not for other rooms.
#pragma once

#include <initializer_list>
#include <set>

#include "api/validation.h"
#include "api/validation_names.h"

namespace rs::api::validation {

using Type = FieldError::Type;

// spec.containers[0].name; spec.selector[key].
inline std::string at(std::string_view path, std::string_view name) {
  return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
}
inline std::string at(std::string_view path, size_t index) { return fmt::format("{}[{}]", path, index); }
inline std::string at_key(std::string_view path, std::string_view key) { return fmt::format("{}[{}]", path, key); }

class Errors {
 public:
  void required(std::string field, std::string_view why = "") {
    add(Type::kRequired, std::move(field), why.empty() ? "Required value" : fmt::format("Required value: {}", why));
  }
  void invalid(std::string field, std::string_view value, std::string_view why) {
    add(Type::kInvalid, std::move(field), fmt::format("Invalid value: {}: {}", quoted(value), why));
  }
  void invalid(std::string field, int64_t value, std::string_view why) {
    add(Type::kInvalid, std::move(field), fmt::format("Invalid value: {}: {}", value, why));
  }
  void invalid_json(std::string field, const Json* value, std::string_view why) {
    add(Type::kInvalid, std::move(field), fmt::format("Invalid value: {}: {}", value == nullptr ? "null" : to_text(*value), why));
  }
  void each(std::string_view field, std::string_view value, const names::Messages& messages) {
    for (const std::string& message : messages) invalid(std::string(field), value, message);
  }
  void each(std::string_view field, int64_t value, const names::Messages& messages) {
    for (const std::string& message : messages) invalid(std::string(field), value, message);
  }
  void unsupported(std::string field, std::string_view value, std::initializer_list<std::string_view> supported) {
    std::string list;
    for (std::string_view item : supported) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", item);
    add(Type::kNotSupported, std::move(field), fmt::format("Unsupported value: {}: supported values: {}", quoted(value), list));
  }
  void forbidden(std::string field, std::string_view why) {
    add(Type::kForbidden, std::move(field), fmt::format("Forbidden: {}", why));
  }
  void duplicate(std::string field, std::string_view value) {
    add(Type::kDuplicate, std::move(field), fmt::format("Duplicate value: {}", quoted(value)));
  }
  void duplicate_json(std::string field, const Json& value) {
    add(Type::kDuplicate, std::move(field), fmt::format("Duplicate value: {}", to_text(value)));
  }
  void not_found(std::string field, std::string_view value) {
    add(Type::kNotFound, std::move(field), fmt::format("Not found: {}", quoted(value)));
  }
  void too_long(std::string field, size_t limit) {
    add(Type::kTooLong, std::move(field), fmt::format("Too long: may not be more than {} bytes", limit));
  }
  void too_many(std::string field, size_t count, size_t limit) {
    add(Type::kTooMany, std::move(field), fmt::format("Too many: {}: must have at most {} items", count, limit));
  }
  void add(Type type, std::string field, std::string detail) {
    if (list_.size() < kMaxErrors) list_.push_back({type, std::move(field), std::move(detail)});
  }
  bool empty() const { return list_.empty(); }
  std::vector<FieldError> take() { return std::move(list_); }

  static std::string quoted(std::string_view text) { return boost::json::serialize(boost::json::string(text)); }

 private:
  static constexpr size_t kMaxErrors = 1000;  // an object of nonsense must not make a Status of megabytes
  std::vector<FieldError> list_;
};

// The rules of one kind; null where there is nothing beyond metadata.
struct Rules {
  std::string_view group, kind;
  void (*create)(Errors& errors, const Json& object);
  void (*update)(Errors& errors, const Json& object, const Json& old_object);
  void (*status)(Errors& errors, const Json& object, const Json& old_object);
};
std::span<const Rules> core_rules();
std::span<const Rules> pod_rules();
std::span<const Rules> service_rules();
std::span<const Rules> workload_rules();

inline constexpr std::string_view kImmutable = "field is immutable";

// Shared checks.
void labels(Errors& errors, const Json* labels, const std::string& path);
void annotations(Errors& errors, const Json* annotations, const std::string& path);
void label_selector(Errors& errors, const Json* selector, const std::string& path);
void not_negative(Errors& errors, const Json* value, const std::string& path);
// IntOrString: not negative, or a percentage.
void number_or_percent(Errors& errors, const Json* value, const std::string& path);
void immutable(Errors& errors, const Json* value, const Json* old_value, const std::string& path);
void pod_template(Errors& errors, const Json& pod_template, const std::string& path);
void pod_spec(Errors& errors, const Json& spec, const std::string& path);

// A member that must be one of a set. Missing: required when needed.
void one_of(Errors& errors, const Json& object, std::string_view member, const std::string& path,
            std::initializer_list<std::string_view> supported, bool needed);

}  // namespace rs::api::validation
