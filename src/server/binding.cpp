// /binding: the scheduler's decision (pkg/registry/core/pod/storage BindingREST).
#include "api/meta.h"
#include "server/subresources.h"

namespace rs::server {
namespace {

Result<Json> bind(const api::Kind& kind, const Json& pod, const Json& binding, WallTime now) {
  std::string_view name = api::name_of(pod), node = str(binding, "target", "name");
  auto refuse = [&](std::string why) {
    return fail(resource_error(Code::kConflict, kind, name,
                               fmt::format("Operation cannot be fulfilled on pods/binding \"{}\": {}", name, why)));
  };
  std::string_view uid = api::uid_of(binding);
  if (!uid.empty() && uid != api::uid_of(pod))
    return refuse(fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid, api::uid_of(pod)));
  if (api::is_deleting(pod)) return refuse(fmt::format("pod {} is being deleted, cannot be assigned to a host", name));
  if (auto host = str(pod, "spec", "nodeName"); !host.empty())
    return refuse(fmt::format("pod {} is already assigned to node \"{}\"", name, host));
  if (!array(pod, "spec", "schedulingGates").empty())
    return refuse(fmt::format("pod {} has non-empty .spec.schedulingGates", name));
  Json bound = pod;
  set(bound, Json(node), "spec", "nodeName");
  for (const char* list : {"annotations", "labels"})
    for (const auto& [key, value] : object(binding, "metadata", list)) set(bound, value, "metadata", list, std::string_view(key));
  api::set_condition(bound, "PodScheduled", "True", "", "", now);
  return bound;
}
}  // namespace

awaitable<Result<net::Response>> handle_binding(RequestContext context) {
  const api::Kind* pods = context.core.kinds.by_resource("", "v1", "pods");
  const api::Kind* binding_kind = context.core.kinds.by_kind("", "v1", "Binding");
  if (pods == nullptr || binding_kind == nullptr) co_return fail(unknown_resource());
  RequestContext on_pods{context.core, context.registry, *pods, context.info, context.request, context.user, context.accepted};
  auto write = make_write(on_pods);
  if (!write) co_return std::unexpected(write.error());
  auto binding = decode_body(on_pods, *binding_kind, *write);
  if (!binding) co_return std::unexpected(binding.error());
  std::string name(api::name_of(*binding));
  if (write->name.empty()) write->name = name;
  if (!name.empty() && name != write->name)
    co_return fail(Code::kBadRequest, "name in URL does not match name in Binding object");
  std::string_view kind = str(*binding, "target", "kind"), node = str(*binding, "target", "name");
  if (!kind.empty() && kind != "Node")
    co_return fail(Code::kInvalid, "Binding \"{}\" is invalid: target.kind: Unsupported value: \"{}\": supported values: "
                   "\"Node\", \"<empty>\"", write->name, kind);
  if (node.empty())
    co_return fail(Code::kInvalid, "Binding \"{}\" is invalid: target.name: Required value", write->name);
  write->internal = true;
  write->subresource = "binding";
  WallTime now = context.core.loop.wall();
  auto written = co_await context.registry.update(
      *write, [&](const Json* live) -> Result<Json> { return bind(*pods, *live, *binding, now); }, {});
  if (!written) co_return std::unexpected(written.error());
  co_return created_status();
}

}  // namespace rs::server
