// PATCH: JSON patch, merge patch, strategic merge patch, server-side apply (reference sections A10, A11).
#include "api/apply.h"
#include "api/defaults.h"
#include "api/meta.h"
#include "api/patch.h"
#include "server/writes.h"

namespace rs::server {
namespace {

// The outcome of a patch as an object of the kind again: unknown fields dropped or refused, types checked.
Result<Json> settled(const api::Kind& kind, Write& write, Json patched) {
  auto normal = api::normalise(std::move(patched), kind, write.validation);
  if (!normal) return std::unexpected(normal.error());
  write.warnings = std::move(normal->warnings);
  return std::move(normal->object);
}

Result<void> check_type(const api::Kind& kind, const Json& patch) {
  std::string_view version = str(patch, "apiVersion"), name = str(patch, "kind");
  bool fits = (version.empty() || version == kind.group_version()) && (name.empty() || name == kind.kind);
  if (fits) return {};
  return fail(Code::kBadRequest, "the patch is of {}, Kind={}, not of {}, Kind={}", version, name, kind.group_version(), kind.kind);
}

Result<PatchFunction> apply_function(const RequestContext& context, const api::Kind& kind, Write& write) {
  const net::Target& target = context.info.target;
  if (target.param("fieldManager").empty()) {
    auto details = std::make_shared<ErrorDetails>();
    details->kind = "PatchOptions";
    details->group = "meta.k8s.io";
    details->causes.push_back({"FieldValueRequired", "Required value: is required for apply patch", "fieldManager"});
    return fail(Error{Code::kInvalid,
                      "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
                      details});
  }
  auto config = api::parse_yaml(context.request.body);
  if (!config) return fail(Code::kBadRequest, "error decoding YAML: {}", config.error().message);
  if (!config->is_object()) return fail(Code::kBadRequest, "the apply patch is not an object");
  if (find(*config, "metadata", "managedFields") != nullptr)
    return fail(Code::kBadRequest, "metadata.managedFields must be nil");
  if (auto type = check_type(kind, *config); !type) return std::unexpected(type.error());
  auto normal = settled(kind, write, std::move(*config));
  if (!normal) return std::unexpected(normal.error());
  if (api::name_of(*normal).empty()) set(*normal, Json(context.info.name), "metadata", "name");
  if (kind.namespaced && api::namespace_of(*normal).empty()) set(*normal, Json(context.info.ns), "metadata", "namespace");
  api::ApplyOptions options{write.manager, is_true(target.param("force")), write.subresource, context.core.loop.wall()};
  return PatchFunction([&kind, &write, options, config = std::move(*normal)](const Json* live) -> Result<Json> {
    write.applied = true;
    return api::server_side_apply(kind, live, config, options);
  });
}

Error unsupported_patch() {
  return Error{Code::kUnsupportedMediaType,
               "the body of the request was in an unknown format - accepted media types include: "
               "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, "
               "application/apply-patch+yaml"};
}
}  // namespace

Result<PatchFunction> patch_function(const RequestContext& context, const api::Kind& kind, Write& write, bool& applies) {
  std::string_view header = context.request.headers.get("Content-Type");
  std::string type(header.substr(0, header.find(';')));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  applies = type == "application/apply-patch+yaml";
  if (applies) return apply_function(context, kind, write);
  bool json_patch = type == "application/json-patch+json", merge = type == "application/merge-patch+json";
  bool strategic = type == "application/strategic-merge-patch+json" && kind.type != nullptr;
  if (!json_patch && !merge && !strategic) return fail(unsupported_patch());
  auto patch = parse_json(context.request.body);
  if (!patch) return fail(Code::kBadRequest, "error decoding patch: {}", patch.error().message);
  if (json_patch ? !patch->is_array() : !patch->is_object())
    return fail(Code::kBadRequest, "the patch must be {}", json_patch ? "a list of operations" : "an object");
  if (!json_patch)
    if (auto checked = check_type(kind, *patch); !checked) return std::unexpected(checked.error());
  return PatchFunction([&kind, &write, json_patch, merge, patch = std::move(*patch)](const Json* live) -> Result<Json> {
    if (live == nullptr) return fail(not_found(kind, write.name));
    Result<Json> patched = json_patch ? api::json_patch(*live, patch)
                           : merge    ? Result<Json>(api::merge_patch(*live, patch))
                                      : api::strategic_merge_patch(kind, *live, patch);
    if (!patched) return patched;
    return settled(kind, write, std::move(*patched));
  });
}

awaitable<Result<net::Response>> handle_patch(RequestContext context) {
  auto write = make_write(context);
  if (!write) co_return std::unexpected(write.error());
  bool applies = false;
  auto function = patch_function(context, context.kind, *write, applies);
  if (!function) co_return std::unexpected(function.error());
  Registry::UpdateOptions options;
  options.may_create = applies && write->subresource.empty();
  auto written = co_await context.registry.update(*write, std::move(*function), options);
  if (!written) co_return std::unexpected(written.error());
  co_return written_response(context, *write, *written);
}

}  // namespace rs::server
