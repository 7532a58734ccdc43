// Subresources whose body is not the object itself: scale, binding, eviction (reference section A14).
#pragma once

#include "server/writes.h"

namespace rs::server {

using ResourceHandler = awaitable<Result<net::Response>> (*)(RequestContext context);
// Null: the generic handlers serve it (status, finalize, ephemeralcontainers …).
ResourceHandler subresource_handler(const api::Kind& kind, const RequestInfo& info);

awaitable<Result<net::Response>> handle_scale(RequestContext context);
awaitable<Result<net::Response>> handle_binding(RequestContext context);
awaitable<Result<net::Response>> handle_eviction(RequestContext context);

// 201 with Status Success: the answer to a POST that makes no object.
net::Response created_status();

}  // namespace rs::server
