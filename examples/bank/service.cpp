#include "service.h"

#include <cstdlib>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"

namespace bank {

using namespace rs;
using namespace std::chrono_literals;

namespace {

int status_of(Code code) {
  switch (code) {
    case Code::kInvalid:
    case Code::kBadRequest: return 400;
    case Code::kNotFound: return 404;
    case Code::kFailedPrecondition: return 402;
    case Code::kUnavailable: return 502;
    case Code::kTimeout: return 504;
    default: return 500;
  }
}

Code code_of(int status) {
  switch (status) {
    case 400: return Code::kBadRequest;
    case 402: return Code::kFailedPrecondition;
    case 404: return Code::kNotFound;
    case 502:
    case 503: return Code::kUnavailable;
    case 504: return Code::kTimeout;
    default: return Code::kInternalError;
  }
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    path.remove_prefix(1);
    auto end = std::min(path.find('/'), path.size());
    auto part = net::percent_decode(path.substr(0, end));
    parts.push_back(part ? *part : std::string());
    path.remove_prefix(end);
  }
  return parts;
}

net::Response json_response(int status, const Json& body) {
  net::Response response;
  response.status = status;
  response.headers = {{"content-type", "application/json"}};
  response.body = to_text(body) + "\n";
  return response;
}

}  // namespace

Peers::Peers(async::Loop& loop, net::Network& network) : loop_(loop), network_(network) {
  if (const char* proxy = std::getenv("http_proxy")) {
    std::string_view text = proxy;
    if (text.starts_with("http://")) text.remove_prefix(7);
    if (text.ends_with('/')) text.remove_suffix(1);
    proxy_ = text;
  }
}

awaitable<Result<Json>> Peers::call(std::string service, std::string method, std::string path, Json body, std::string key) {
  auto& client = clients_[proxy_.empty() ? service : proxy_];
  if (!client) {
    auto address = net::parse_address(proxy_.empty() ? service : proxy_, 80);
    if (!address) co_return fail(address.error());
    client = std::make_unique<net::HttpClient>(loop_, network_, *address, net::HttpClientOptions{});
  }
  net::Request request;
  request.method = std::move(method);
  request.authority = service;
  request.target = std::move(path);
  if (!body.is_null()) {
    request.body = to_text(body);
    request.headers.add("content-type", "application/json");
  }
  if (!key.empty()) request.headers.add("idempotency-key", std::move(key));
  auto response = co_await client->call(std::move(request), 10s);
  if (!response) co_return fail_at(service, response.error());
  auto answer = parse_json(response->body);
  if (response->status >= 300) {
    auto message = answer ? std::string(str(*answer, "error")) : response->body.substr(0, 200);
    co_return fail(code_of(response->status), "{}: {}", service, message);
  }
  co_return answer;
}

namespace {

awaitable<void> handle(Role& role, const Options& options, net::Request& request, net::ResponseWriter& writer) {
  Call call;
  call.method = request.method;
  call.target = net::parse_target(request.target);
  call.parts = split_path(call.target.path);
  call.idempotency_key = request.headers.get("idempotency-key");
  if (call.target.path == "/healthz") {
    (void)co_await writer.send(json_response(200, JsonObject{{"role", options.role}, {"version", options.version}}));
    co_return;
  }
  if (!request.body.empty()) {
    auto body = parse_json(request.body, {.depth = 16, .bytes = 64 << 10});
    if (!body) {
      (void)co_await writer.send(json_response(400, JsonObject{{"error", body.error().message}}));
      co_return;
    }
    call.body = std::move(*body);
  }
  auto answer = co_await role.answer(std::move(call));
  if (answer) (void)co_await writer.send(json_response(200, *answer));
  else (void)co_await writer.send(json_response(status_of(answer.error().code), JsonObject{{"error", answer.error().message}}));
}

awaitable<void> run(async::SystemLoop& loop, const Options& options, int& exit_code) {
  net::TcpNetwork network(loop);
  Peers peers(loop, network);
  auto role = make_role(options, peers);
  if (!role) {
    log::error("bank", "cannot start", {{"role", options.role}, {"error", role.error().message}});
    exit_code = 1;
    loop.stop();
    co_return;
  }
  net::HttpServer server(loop, {.name = options.role}, [&](net::Request& request, net::ResponseWriter& writer) {
    return handle(**role, options, request, writer);
  });
  auto listener = network.listen({options.listen, options.port});
  if (!listener) {
    log::error("bank", "cannot listen", {{"error", listener.error().message}});
    exit_code = 1;
    loop.stop();
    co_return;
  }
  log::info("bank", "serving", {{"role", options.role}, {"version", options.version}, {"port", (*listener)->local().port}});
  server.serve(std::move(*listener));
  boost::asio::signal_set signals(loop.context(), SIGTERM, SIGINT);
  co_await signals.async_wait(boost::asio::use_awaitable);
  log::info("bank", "finishing requests under way", {{"role", options.role}});
  co_await server.stop(10s);
  loop.stop();
}

}  // namespace

int serve(const Options& options) {
  async::SystemLoop loop;
  int exit_code = 0;
  boost::asio::co_spawn(loop.context(), run(loop, options, exit_code), [](std::exception_ptr exception) {
    if (exception) std::rethrow_exception(exception);
  });
  loop.run();
  return exit_code;
}

}  // namespace bank
