// /scale: autoscaling/v1 Scale as a view of spec.replicas (pkg/registry/apps/deployment/storage ScaleREST).
#include "api/meta.h"
#include "server/subresources.h"

namespace rs::server {
namespace {

Json scale_of(const Json& parent) {
  Json scale = JsonObject{{"kind", "Scale"}, {"apiVersion", "autoscaling/v1"}};
  JsonObject metadata;
  for (const char* field : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"})
    if (const Json* value = find(parent, "metadata", field)) metadata[field] = *value;
  scale.get_object()["metadata"] = std::move(metadata);
  scale.get_object()["spec"] = JsonObject{{"replicas", integer(parent, "spec", "replicas")}};
  JsonObject status{{"replicas", integer(parent, "status", "replicas")}};
  auto selector = api::LabelSelector::from_json(find(parent, "spec", "selector"));
  if (selector && !selector->empty()) status["selector"] = selector->text();
  scale.get_object()["status"] = std::move(status);
  return scale;
}

Json with_replicas(Json parent, const Json& scale) {
  set(parent, Json(integer(scale, "spec", "replicas")), "spec", "replicas");
  // What the client said about version and uid is checked against the parent's.
  for (const char* field : {"resourceVersion", "uid"})
    if (const Json* value = find(scale, "metadata", field)) set(parent, *value, "metadata", field);
  return parent;
}

net::Response scale_response(int status, const Written& written) {
  auto parent = parse_json(*written.bytes);
  return parent ? json_response(status, scale_of(*parent)) : status_response(parent.error());
}
}  // namespace

awaitable<Result<net::Response>> handle_scale(RequestContext context) {
  const api::Kind* scale_kind = context.core.kinds.by_kind("autoscaling", "v1", "Scale");
  auto write = make_write(context);
  if (!write) co_return std::unexpected(write.error());
  if (scale_kind == nullptr) co_return fail(unknown_resource());
  if (context.info.verb == "get") {
    if (auto ready = co_await context.core.cache.wait_consistent(); !ready) co_return std::unexpected(ready.error());
    ObjectPtr parent = write->cache->get(write->ns, write->name);
    if (parent == nullptr) co_return fail(not_found(context.kind, write->name));
    co_return json_response(200, scale_of(parent->tree()));
  }
  Registry::Change change;
  if (context.info.verb == "update") {
    auto scale = decode_body(context, *scale_kind, *write);
    if (!scale) co_return std::unexpected(scale.error());
    if (auto name = api::name_of(*scale); !name.empty() && name != write->name)
      co_return fail(Code::kBadRequest, "the name of the object ({}) does not match the name on the URL ({})", name,
                     write->name);
    change = [scale = std::move(*scale)](const Json* live) -> Result<Json> { return with_replicas(*live, scale); };
  } else {
    bool applies = false;
    auto function = patch_function(context, *scale_kind, *write, applies);
    if (!function) co_return std::unexpected(function.error());
    change = [function = std::move(*function)](const Json* live) -> Result<Json> {
      Json current = scale_of(*live);
      auto patched = function(&current);
      if (!patched) return patched;
      return with_replicas(*live, *patched);
    };
  }
  auto written = co_await context.registry.update(*write, std::move(change), {});
  if (!written) co_return std::unexpected(written.error());
  co_return scale_response(200, *written);
}

}  // namespace rs::server
