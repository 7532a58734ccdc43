// JSON trees (Boost.JSON) and tolerant access to them.
//
// The accessors take a path of member names and never fail: null, missing, wrong type and empty all read as empty. One
// object that cannot be understood spoils only itself (design rule 2).
//
//   std::string_view node = str(pod, "spec", "nodeName");
//   for (const Json& container : array(pod, "spec", "containers")) …
//   set(pod, "Running", "status", "phase");          // creates the objects on the way
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/json.hpp>

#include "base/result.h"

namespace rs {

using Json = boost::json::value;
using JsonObject = boost::json::object;
using JsonArray = boost::json::array;

struct JsonLimits {
  size_t depth = 256;
  size_t bytes = 8u << 20;
};

// The whole text as one JSON value; kBadRequest with position and reason otherwise. Never throws.
Result<Json> parse_json(std::string_view text, JsonLimits limits = {});
std::string to_text(const Json& value);  // compact
std::string to_pretty_text(const Json& value);  // two spaces, for people

const JsonArray& empty_array();
const JsonObject& empty_object();

namespace detail {
inline const Json* step(const Json* value, std::string_view name) {
  if (value == nullptr || !value->is_object()) return nullptr;
  return value->get_object().if_contains(name);
}
Json& ensure_member(Json& value, std::string_view name);
}  // namespace detail

// The value at path, or nullptr (also for null).
template <class... Path>
const Json* find(const Json& root, Path... path) {
  const Json* value = &root;
  ((value = detail::step(value, path)), ...);
  return value == nullptr || value->is_null() ? nullptr : value;
}
template <class... Path>
Json* find(Json& root, Path... path) {
  return const_cast<Json*>(find(static_cast<const Json&>(root), path...));
}

template <class... Path>
std::string_view str(const Json& root, Path... path) {
  const Json* value = find(root, path...);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}
int64_t integer_of(const Json* value, int64_t otherwise);
template <class... Path>
int64_t integer_or(const Json& root, int64_t otherwise, Path... path) {
  return integer_of(find(root, path...), otherwise);
}
template <class... Path>
int64_t integer(const Json& root, Path... path) {
  return integer_of(find(root, path...), 0);
}
template <class... Path>
bool boolean(const Json& root, Path... path) {
  const Json* value = find(root, path...);
  return value != nullptr && value->is_bool() && value->get_bool();
}
template <class... Path>
const JsonArray& array(const Json& root, Path... path) {
  const Json* value = find(root, path...);
  return value != nullptr && value->is_array() ? value->get_array() : empty_array();
}
template <class... Path>
const JsonObject& object(const Json& root, Path... path) {
  const Json* value = find(root, path...);
  return value != nullptr && value->is_object() ? value->get_object() : empty_object();
}

// The value at path, made (with the objects on the way) when it is not there; a non-object on the way is replaced.
template <class... Path>
Json& ensure(Json& root, Path... path) {
  Json* value = &root;
  ((value = &detail::ensure_member(*value, path)), ...);
  return *value;
}
// set(root, value, path…)
template <class... Path>
void set(Json& root, Json value, Path... path) {
  ensure(root, path...) = std::move(value);
}
// Removes name from the object at path, if both are there.
template <class... Path>
void erase(Json& root, std::string_view name, Path... path) {
  if (Json* parent = find(root, path...); parent != nullptr && parent->is_object()) parent->get_object().erase(name);
}

}  // namespace rs
