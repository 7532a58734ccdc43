// For tests: an API server over an in-memory store, on one loop, asked in process.
#pragma once

#include <gtest/gtest.h>

#include "client/client.h"
#include "server/api_server.h"
#include "store/embedded.h"

namespace rs::server::testing {

struct Server {
  async::SystemLoop loop;
  std::unique_ptr<store::Embedded> store;
  std::unique_ptr<ApiServer> server;
  std::unique_ptr<client::Transport> transport;
  ApiServerOptions options;

  // Runs body with a started server, then stops it; failures inside are gtest's.
  void run(std::function<awaitable<void>(Server&)> body);

  awaitable<net::Response> call(std::string method, std::string target, std::string body = {}, net::Headers headers = {});
  // The answer's body as JSON; the status is expected.
  awaitable<Json> ask(int status, std::string method, std::string target, std::string body = {}, net::Headers headers = {});
};

// Lines of a watch, one JSON at a time.
class WatchLines {
 public:
  explicit WatchLines(std::unique_ptr<net::ResponseStream> stream) : stream_(std::move(stream)) {}
  awaitable<Json> next();   // null at the end

 private:
  std::unique_ptr<net::ResponseStream> stream_;
  std::string buffer_;
};
awaitable<std::unique_ptr<WatchLines>> watch(Server& server, std::string target, net::Headers headers = {});

}  // namespace rs::server::testing
