// The inside of ApiServer: its parts and the way of a request through them (router.cpp).
#pragma once

#include "server/api_server.h"
#include "server/non_resource.h"
#include "server/request_metrics.h"
#include "server/reviews.h"
#include "server/writes.h"

namespace rs::server {

struct ApiServer::Impl {
  Impl(async::Loop& loop, store::Store& store, const api::KindTable& kinds, ApiServerOptions options)
      : core(loop, store, kinds, std::move(options)),
        authenticator(core),
        authorizer(core),
        admission(core, authorizer),
        registry(core, admission),
        non_resource(core, ready),
        metrics(core),
        tasks(loop) {}

  // The way of every request. user: who it is when that is already known (in process); null: authenticate.
  awaitable<void> serve(net::Request& request, net::ResponseWriter& writer, const UserInfo* user);
  awaitable<Result<std::optional<net::Response>>> answer(const RequestInfo& info, net::Request& request,
                                                         net::ResponseWriter& writer, const UserInfo* user);
  awaitable<Result<std::optional<net::Response>>> answer_resource(const RequestInfo& info, net::Request& request,
                                                                  net::ResponseWriter& writer, const UserInfo& user);
  awaitable<Result<net::Response>> answer_object(RequestContext context);
  // answer_object within the request's time and the limit of requests under way.
  awaitable<Result<net::Response>> answer_bounded(RequestContext context);

  Core core;
  Authenticator authenticator;
  Authorizer authorizer;
  Admission admission;
  Registry registry;
  bool ready = false;
  bool stopped = false;
  NonResource non_resource;
  RequestMetrics metrics;
  async::TaskGroup tasks;
};

// What a cluster starts with, made when it is not there: namespaces, the API's own Service and endpoints, roles and
// bindings. Repairs the claims of Services.
awaitable<Result<void>> ensure_cluster(Core& core, Registry& registry);

}  // namespace rs::server
