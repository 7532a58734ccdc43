#include <map>
#include <set>
#include <vector>

#include "api/openapi_internal.h"
#include "api/schema.h"

namespace rs::api::openapi {
namespace {

// Types that are no structs in JSON.
struct Special {
  ValueType value;
  std::string_view name;
  std::string_view schema;
};
constexpr Special kSpecials[] = {
    {ValueType::kQuantity, "io.k8s.apimachinery.pkg.api.resource.Quantity",
     R"({"description":"A quantity of a resource: a number with a suffix, as 500m, 1.5, 64Mi, 2G or 1e3.",)"
     R"("oneOf":[{"type":"string"},{"type":"number"}]})"},
    {ValueType::kTime, "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
     R"({"description":"A time in RFC 3339, to the second.","type":"string","format":"date-time"})"},
    {ValueType::kMicroTime, "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
     R"({"description":"A time in RFC 3339, to the microsecond.","type":"string","format":"date-time"})"},
    {ValueType::kIntOrString, "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
     R"({"description":"A number, or a string such as a percentage or the name of a port.","format":"int-or-string",)"
     R"("oneOf":[{"type":"integer"},{"type":"string"}]})"},
    {ValueType::kRawExtension, "io.k8s.apimachinery.pkg.runtime.RawExtension",
     R"({"description":"An object of any kind.","type":"object"})"},
    {ValueType::kFieldsV1, "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
     R"({"description":"A set of fields, as a trie: f:name for a member, k:{keys} for a list item, v:value for a set item.",)"
     R"("type":"object"})"},
    {ValueType::kAnyJson, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
     R"({"description":"Any JSON value."})"},
    {ValueType::kSchemaOrBool, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
     R"({"description":"A schema or a boolean."})"},
    {ValueType::kSchemaOrArray, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
     R"({"description":"A schema or a list of schemas."})"},
    {ValueType::kSchemaOrStringArray,
     "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
     R"({"description":"A schema or a list of strings."})"},
};

using Texts = std::map<std::string, std::string_view, std::less<>>;

// "type core.v1.PodSpec What it is", then "  field What it is".
Texts read_texts() {
  constexpr std::string_view kText =
#include "api/schema/descriptions.text"
      ;
  Texts out;
  std::string type;
  std::string_view rest = kText;
  while (!rest.empty()) {
    size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    bool is_field = line.starts_with("  ");
    if (!is_field && !line.starts_with("type ")) continue;
    line.remove_prefix(is_field ? 2 : 5);
    size_t blank = std::min(line.find(' '), line.size());
    std::string_view name = line.substr(0, blank), text = line.substr(std::min(blank + 1, line.size()));
    if (!is_field) type = name;
    out[is_field ? fmt::format("{}.{}", type, name) : type] = text;
  }
  return out;
}

std::string_view text_at(const std::string& key) {
  static const Texts kTexts = read_texts();
  auto found = kTexts.find(key);
  return found == kTexts.end() ? std::string_view() : found->second;
}

// io.k8s.api.core.v1.PodSpec is core.v1.PodSpec in the texts.
std::string key_of_text(const TypeInfo& type) {
  size_t group = type.package.rfind('.', type.package.rfind('.') - 1);
  return fmt::format("{}.{}", type.package.substr(group + 1), type.name);
}

std::string_view text_of(const TypeInfo& type) { return text_at(key_of_text(type)); }

std::string_view description(const TypeInfo& type, const FieldInfo& field) {
  std::string key = fmt::format("{}.{}", key_of_text(type), field.name);
  if (auto text = text_at(key); !text.empty()) return text;
  static constexpr std::string_view kOfObjects[] = {"apiVersion", "kind", "metadata", "spec", "status"};
  if (!type.is_object && std::ranges::find(kOfObjects, field.name) != std::end(kOfObjects)) return {};
  return text_at(fmt::format("*.{}", field.name));
}

class Collector {
 public:
  void add(const TypeInfo& type) {
    if (!seen_.insert(type.openapi_name()).second) return;
    out_[type.openapi_name()] = struct_schema(type);
  }
  void add_kind(const TypeInfo& type, const Kind& kind, std::string_view kind_name) {
    add(type);
    Json& schema = out_[type.openapi_name()];
    Json& list = ensure(schema, "x-kubernetes-group-version-kind");
    if (!list.is_array()) list.emplace_array();
    JsonObject gvk{{"group", kind.group}, {"version", kind.version}, {"kind", kind_name}};
    if (std::ranges::find(list.get_array(), Json(gvk)) == list.get_array().end()) list.get_array().push_back(std::move(gvk));
  }
  void add_raw(std::string_view name, Json schema) { out_[name] = std::move(schema); }
  JsonObject take() { return std::move(out_); }

 private:
  JsonObject struct_schema(const TypeInfo& type) {
    JsonObject schema;
    if (auto text = text_of(type); !text.empty()) schema["description"] = text;
    schema["type"] = "object";
    JsonObject properties;
    JsonArray required;
    for (const FieldInfo& field : type.fields) {
      properties[field.name] = field_schema(type, field);
      // Go's omitempty stands for +optional; pathType is the one pointer that must be given.
      bool optional = field.omit_empty || field.number == 0 || (field.pointer && field.name != "pathType");
      if (!optional) required.push_back(Json(field.name));
    }
    if (!properties.empty()) schema["properties"] = std::move(properties);
    if (!required.empty()) schema["required"] = std::move(required);
    if (type.atomic) schema["x-kubernetes-map-type"] = "atomic";
    return schema;
  }

  JsonObject field_schema(const TypeInfo& type, const FieldInfo& field) {
    JsonObject schema;
    if (field.shape == Shape::kSingle) {
      schema = value_schema(field, !field.pointer);
    } else if (field.shape == Shape::kList) {
      schema = {{"type", "array"}, {"items", value_schema(field, true)}};
      if (field.list_type == ListType::kMap) {
        JsonArray keys;
        for (std::string_view key : field.list_keys) keys.push_back(Json(key));
        schema["x-kubernetes-list-map-keys"] = std::move(keys);
        schema["x-kubernetes-list-type"] = "map";
      } else {
        schema["x-kubernetes-list-type"] = field.list_type == ListType::kSet ? "set" : "atomic";
      }
    } else {
      schema = {{"type", "object"}, {"additionalProperties", value_schema(field, true)}};
    }
    if (field.map_atomic) schema["x-kubernetes-map-type"] = "atomic";
    if (field.patch_merge) {
      schema["x-kubernetes-patch-strategy"] = field.patch_retain_keys ? "merge,retainKeys" : "merge";
      if (!field.patch_merge_key.empty()) schema["x-kubernetes-patch-merge-key"] = field.patch_merge_key;
    } else if (field.patch_retain_keys) {
      schema["x-kubernetes-patch-strategy"] = "retainKeys";
    } else if (field.patch_replace) {
      schema["x-kubernetes-patch-strategy"] = "replace";
    }
    if (!field.default_value.empty())
      if (auto value = parse_json(field.default_value)) schema["default"] = std::move(*value);
    if (auto text = description(type, field); !text.empty()) schema["description"] = text;
    return schema;
  }

  // One value: of a field, of a list item or of a map entry.
  JsonObject value_schema(const FieldInfo& field, bool with_default) {
    JsonObject schema;
    auto plain = [&](std::string_view type, std::string_view format, Json zero) {
      schema["type"] = type;
      if (!format.empty()) schema["format"] = format;
      bool shown = with_default && (field.shape != Shape::kSingle || !field.omit_empty);
      if (shown) schema["default"] = std::move(zero);
    };
    switch (field.value) {
      case ValueType::kString:
        plain("string", "", "");
        if (!field.enum_values.empty()) {
          JsonArray values;
          for (std::string_view value : field.enum_values) values.push_back(Json(value));
          schema["enum"] = std::move(values);
          schema.erase("default");
        }
        break;
      case ValueType::kBool: plain("boolean", "", false); break;
      case ValueType::kInt32: plain("integer", "int32", 0); break;
      case ValueType::kInt64: plain("integer", "int64", 0); break;
      case ValueType::kDouble: plain("number", "double", 0); break;
      case ValueType::kBytes:
        schema["type"] = "string";
        schema["format"] = "byte";
        break;
      case ValueType::kStringList:
        schema["type"] = "array";
        schema["items"] = {{"type", "string"}, {"default", ""}};
        break;
      case ValueType::kMessage:
        add(*field.type);
        referred(schema, field.type->openapi_name(), with_default);
        break;
      default: {
        auto special = std::ranges::find(kSpecials, field.value, &Special::value);
        if (special == std::end(kSpecials)) break;
        if (!out_.contains(special->name)) out_[special->name] = parse_json(special->schema).value();
        referred(schema, special->name, false);
      }
    }
    return schema;
  }

  static void referred(JsonObject& schema, std::string_view name, bool with_default) {
    if (with_default) schema["default"] = JsonObject();
    schema["allOf"] = JsonArray{reference(name)};
  }

  JsonObject out_;
  std::set<std::string> seen_;
};

}  // namespace

JsonObject reference(std::string_view schema_name) {
  return {{"$ref", fmt::format("#/components/schemas/{}", schema_name)}};
}

JsonObject schemas(const KindTable& kinds, std::string_view group, std::string_view version) {
  Collector collector;
  std::string group_version = api::group_version(group, version);
  for (const auto& kind : kinds.all()) {
    if (kind->group != group || kind->version != version || kind->type == nullptr) continue;
    collector.add_kind(*kind->type, *kind, kind->kind);
    if (const TypeInfo* list = find_type(group_version, kind->list_kind()); list != nullptr && kind->stored)
      collector.add_kind(*list, *kind, kind->list_kind());
    for (const Subresource& sub : kind->subresources) {
      const Kind* object = sub.kind.empty() ? nullptr : kinds.by_kind(sub.group, sub.version, sub.kind);
      if (object != nullptr && object->type != nullptr) collector.add_kind(*object->type, *object, object->kind);
    }
  }
  for (std::string_view name : {"DeleteOptions", "Status", "APIResourceList"})
    if (const TypeInfo* type = find_type("meta/v1", name)) collector.add(*type);
  collector.add_raw(kPatch, JsonObject{{"description", "Patch is the body of a patch request; its form depends on the content type."},
                                       {"type", "object"}});
  return collector.take();
}

}  // namespace rs::api::openapi
