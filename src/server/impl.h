// The inside of ApiServer: its parts and the way of a request through them (router.cpp).
#pragma once

#include "server/api_server.h"
#include "server/non_resource.h"
#include "server/reviews.h"
#include "server/writes.h"

namespace rs::server {

struct ApiServer::Impl {
  Impl(async::Loop& loop, store::Store& store, const api::KindTable& kinds, ApiServerOptions options)
      : core(loop, store, kinds, std::move(options)), admission(core), registry(core, admission), authenticator(core), authorizer(core), non_resource(core, ready), tasks(loop) {}

  // The way of every request. user: who it is when that is already known (in process); null: authenticate.
  awaitable<void> serve(net::Request& request, net::ResponseWriter& writer, const UserInfo* user);
  awaitable<Result<std::optional<net::Response>>> answer(net::Request& request, net::ResponseWriter& writer,
                                                         const UserInfo* user);
  awaitable<Result<std::optional<net::Response>>> answer_resource(const RequestInfo& info, net::Request& request,
                                                                  net::ResponseWriter& writer, const UserInfo& user);
  awaitable<Result<net::Response>> answer_object(RequestContext context);

  Core core;
  Admission admission;
  Registry registry;
  Authenticator authenticator;
  Authorizer authorizer;
  bool ready = false;
  NonResource non_resource;
  async::TaskGroup tasks;
};

// What a cluster starts with, made when it is not there: namespaces, the API's own Service and endpoints, roles and
// bindings. Repairs the claims of Services.
awaitable<Result<void>> ensure_cluster(Core& core, Registry& registry);

}  // namespace rs::server
