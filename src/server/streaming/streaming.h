// The streaming subresources of pods: log, exec, attach, portforward (reference section A14). Each answers on writer;
// errors found before the answer has begun are returned.
#pragma once

#include "server/streaming/pod_target.h"

namespace rs::server {

struct StreamContext {
  Core& core;
  const api::Kind& pods;
  const RequestInfo& info;
  const net::Request& request;
  net::ResponseWriter& writer;
};

awaitable<Result<void>> handle_log(StreamContext context);
awaitable<Result<void>> handle_exec(StreamContext context);          // and attach
awaitable<Result<void>> handle_port_forward(StreamContext context);

using StreamHandler = awaitable<Result<void>> (*)(StreamContext context);
StreamHandler stream_handler(const api::Kind& kind, std::string_view subresource);   // null: none

}  // namespace rs::server
