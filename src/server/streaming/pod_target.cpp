#include "server/streaming/pod_target.h"

#include "api/meta.h"

namespace rs::server {
namespace {

std::vector<std::string> names_of(const Json& pod, std::string_view list) {
  std::vector<std::string> out;
  for (const Json& container : array(pod, "spec", list)) out.emplace_back(str(container, "name"));
  return out;
}

Result<std::string> choose_container(const Json& pod, std::string_view wanted) {
  std::vector<std::string> containers = names_of(pod, "containers"), init = names_of(pod, "initContainers"),
                           ephemeral = names_of(pod, "ephemeralContainers");
  std::string_view name = api::name_of(pod);
  if (!wanted.empty()) {
    for (const auto* list : {&containers, &init, &ephemeral})
      if (std::find(list->begin(), list->end(), wanted) != list->end()) return std::string(wanted);
    return fail(Code::kBadRequest, "container {} is not valid for pod {}", wanted, name);
  }
  if (containers.size() == 1) return containers[0];
  std::string message = fmt::format("a container name must be specified for pod {}, choose one of: [{}]", name,
                                    fmt::join(containers, " "));
  if (!init.empty()) message += fmt::format(" or one of the init containers: [{}]", fmt::join(init, " "));
  if (!ephemeral.empty()) message += fmt::format(" or one of the ephemeral containers: [{}]", fmt::join(ephemeral, " "));
  return fail(Error{Code::kBadRequest, std::move(message)});
}
}  // namespace

awaitable<Result<PodTarget>> find_pod_target(Core& core, const api::Kind& pods, const RequestInfo& info,
                                             bool needs_container) {
  if (auto ready = co_await core.cache.wait_consistent(); !ready) co_return std::unexpected(ready.error());
  auto cache = core.cache.of(pods);
  ObjectPtr found = cache == nullptr ? nullptr : cache->get(info.ns, info.name);
  if (found == nullptr) co_return fail(not_found(pods, info.name));
  PodTarget target;
  target.pod = found->tree();
  if (needs_container) {
    auto container = choose_container(target.pod, info.target.param("container"));
    if (!container) co_return std::unexpected(container.error());
    target.container = std::move(*container);
  }
  std::string_view node = str(target.pod, "spec", "nodeName");
  if (node.empty()) co_return target;
  auto api = core.nodes.find(node);
  if (api == core.nodes.end())
    co_return fail(Code::kServiceUnavailable, "node {} of pod {} is not connected to this server", node, info.name);
  target.node = api->second;
  co_return target;
}

}  // namespace rs::server
