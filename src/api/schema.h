// The schema table: every type of the Kubernetes API at level v1.32 (k8s.io/api, apimachinery), with what JSON,
// protobuf, patches, apply, defaults and OpenAPI need to know of its fields. The facts are text, in schema/*.schema
// (schema/README.md says how to read and extend them); parsed once, at first use, in a few milliseconds. Immutable;
// any thread. Everything returned lives as long as the program.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/kind.h"

namespace rs::api {

// What one value is: of the field itself, or of each item of a list or map.
enum class ValueType : uint8_t {
  kString,
  kBool,
  kInt32,
  kInt64,
  kDouble,
  kBytes,                  // base64 in JSON
  kMessage,                // FieldInfo::type says which
  kQuantity,               // string; numbers are accepted and become strings
  kTime,                   // RFC 3339, whole seconds; null: no time
  kMicroTime,              // RFC 3339 with six decimals
  kIntOrString,
  kRawExtension,           // any object; in protobuf its JSON text
  kFieldsV1,               // likewise (metadata.managedFields[].fieldsV1)
  kAnyJson,                // any value (apiextensions JSON, Table cells)
  kStringList,             // a list of strings that protobuf wraps into a message (ExtraValue, Verbs)
  kSchemaOrBool,           // apiextensions JSONSchemaPropsOrBool …
  kSchemaOrArray,
  kSchemaOrStringArray,
};

enum class Shape : uint8_t { kSingle, kList, kMap };   // maps have string keys
enum class ListType : uint8_t { kAtomic, kSet, kMap };  // x-kubernetes-list-type; none said: atomic

struct FieldInfo {
  std::string_view name;             // in JSON
  int number = 0;                    // in protobuf; 0: not there
  Shape shape = Shape::kSingle;
  ValueType value = ValueType::kString;
  const TypeInfo* type = nullptr;    // of a kMessage; JSONSchemaProps for kSchemaOr…
  bool omit_empty = false;           // Go's omitempty: an empty value is left out of JSON
  bool pointer = false;              // a Go pointer: a zero that was given is kept
  bool inlined = false;              // comes from an inlined type: in protobuf inside TypeInfo::inlines, not here

  // Server-side apply (structured-merge-diff).
  ListType list_type = ListType::kAtomic;
  std::vector<std::string_view> list_keys;     // of ListType::kMap, as declared
  bool map_atomic = false;                     // this map or struct is replaced as a whole, see atomic()

  // Strategic merge patch.
  bool patch_merge = false;                    // lists merge by patch_merge_key, or as a set when that is empty
  bool patch_replace = false;                  // an object that is replaced, not merged
  bool patch_retain_keys = false;
  std::string_view patch_merge_key;

  std::string_view default_value;              // JSON text; empty: none. Static defaults only (+default marker)
  std::span<const std::string_view> enum_values;
  std::string_view enum_name;

  // In apply, one owner for the whole value: atomic lists, maps and structs, scalars, and free-form JSON but RawExtension.
  bool atomic() const;
  bool is_integer() const { return value == ValueType::kInt32 || value == ValueType::kInt64; }
};

struct TypeInfo {
  struct Inline {
    int number;
    const TypeInfo* type;
  };
  std::string_view group_version;    // apps/v1, v1; "meta/v1" for the types of apimachinery that all groups share
  std::string_view name;             // PodSpec
  std::string_view package;          // io.k8s.api.apps.v1: the OpenAPI name is package.name
  bool atomic = false;               // x-kubernetes-map-type: atomic
  bool is_object = false;            // has apiVersion and kind
  // As JSON has them: inlined types' fields in place, apiVersion and kind (number 0) first, in Go's order.
  std::vector<FieldInfo> fields;
  std::vector<Inline> inlines;       // nested messages in protobuf, flat in JSON

  const FieldInfo* field(std::string_view json_name) const;
  const FieldInfo* field_by_number(int number) const;   // own fields only, not the inlined ones
  std::string openapi_name() const { return std::string(package) + "." + std::string(name); }

  std::vector<uint16_t> by_name, by_number;             // indexes into fields, sorted; for the two lookups
  std::vector<uint16_t> always;                         // fields that Go writes even when they are zero
};

// "apps/v1", "Deployment"; also PodSpec and the other types that are no kinds. The types of meta/v1 (DeleteOptions,
// Status, WatchEvent …) are found in every group. Null: unknown.
const TypeInfo* find_type(std::string_view group_version, std::string_view name);

// All types, ordered by group as in the files.
std::span<const TypeInfo* const> all_types();

}  // namespace rs::api
