#include "server/server_fixture.h"

#include <boost/asio/co_spawn.hpp>

namespace rs::server::testing {
namespace {
using namespace std::chrono_literals;

awaitable<void> run_started(Server& it, std::function<awaitable<void>(Server&)>& body) {
  auto opened = co_await store::Embedded::open(it.loop, {});
  if (!opened) {
    ADD_FAILURE() << to_string(opened.error());
    it.loop.stop();
    co_return;
  }
  it.store = std::move(*opened);
  it.options.service_account_admission = false;
  it.server = std::make_unique<ApiServer>(it.loop, *it.store, api::builtin_kinds(), it.options);
  auto started = co_await it.server->start();
  EXPECT_TRUE(started.has_value()) << (started ? "" : to_string(started.error()));
  it.transport = it.server->in_process({.name = "admin", .uid = {}, .groups = {kMasters}, .extra = {}});
  if (started) co_await body(it);
  co_await it.server->stop();
  co_await it.store->close();
  it.loop.stop();
}
}  // namespace

void Server::run(std::function<awaitable<void>(Server&)> body) {
  async::asio::co_spawn(loop.context(), run_started(*this, body), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  loop.run();
}

awaitable<net::Response> Server::call(std::string method, std::string target, std::string body, net::Headers headers) {
  net::Request request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.headers = std::move(headers);
  request.body = std::move(body);
  auto response = co_await transport->call(std::move(request), 20s);
  if (!response) {
    ADD_FAILURE() << to_string(response.error());
    co_return net::Response{.status = 0, .headers = {}, .body = {}, .trailers = {}};
  }
  co_return std::move(*response);
}

awaitable<Json> Server::ask(int status, std::string method, std::string target, std::string body, net::Headers headers) {
  std::string what = method + " " + target;
  net::Response response = co_await call(std::move(method), std::move(target), std::move(body), std::move(headers));
  EXPECT_EQ(response.status, status) << what << "\n" << response.body;
  auto json = parse_json(response.body);
  EXPECT_TRUE(json.has_value()) << response.body;
  co_return json ? std::move(*json) : Json();
}

awaitable<Json> WatchLines::next() {
  size_t end;
  while ((end = buffer_.find('\n')) == std::string::npos) {
    auto bytes = co_await stream_->read();
    if (!bytes || bytes->empty()) co_return Json();
    buffer_ += *bytes;
  }
  auto line = parse_json(std::string_view(buffer_).substr(0, end));
  buffer_.erase(0, end + 1);
  EXPECT_TRUE(line.has_value());
  co_return line ? std::move(*line) : Json();
}

awaitable<std::unique_ptr<WatchLines>> watch(Server& server, std::string target, net::Headers headers) {
  net::Request request;
  request.target = std::move(target);
  request.headers = std::move(headers);
  auto stream = co_await server.transport->stream(std::move(request), 20s);
  if (!stream) {
    ADD_FAILURE() << to_string(stream.error());
    co_return nullptr;
  }
  EXPECT_EQ((*stream)->status(), 200);
  co_return std::make_unique<WatchLines>(std::move(*stream));
}

}  // namespace rs::server::testing
