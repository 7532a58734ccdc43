#include "api/schema.h"

#include <algorithm>
#include <charconv>
#include <deque>
#include <unordered_map>

#include "base/assert.h"

namespace rs::api {
namespace {

// Each file is one raw string literal, so that the text is readable, the compiler embeds it and ccache sees it.
constexpr std::string_view kFiles[] = {
#include "api/schema/meta.schema"
    ,
#include "api/schema/core.schema"
    ,
#include "api/schema/admission.schema"
    ,
#include "api/schema/admissionregistration.schema"
    ,
#include "api/schema/apidiscovery_v2.schema"
    ,
#include "api/schema/apiextensions.schema"
    ,
#include "api/schema/apiregistration.schema"
    ,
#include "api/schema/apps.schema"
    ,
#include "api/schema/authentication.schema"
    ,
#include "api/schema/authorization.schema"
    ,
#include "api/schema/autoscaling.schema"
    ,
#include "api/schema/autoscaling_v2.schema"
    ,
#include "api/schema/batch.schema"
    ,
#include "api/schema/certificates.schema"
    ,
#include "api/schema/coordination.schema"
    ,
#include "api/schema/discovery.schema"
    ,
#include "api/schema/events.schema"
    ,
#include "api/schema/flowcontrol.schema"
    ,
#include "api/schema/networking.schema"
    ,
#include "api/schema/node.schema"
    ,
#include "api/schema/policy.schema"
    ,
#include "api/schema/rbac.schema"
    ,
#include "api/schema/scheduling.schema"
    ,
#include "api/schema/storage.schema"
};

constexpr std::string_view kCore = "v1";
constexpr std::string_view kMeta = "meta/v1";

std::string_view next_word(std::string_view& line) {
  size_t start = line.find_first_not_of(' ');
  if (start == std::string_view::npos) return line = {};
  size_t end = std::min(line.find(' ', start), line.size());
  std::string_view word = line.substr(start, end - start);
  line.remove_prefix(end);
  return word;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

int number_of(std::string_view word) {
  int value = -1;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  ASSERT(error == std::errc() && end == word.data() + word.size(), "a protobuf number in schema/*.schema is malformed");
  return value;
}

struct Scalar {
  std::string_view name;
  ValueType value;
};
constexpr Scalar kScalars[] = {
    {"string", ValueType::kString},
    {"bool", ValueType::kBool},
    {"int32", ValueType::kInt32},
    {"int64", ValueType::kInt64},
    {"float64", ValueType::kDouble},
    {"bytes", ValueType::kBytes},
    {"Quantity", ValueType::kQuantity},
    {"Time", ValueType::kTime},
    {"MicroTime", ValueType::kMicroTime},
    {"IntOrString", ValueType::kIntOrString},
    {"RawExtension", ValueType::kRawExtension},
    {"FieldsV1", ValueType::kFieldsV1},
    {"JSON", ValueType::kAnyJson},
    {"any", ValueType::kAnyJson},
    {"StringList", ValueType::kStringList},
    {"JSONSchemaPropsOrBool", ValueType::kSchemaOrBool},
    {"JSONSchemaPropsOrArray", ValueType::kSchemaOrArray},
    {"JSONSchemaPropsOrStringArray", ValueType::kSchemaOrStringArray},
};

// Go writes structs that are no pointers even when they are empty, and everything else unless it is omitempty. Times are
// left out when zero (Go writes null), as is free-form JSON.
bool always_written(const FieldInfo& field) {
  if (field.pointer) return false;
  if (field.shape == Shape::kSingle) {
    if (field.value == ValueType::kMessage || field.value == ValueType::kQuantity) return true;
    if (field.value == ValueType::kTime || field.value == ValueType::kMicroTime) return false;
    if (field.value >= ValueType::kRawExtension && field.value != ValueType::kStringList) return false;
  }
  return !field.omit_empty;
}

// Reads the files in two passes: first every type with its own fields, then references, inlining and indexes.
class Schema {
 public:
  Schema() {
    for (std::string_view file : kFiles) read(file);
    for (auto& draft : drafts_) link(draft);
    for (auto& draft : drafts_) flatten(draft);
    drafts_.clear();
  }

  const TypeInfo* find(std::string_view group_version, std::string_view name) const {
    if (auto found = by_name_.find({group_version, name}); found != by_name_.end()) return found->second;
    return nullptr;
  }
  std::span<const TypeInfo* const> all() const { return all_; }

 private:
  struct Key {
    std::string_view group_version, name;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const {
      std::hash<std::string_view> hash;
      return hash(key.group_version) * 31 + hash(key.name);
    }
  };
  struct Entry {
    FieldInfo field;
    std::string_view type_name;
    bool is_inline = false;
  };
  struct Draft {
    TypeInfo* type;
    std::vector<Entry> entries;
    bool flat = false;
  };

  void read(std::string_view file);
  Entry read_field(std::string_view name, std::string_view line);
  void link(Draft& draft);
  void flatten(Draft& draft);
  static void index(TypeInfo& type);
  TypeInfo* resolve(std::string_view group_version, std::string_view name) const;

  std::deque<TypeInfo> types_;
  std::deque<Draft> drafts_;
  std::vector<const TypeInfo*> all_;
  std::unordered_map<Key, TypeInfo*, KeyHash> by_name_;
  std::unordered_map<const TypeInfo*, Draft*> draft_of_;
  std::unordered_map<Key, std::vector<std::string_view>, KeyHash> enums_;
};

void Schema::read(std::string_view file) {
  std::string_view group_version, package;
  while (!file.empty()) {
    size_t end = std::min(file.find('\n'), file.size());
    std::string_view line = file.substr(0, end);
    file.remove_prefix(std::min(end + 1, file.size()));
    bool is_field = line.starts_with("  ");
    std::string_view word = next_word(line);
    if (word.empty()) continue;
    if (is_field) {
      auto& entries = drafts_.back().entries;
      if (word == "typemeta") {
        drafts_.back().type->is_object = true;
        entries.push_back(read_field("apiVersion", "string 0 omitempty"));
        entries.push_back(read_field("kind", "string 0 omitempty"));
      } else {
        entries.push_back(read_field(word, line));
      }
    } else if (word == "group") {
      group_version = next_word(line);
      if (group_version == "core/v1") group_version = kCore;
      package = next_word(line);
    } else if (word == "enum") {
      std::string_view name = next_word(line);
      enums_[{group_version, name}] = split(next_word(line), '|');
    } else {
      ASSERT(word == "type", "a line in schema/*.schema starts with none of group, enum, type");
      TypeInfo& type = types_.emplace_back();
      type.group_version = group_version;
      type.package = package;
      type.name = next_word(line);
      type.atomic = next_word(line) == "atomic";
      draft_of_[&type] = &drafts_.emplace_back(Draft{&type, {}});
      by_name_[{group_version, type.name}] = &type;
      all_.push_back(&type);
    }
  }
}

Schema::Entry Schema::read_field(std::string_view name, std::string_view line) {
  Entry entry;
  FieldInfo& field = entry.field;
  field.name = name;
  entry.is_inline = name == "inline";
  std::string_view type = next_word(line);
  if (type.starts_with("[]")) {
    field.shape = Shape::kList;
    type.remove_prefix(2);
  } else if (type.starts_with("{}")) {
    field.shape = Shape::kMap;
    type.remove_prefix(2);
  }
  entry.type_name = type;
  field.number = number_of(next_word(line));
  for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
    if (word == "omitempty") {
      field.omit_empty = true;
    } else if (word == "pointer") {
      field.pointer = true;
    } else if (word == "atomic") {
      field.map_atomic = true;
    } else if (word.starts_with("list=map:")) {
      field.list_type = ListType::kMap;
      field.list_keys = split(word.substr(9), ',');
    } else if (word == "list=set") {
      field.list_type = ListType::kSet;
    } else if (word.starts_with("patch=")) {
      auto parts = split(word.substr(6), ':');
      if (parts.size() > 1) field.patch_merge_key = parts[1];
      for (std::string_view strategy : split(parts[0], ',')) {
        field.patch_merge |= strategy == "merge";
        field.patch_replace |= strategy == "replace";
        field.patch_retain_keys |= strategy == "retainKeys";
      }
    } else if (word.starts_with("default=")) {
      field.default_value = word.substr(8);
    } else {
      ASSERT(word == "list=atomic" || word == "granular", "an unknown flag in schema/*.schema");
    }
  }
  return entry;
}

TypeInfo* Schema::resolve(std::string_view group_version, std::string_view name) const {
  for (std::string_view where : {group_version, kCore, kMeta, std::string_view("authentication.k8s.io/v1")})
    if (auto found = by_name_.find({where, name}); found != by_name_.end()) return found->second;
  return nullptr;
}

void Schema::link(Draft& draft) {
  std::string_view group_version = draft.type->group_version;
  for (Entry& entry : draft.entries) {
    FieldInfo& field = entry.field;
    auto scalar = std::ranges::find(kScalars, entry.type_name, &Scalar::name);
    if (scalar != std::end(kScalars)) {
      field.value = scalar->value;
      if (field.value >= ValueType::kSchemaOrBool) field.type = resolve(group_version, "JSONSchemaProps");
      continue;
    }
    bool is_enum = false;
    for (std::string_view where : {group_version, kCore, kMeta}) {
      auto found = enums_.find({where, entry.type_name});
      if (found == enums_.end()) continue;
      field.enum_values = found->second;
      field.enum_name = entry.type_name;
      is_enum = true;
      break;
    }
    if (is_enum) continue;
    field.value = ValueType::kMessage;
    field.type = resolve(group_version, entry.type_name);
    ASSERT(field.type != nullptr, "schema/*.schema names a type that is in none of them");
  }
}

void Schema::flatten(Draft& draft) {
  if (std::exchange(draft.flat, true)) return;
  TypeInfo& type = *draft.type;
  for (const Entry& entry : draft.entries) {
    if (!entry.is_inline) {
      type.fields.push_back(entry.field);
      continue;
    }
    flatten(*draft_of_.at(entry.field.type));
    type.inlines.push_back({entry.field.number, entry.field.type});
    for (FieldInfo field : entry.field.type->fields) {
      field.inlined = true;
      type.fields.push_back(std::move(field));
    }
  }
  index(type);
}

void Schema::index(TypeInfo& type) {
  for (uint16_t i = 0; i < type.fields.size(); ++i) {
    type.by_name.push_back(i);
    if (!type.fields[i].inlined && type.fields[i].number > 0) type.by_number.push_back(i);
    if (always_written(type.fields[i])) type.always.push_back(i);
  }
  std::ranges::sort(type.by_name, {}, [&](uint16_t i) { return type.fields[i].name; });
  std::ranges::sort(type.by_number, {}, [&](uint16_t i) { return type.fields[i].number; });
}

const Schema& schema() {
  static const Schema kSchema;
  return kSchema;
}

}  // namespace

bool FieldInfo::atomic() const {
  if (shape == Shape::kList) return list_type == ListType::kAtomic;
  if (map_atomic) return true;
  if (shape == Shape::kMap) return false;
  if (value == ValueType::kMessage) return type->atomic;
  return value != ValueType::kRawExtension;
}

const FieldInfo* TypeInfo::field(std::string_view json_name) const {
  auto found = std::ranges::lower_bound(by_name, json_name, {}, [&](uint16_t i) { return fields[i].name; });
  return found != by_name.end() && fields[*found].name == json_name ? &fields[*found] : nullptr;
}

const FieldInfo* TypeInfo::field_by_number(int number) const {
  auto found = std::ranges::lower_bound(by_number, number, {}, [&](uint16_t i) { return fields[i].number; });
  return found != by_number.end() && fields[*found].number == number ? &fields[*found] : nullptr;
}

const TypeInfo* find_type(std::string_view group_version, std::string_view name) {
  if (const TypeInfo* type = schema().find(group_version, name)) return type;
  return schema().find(kMeta, name);
}

std::span<const TypeInfo* const> all_types() { return schema().all(); }

}  // namespace rs::api
