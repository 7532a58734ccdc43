#include "api/codec/normaliser.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "api/quantity.h"
#include "base/clock.h"

namespace rs::api {
namespace {

std::string go_element(const FieldInfo& info) {
  switch (info.value) {
    case ValueType::kString:
      return info.enum_name.empty() ? "string" : fmt::format("v1.{}", info.enum_name);
    case ValueType::kBool: return "bool";
    case ValueType::kInt32: return "int32";
    case ValueType::kInt64: return "int64";
    case ValueType::kDouble: return "float64";
    case ValueType::kBytes: return "[]uint8";
    case ValueType::kMessage: return fmt::format("v1.{}", info.type->name);
    case ValueType::kQuantity: return "resource.Quantity";
    case ValueType::kStringList: return "v1.ExtraValue";
    case ValueType::kIntOrString: return "intstr.IntOrString";
    default: return "string";
  }
}

std::string go_type(const FieldInfo& info) {
  if (info.shape == Shape::kList) return "[]" + go_element(info);
  if (info.shape == Shape::kMap)
    return info.value == ValueType::kQuantity ? "v1.ResourceList" : "map[string]" + go_element(info);
  return go_element(info);
}

// Go leaves it out under omitempty (structs are never empty for Go).
bool is_empty(const Json& value, const FieldInfo& info) {
  switch (value.kind()) {
    case boost::json::kind::null: return true;
    case boost::json::kind::string: return value.get_string().empty() && info.value != ValueType::kIntOrString;
    case boost::json::kind::bool_: return !value.get_bool();
    case boost::json::kind::int64: return value.get_int64() == 0;
    case boost::json::kind::uint64: return value.get_uint64() == 0;
    case boost::json::kind::double_: return value.get_double() == 0;
    case boost::json::kind::array: return value.get_array().empty();
    case boost::json::kind::object: return info.shape == Shape::kMap && value.get_object().empty();
  }
  return false;
}

bool droppable(const Json& value, const FieldInfo& info) {
  if (value.is_null()) return true;
  if (info.pointer || !info.omit_empty) return false;
  if (info.shape == Shape::kSingle && info.value >= ValueType::kRawExtension && info.value != ValueType::kStringList)
    return false;
  return is_empty(value, info);
}

bool base64(std::string_view text) {
  size_t length = 0;
  size_t padding = 0;
  for (char c : text) {
    if (c == '\r' || c == '\n') continue;
    bool in_alphabet = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
    if (c == '=') ++padding;
    else if (!in_alphabet || padding > 0) return false;
    ++length;
  }
  return length % 4 == 0 && padding <= 2;
}

// Boost.JSON writes 0.5 as 5E-1.
std::string number_text(const Json& value) {
  return value.is_double() ? fmt::format("{}", value.get_double()) : to_text(value);
}

// "2026-01-02T15:04:05Z" (or with six decimals) and a day that exists: no need to parse it, and years that nanoseconds
// cannot hold are good for certificates.
bool is_canonical_time(std::string_view text, bool micro) {
  std::string_view form = micro ? "dddd-dd-ddTdd:dd:dd.ddddddZ" : "dddd-dd-ddTdd:dd:ddZ";
  if (text.size() != form.size()) return false;
  for (size_t i = 0; i < form.size(); ++i)
    if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i]) return false;
  auto two = [&](size_t at) { return unsigned(text[at] - '0') * 10 + unsigned(text[at + 1] - '0'); };
  std::chrono::year_month_day day{std::chrono::year(int(two(0) * 100 + two(2))), std::chrono::month(two(5)),
                                  std::chrono::day(two(8))};
  return day.ok() && two(11) < 24 && two(14) < 60 && two(17) < 60;
}

// Keeps the order of the others. Erasing one by one would be quadratic in what a client sends.
void drop(JsonObject& members, const std::vector<size_t>& indexes) {
  constexpr size_t kFew = 8;
  if (indexes.size() <= kFew) {
    for (auto index = indexes.rbegin(); index != indexes.rend(); ++index)
      members.stable_erase(members.begin() + std::ptrdiff_t(*index));
    return;
  }
  JsonObject kept;
  size_t at = 0;
  auto next = indexes.begin();
  for (auto& member : members) {
    if (next != indexes.end() && *next == at++) ++next;
    else kept.emplace(member.key(), std::move(member.value()));
  }
  members = std::move(kept);
}

}  // namespace

Normaliser::Normaliser(std::vector<std::string> duplicates) : duplicates_(std::move(duplicates)) {
  std::ranges::sort(duplicates_);
}

bool Normaliser::run(JsonObject& members, const TypeInfo& type) { return object(members, type); }

bool Normaliser::object(JsonObject& members, const TypeInfo& type) {
  std::vector<size_t> dropped;
  size_t index = 0;
  for (auto& member : members) {
    const FieldInfo* info = type.field(member.key());
    path_.push_back({member.key()});
    bool keep = info != nullptr;
    if (!keep) {
      report("unknown");
    } else {
      if (!field(member.value(), *info, type)) return false;
      if (!duplicates_.empty() && std::ranges::binary_search(duplicates_, path())) report("duplicate");
      keep = !droppable(member.value(), *info);
    }
    path_.pop_back();
    if (!keep) dropped.push_back(index);
    ++index;
  }
  drop(members, dropped);
  add_missing(members, type);
  return true;
}

void Normaliser::add_missing(JsonObject& members, const TypeInfo& type) {
  for (uint16_t i : type.always) {
    const FieldInfo& info = type.fields[i];
    auto [member, added] = members.emplace(info.name, nullptr);
    if (!added) continue;
    Json& value = member->value();
    if (info.shape == Shape::kList || info.value == ValueType::kStringList) value.emplace_array();
    else if (info.shape == Shape::kMap) value.emplace_object();
    else if (info.value == ValueType::kMessage) add_missing(value.emplace_object(), *info.type);
    else if (info.value == ValueType::kBool) value = false;
    else if (info.value == ValueType::kQuantity) value = "0";
    else if (info.is_integer() || info.value == ValueType::kDouble || info.value == ValueType::kIntOrString) value = 0;
    else value = "";
  }
}

bool Normaliser::field(Json& value, const FieldInfo& info, const TypeInfo& owner) {
  if (value.is_null()) return true;
  if (info.shape == Shape::kList) return list(value, info, owner);
  if (info.shape == Shape::kMap) return map(value, info, owner);
  return single(value, info, owner);
}

bool Normaliser::list(Json& value, const FieldInfo& info, const TypeInfo& owner) {
  if (!value.is_array()) return refuse(value, go_type(info), owner);
  size_t index = 0;
  for (Json& item : value.get_array()) {
    path_.push_back({{}, index++});
    if (!single(item, info, owner)) return false;
    path_.pop_back();
  }
  return true;
}

bool Normaliser::map(Json& value, const FieldInfo& info, const TypeInfo& owner) {
  if (!value.is_object()) return refuse(value, go_type(info), owner);
  for (auto& member : value.get_object()) {
    path_.push_back({member.key(), 0, true});
    if (!single(member.value(), info, owner)) return false;
    if (!duplicates_.empty() && std::ranges::binary_search(duplicates_, path())) report("duplicate");
    path_.pop_back();
  }
  return true;
}

// A null here is an item of a list or map: Go makes it the zero value.
bool Normaliser::single(Json& value, const FieldInfo& info, const TypeInfo& owner) {
  switch (info.value) {
    case ValueType::kString:
      if (value.is_null()) value = "";
      return value.is_string() || refuse(value, go_element(info), owner);
    case ValueType::kBool:
      if (value.is_null()) value = false;
      return value.is_bool() || refuse(value, "bool", owner);
    case ValueType::kInt32:
    case ValueType::kInt64: return integer(value, info, owner);
    case ValueType::kDouble:
      if (value.is_null()) value = 0;
      if (value.is_double() && std::abs(value.get_double()) < 1e15 && value.get_double() == std::trunc(value.get_double()))
        value = static_cast<int64_t>(value.get_double());
      return value.is_number() || refuse(value, "float64", owner);
    case ValueType::kBytes:
      if (value.is_null()) value = "";
      if (!value.is_string()) return refuse(value, "[]uint8", owner);
      if (base64(value.get_string())) return true;
      wrong_type_ = "illegal base64 data at input byte 0";
      return false;
    case ValueType::kMessage:
      if (value.is_null()) value.emplace_object();
      if (!value.is_object()) return refuse(value, go_element(info), owner);
      return object(value.get_object(), *info.type);
    case ValueType::kQuantity: return quantity(value);
    case ValueType::kTime: return time(value, false);
    case ValueType::kMicroTime: return time(value, true);
    case ValueType::kIntOrString:
      if (value.is_null()) value = 0;
      if (value.is_string()) return true;
      if (value.is_number()) return integer(value, info, owner);
      return refuse(value, "int32", owner);
    case ValueType::kStringList: return string_list(value, info, owner);
    case ValueType::kSchemaOrBool:
    case ValueType::kSchemaOrArray:
    case ValueType::kSchemaOrStringArray: return schema_or(value, info, owner);
    case ValueType::kRawExtension:
    case ValueType::kFieldsV1:
    case ValueType::kAnyJson: return true;
  }
  return true;
}

bool Normaliser::integer(Json& value, const FieldInfo& info, const TypeInfo& owner) {
  bool wide = info.value == ValueType::kInt64;
  if (value.is_null()) value = 0;
  if (!value.is_number()) return refuse(value, wide ? "int64" : "int32", owner);
  if (value.is_uint64() && value.get_uint64() <= uint64_t(std::numeric_limits<int64_t>::max()))
    value = static_cast<int64_t>(value.get_uint64());
  if (value.is_int64()) {
    int64_t number = value.get_int64();
    if (wide || (number >= std::numeric_limits<int32_t>::min() && number <= std::numeric_limits<int32_t>::max()))
      return true;
  }
  return refuse_as("number " + number_text(value), wide ? "int64" : "int32", owner);
}

bool Normaliser::quantity(Json& value) {
  if (value.is_null()) {
    value = "0";
    return true;
  }
  std::string text = value.is_string() ? std::string(value.get_string()) : number_text(value);
  std::optional<Quantity> parsed = Quantity::parse(text);
  if (!parsed) {
    wrong_type_ = Quantity::kMalformed;
    return false;
  }
  std::string canonical = parsed->canonical();
  if (!value.is_string() || canonical != text) value = canonical;
  return true;
}

bool Normaliser::time(Json& value, bool micro) {
  if (value.is_null()) return true;
  std::string_view layout = micro ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00";
  WallTime parsed;
  if (!value.is_string()) {
    wrong_type_ = fmt::format("json: cannot unmarshal {} into Go value of type string",
                              value.is_object() ? "object" : value.is_array() ? "array" : value.is_bool() ? "bool" : "number");
    return false;
  }
  std::string_view text = value.get_string();
  if (text.starts_with("0001-01-01T00:00:00")) value = nullptr;  // Go's zero time
  if (value.is_null() || is_canonical_time(text, micro)) return true;
  if (!parse_rfc3339(text, parsed)) {
    wrong_type_ = fmt::format(R"(parsing time "{}" as "{}": cannot parse "{}" as "2006")", text, layout, text);
    return false;
  }
  std::string canonical = micro ? rfc3339_micro(parsed) : rfc3339(parsed);
  if (canonical != text) value = canonical;
  return true;
}

bool Normaliser::string_list(Json& value, const FieldInfo& info, const TypeInfo& owner) {
  if (value.is_null()) value.emplace_array();
  if (!value.is_array()) return refuse(value, go_element(info), owner);
  for (Json& item : value.get_array()) {
    if (item.is_null()) item = "";
    if (!item.is_string()) return refuse(item, "string", owner);
  }
  return true;
}

bool Normaliser::schema_or(Json& value, const FieldInfo& info, const TypeInfo& owner) {
  if (value.is_object()) return object(value.get_object(), *info.type);
  if (info.value == ValueType::kSchemaOrBool) {
    if (value.is_bool()) return true;
    wrong_type_ = "boolean or JSON schema expected";
    return false;
  }
  if (!value.is_array()) {
    wrong_type_ = "object or array expected";
    return false;
  }
  if (info.value == ValueType::kSchemaOrStringArray) return string_list(value, info, owner);
  size_t index = 0;
  for (Json& item : value.get_array()) {
    path_.push_back({{}, index++});
    if (!item.is_object()) return refuse(item, "v1.JSONSchemaProps", owner);
    if (!object(item.get_object(), *info.type)) return false;
    path_.pop_back();
  }
  return true;
}

bool Normaliser::refuse(const Json& value, std::string_view go_type_name, const TypeInfo& owner) {
  std::string_view what = value.is_string()   ? "string"
                          : value.is_bool()   ? "bool"
                          : value.is_number() ? "number"
                          : value.is_array()  ? "array"
                                              : "object";
  return refuse_as(what, go_type_name, owner);
}

// "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32". The path has neither
// indexes nor map keys: encoding/json keeps only field names.
bool Normaliser::refuse_as(std::string_view what, std::string_view go_type_name, const TypeInfo& owner) {
  std::string fields;
  for (const Step& step : path_)
    if (step.name.data() != nullptr && !step.is_map_key) fmt::format_to(std::back_inserter(fields), ".{}", step.name);
  wrong_type_ =
      fmt::format("json: cannot unmarshal {} into Go struct field {}{} of type {}", what, owner.name, fields, go_type_name);
  return false;
}

void Normaliser::report(std::string_view what) {
  if (strict_errors_.size() < 100) strict_errors_.push_back(fmt::format("{} field \"{}\"", what, path()));
}

std::string Normaliser::path() const {
  std::string out;
  for (const Step& step : path_) {
    if (step.name.data() == nullptr) out += fmt::format("[{}]", step.index);
    else (out += out.empty() ? "" : ".") += step.name;
  }
  return out;
}

}  // namespace rs::api
