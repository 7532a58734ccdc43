#include "api/openapi.h"

#include "api/openapi_internal.h"
#include "api/schema.h"

namespace rs::api {
namespace {

using openapi::reference;

constexpr std::string_view kStatus = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
constexpr std::string_view kDeleteOptions = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

struct Parameter {
  std::string_view name, type, description;
};
constexpr Parameter kDryRun = {"dryRun", "string",
                               "All: the request goes through every step but is not stored. Nothing else is allowed."};
constexpr Parameter kManager = {"fieldManager", "string", "The name of whoever makes the change, for managedFields; at most 128 characters."};
constexpr Parameter kValidation = {"fieldValidation", "string",
                                   "What to do with unknown or duplicate fields: Ignore drops them, Warn (the default) drops "
                                   "them and warns, Strict refuses the request."};
constexpr Parameter kForce = {"force", "boolean", "Take the fields that others own. Only for apply."};
constexpr Parameter kPretty = {"pretty", "string", "true: the answer is indented."};
constexpr Parameter kGrace = {"gracePeriodSeconds", "integer", "Seconds before the object is deleted; 0 means now."};
constexpr Parameter kPropagation = {"propagationPolicy", "string", "What happens to dependents: Orphan, Background or Foreground."};
constexpr Parameter kOrphan = {"orphanDependents", "boolean", "Deprecated: use propagationPolicy."};
constexpr Parameter kList[] = {
    {"allowWatchBookmarks", "boolean", "Ask for BOOKMARK events in a watch."},
    {"continue", "string", "Where the next chunk of a list begins, as the previous chunk said."},
    {"fieldSelector", "string", "Only objects whose fields have these values."},
    {"labelSelector", "string", "Only objects with these labels."},
    {"limit", "integer", "The largest number of items in one answer."},
    {"resourceVersion", "string", "How new the answer must be, or where a watch begins."},
    {"resourceVersionMatch", "string", "How resourceVersion is meant: Exact or NotOlderThan."},
    {"sendInitialEvents", "boolean", "A watch begins with what exists now."},
    {"timeoutSeconds", "integer", "How long the request may take."},
    {"watch", "boolean", "Follow changes instead of listing."},
};

JsonObject parameter(const Parameter& p) {
  return {{"name", p.name}, {"in", "query"}, {"description", p.description},
          {"schema", JsonObject{{"type", p.type}, {"uniqueItems", true}}}};
}

JsonObject path_parameter(std::string_view name, std::string_view description) {
  return {{"name", name}, {"in", "path"}, {"required", true}, {"description", description},
          {"schema", JsonObject{{"type", "string"}, {"uniqueItems", true}}}};
}

JsonObject content(std::initializer_list<std::string_view> types, std::string_view schema) {
  JsonObject out;
  for (std::string_view type : types) out[type] = JsonObject{{"schema", reference(schema)}};
  return out;
}

JsonObject response(std::string_view description, std::string_view schema) {
  return {{"description", description},
          {"content", content({"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"}, schema)}};
}

// One resource or subresource at its paths.
struct Resource {
  const Kind& kind;        // of the resource
  const Kind& object;      // of what is read and written
  std::string path_name;   // ReadNamespacedPodStatus: the part after the verb
  std::string tag;
};

JsonObject operation(const Resource& resource, std::string_view verb, std::string_view action, std::string_view says) {
  JsonObject out{{"tags", JsonArray{Json(resource.tag)}},
                 {"description", fmt::format("{} {}", says, resource.object.kind)},
                 {"operationId", fmt::format("{}{}{}", verb, resource.tag, resource.path_name)},
                 {"x-kubernetes-action", action},
                 {"x-kubernetes-group-version-kind", JsonObject{{"group", resource.object.group},
                                                                {"version", resource.object.version},
                                                                {"kind", resource.object.kind}}}};
  return out;
}

JsonArray parameters(std::initializer_list<Parameter> list) {
  JsonArray out;
  for (const Parameter& p : list) out.push_back(parameter(p));
  return out;
}

JsonObject responses(std::initializer_list<std::pair<std::string_view, std::string_view>> answers, std::string_view schema) {
  JsonObject out;
  for (auto [code, description] : answers) out[code] = response(description, schema);
  out["401"] = JsonObject{{"description", "Unauthorized"}};
  return out;
}

std::string schema_of(const Kind& kind) { return kind.type != nullptr ? kind.type->openapi_name() : std::string(kStatus); }

JsonObject body(std::string_view schema) {
  return {{"content", content({"*/*"}, schema)}, {"required", true}};
}

JsonObject get_operation(const Resource& resource) {
  JsonObject out = operation(resource, "read", "get", "read the specified");
  out["parameters"] = parameters({kPretty});
  out["responses"] = responses({{"200", "OK"}}, schema_of(resource.object));
  return out;
}

JsonObject write_operation(const Resource& resource, bool create) {
  JsonObject out = create ? operation(resource, "create", "post", "create a")
                          : operation(resource, "replace", "put", "replace the specified");
  out["parameters"] = parameters({kPretty, kDryRun, kManager, kValidation});
  out["requestBody"] = body(schema_of(resource.object));
  if (create) out["responses"] = responses({{"200", "OK"}, {"201", "Created"}, {"202", "Accepted"}}, schema_of(resource.object));
  else out["responses"] = responses({{"200", "OK"}, {"201", "Created"}}, schema_of(resource.object));
  return out;
}

JsonObject patch_operation(const Resource& resource) {
  JsonObject out = operation(resource, "patch", "patch", "partially update the specified");
  out["parameters"] = parameters({kPretty, kDryRun, kManager, kValidation, kForce});
  out["requestBody"] = JsonObject{
      {"content", content({"application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
                           "application/strategic-merge-patch+json"},
                          openapi::kPatch)},
      {"required", true}};
  out["responses"] = responses({{"200", "OK"}, {"201", "Created"}}, schema_of(resource.object));
  return out;
}

JsonObject delete_operation(const Resource& resource, bool collection) {
  JsonObject out = collection ? operation(resource, "deleteCollection", "deletecollection", "delete collection of")
                              : operation(resource, "delete", "delete", "delete a");
  out["parameters"] = parameters({kPretty, kDryRun, kGrace, kOrphan, kPropagation});
  if (collection)
    for (const Parameter& p : kList) out["parameters"].as_array().push_back(parameter(p));
  out["requestBody"] = JsonObject{{"content", content({"*/*"}, kDeleteOptions)}};
  out["responses"] = responses({{"200", "OK"}, {"202", "Accepted"}}, kStatus);
  return out;
}

JsonObject list_operation(const Resource& resource) {
  JsonObject out = operation(resource, "list", "list", "list or watch objects of kind");
  out["parameters"] = parameters({kPretty});
  for (const Parameter& p : kList) out["parameters"].as_array().push_back(parameter(p));
  const TypeInfo* list = find_type(resource.kind.group_version(), resource.kind.list_kind());
  out["responses"] = responses({{"200", "OK"}}, list != nullptr ? list->openapi_name() : std::string(kStatus));
  return out;
}

bool has(const std::vector<std::string>& verbs, std::string_view verb) { return std::ranges::find(verbs, verb) != verbs.end(); }

void add_subresources(JsonObject& paths, const KindTable& kinds, const Kind& kind, const std::string& item,
                      const std::string& scope, const std::string& tag, const JsonArray& in_path) {
  for (const Subresource& sub : kind.subresources) {
    const Kind* object = sub.kind.empty() ? &kind : kinds.by_kind(sub.group, sub.version, sub.kind);
    if (object == nullptr || object->type == nullptr) continue;
    std::string name = sub.name;
    name[0] = char(std::toupper(static_cast<unsigned char>(name[0])));
    Resource resource{kind, *object, scope + kind.kind + name, tag};
    JsonObject at{{"parameters", in_path}};
    if (has(sub.verbs, "get")) at["get"] = get_operation(resource);
    if (has(sub.verbs, "create")) at["post"] = write_operation(resource, true);
    if (has(sub.verbs, "update")) at["put"] = write_operation(resource, false);
    if (has(sub.verbs, "patch")) at["patch"] = patch_operation(resource);
    paths[fmt::format("{}/{}", item, sub.name)] = std::move(at);
  }
}

void add_paths(JsonObject& paths, const KindTable& kinds, const Kind& kind, const std::string& base, const std::string& tag) {
  std::string scope = kind.namespaced ? "Namespaced" : "";
  std::string collection = fmt::format("{}{}/{}", base, kind.namespaced ? "/namespaces/{namespace}" : "", kind.plural);
  std::string item = collection + "/{name}";
  JsonArray in_path;
  if (kind.namespaced) in_path.push_back(path_parameter("namespace", "object name and auth scope, such as for teams and projects"));
  Resource resource{kind, kind, scope + kind.kind, tag};
  JsonObject at{{"parameters", in_path}};
  if (has(kind.verbs, "list")) at["get"] = list_operation(resource);
  if (has(kind.verbs, "create")) at["post"] = write_operation(resource, true);
  if (has(kind.verbs, "deletecollection")) at["delete"] = delete_operation(resource, true);
  paths[collection] = std::move(at);
  if (kind.namespaced && has(kind.verbs, "list")) {
    Resource everywhere{kind, kind, kind.kind + "ForAllNamespaces", tag};
    paths[fmt::format("{}/{}", base, kind.plural)] = JsonObject{{"get", list_operation(everywhere)}};
  }
  if (!has(kind.verbs, "get")) return;
  in_path.push_back(path_parameter("name", fmt::format("name of the {}", kind.kind)));
  JsonObject one{{"parameters", in_path}};
  one["get"] = get_operation(resource);
  if (has(kind.verbs, "update")) one["put"] = write_operation(resource, false);
  if (has(kind.verbs, "patch")) one["patch"] = patch_operation(resource);
  if (has(kind.verbs, "delete")) one["delete"] = delete_operation(resource, false);
  paths[item] = std::move(one);
  add_subresources(paths, kinds, kind, item, scope, tag, in_path);
}

// "CoreV1", "AppsV1", "RbacAuthorizationV1": as upstream's operation ids have it.
std::string tag_of(std::string_view group, std::string_view version) {
  std::string out;
  std::string name = group.empty() ? "core" : std::string(group.substr(0, group.find(".k8s.io")));
  (name += '.') += version;
  bool upper = true;
  for (char c : name) {
    if (c == '.') upper = true;
    else out += std::exchange(upper, false) ? char(std::toupper(static_cast<unsigned char>(c))) : c;
  }
  return out;
}

}  // namespace

Json openapi_v3(const KindTable& kinds, std::string_view group, std::string_view version) {
  std::string group_version = api::group_version(group, version);
  std::string base = group.empty() ? fmt::format("/api/{}", version) : fmt::format("/apis/{}", group_version);
  std::string tag = tag_of(group, version);
  JsonObject paths;
  JsonObject discovery{{"tags", JsonArray{Json(tag)}},
                       {"description", "get available resources"},
                       {"operationId", fmt::format("get{}APIResources", tag)},
                       {"responses", responses({{"200", "OK"}}, "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList")}};
  paths[base + "/"] = JsonObject{{"get", std::move(discovery)}};
  for (const auto& kind : kinds.all())
    if (kind->group == group && kind->version == version && kind->type != nullptr) add_paths(paths, kinds, *kind, base, tag);
  JsonObject token{{"type", "apiKey"}, {"name", "authorization"}, {"in", "header"}, {"description", "Bearer Token authentication"}};
  return JsonObject{
      {"openapi", "3.0.0"},
      {"info", JsonObject{{"title", "Kubernetes"}, {"version", "v1.32"}}},
      {"paths", std::move(paths)},
      {"components", JsonObject{{"schemas", openapi::schemas(kinds, group, version)},
                                {"securitySchemes", JsonObject{{"BearerToken", std::move(token)}}}}},
  };
}

}  // namespace rs::api
