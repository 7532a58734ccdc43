// Which container of which pod on which node a log, exec, attach or port-forward is for (pkg/registry/core/pod/strategy.go).
#pragma once

#include "server/core.h"
#include "server/request_info.h"

namespace rs::server {

struct PodTarget {
  Json pod;
  std::string container;
  client::NodeApi* node = nullptr;      // null: the pod is not on a node yet
};
// kNotFound; kBadRequest when the container is not said clearly; kServiceUnavailable when the node is not connected.
awaitable<Result<PodTarget>> find_pod_target(Core& core, const api::Kind& pods, const RequestInfo& info, bool needs_container);

}  // namespace rs::server
