// ApiServer: the Kubernetes API over any Store (reference kubernetes-api.md A). Serves HTTP through handler(), and the same
// requests in process.
//
// One loop: construct, start, call and stop on the loop it was given; that loop's thread runs every request. The store and
// the kind table must outlive it. After start() every write that was acknowledged is seen by every later read and watch.
#pragma once

#include <memory>

#include "api/kind.h"
#include "client/node_api.h"
#include "client/transport.h"
#include "server/options.h"
#include "server/user_info.h"
#include "store/store.h"

namespace rs::server {

template <class T>
using awaitable = async::awaitable<T>;

class ApiServer {
 public:
  ApiServer(async::Loop& loop, store::Store& store, const api::KindTable& kinds, ApiServerOptions options = {});
  ~ApiServer();

  // Loads the watch cache and ensures what a cluster starts with: namespaces, roles, the service of the API itself.
  // kUnavailable when the store does not answer, kInvalid for options that make no sense.
  awaitable<Result<void>> start();
  // Ends watches cleanly and refuses requests; in-process streams end. Then stop the HttpServer in front of it (which has
  // nothing left to wait for), then destroy this object.
  awaitable<void> stop();

  // For net::HttpServer; valid as long as this object.
  net::Handler handler();
  // For HttpServerOptions::error_response: Status bodies for what the HTTP layer refuses.
  static net::Response error_response(int status, std::string_view message);
  // Requests made as user, without a network. The transport must not outlive this object.
  std::unique_ptr<client::Transport> in_process(UserInfo user);

  // Where logs, exec, attach and port-forward of a node's pods go; null: the node is gone. Not owned.
  void set_node_api(std::string node_name, client::NodeApi* node);

  struct ResourceState {
    std::string resource;       // "deployments.apps"
    size_t objects = 0, watchers = 0;
  };
  struct State {
    int64_t revision = 0;       // reached by all caches
    Duration age{};             // since the store last proved it
    std::vector<ResourceState> resources;
  };
  State state() const;

  struct Impl;                  // server/impl.h: for this room only

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace rs::server
