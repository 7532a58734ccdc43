// grpc.health.v1.Health/Check (grpc/grpc doc/health-checking.md), as one HTTP/2 exchange (doc/PROTOCOL-HTTP2.md): its two
// messages are small enough to write by hand.
#include "net/http.h"
#include "node/probes.h"

namespace rs::node {

awaitable<Result<void>> run_grpc_check(ActionTools tools, std::string ip, uint16_t port, std::string service, Duration timeout) {
  std::string message;
  if (!service.empty() && service.size() < 128) {  // HealthCheckRequest.service = 1
    message = {'\x0a', static_cast<char>(service.size())};
    message += service;
  }
  net::HttpClientOptions options;
  options.connect_timeout = timeout;
  options.http2 = true;
  net::HttpClient client(tools.loop, tools.network, {ip, port}, options);
  net::Request request;
  request.method = "POST";
  request.target = "/grpc.health.v1.Health/Check";
  request.authority = net::to_string({ip, port});
  request.headers = {{"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "kube-probe/1.32"}};
  request.body = std::string("\0\0\0\0", 4) + static_cast<char>(message.size()) + message;
  auto response = co_await client.call(std::move(request), timeout);
  if (!response) co_return fail(Code::kUnavailable, "timeout: failed to connect service \"{}\": {}", net::to_string({ip, port}), response.error().message);
  std::string_view status = response->trailers.get("grpc-status");
  if (status.empty()) status = response->headers.get("grpc-status");
  if (status != "0")
    co_return fail(Code::kUnavailable, "error: health rpc failed: status {} {}", status, response->trailers.get("grpc-message"));
  // HealthCheckResponse.status = 1: 0 UNKNOWN, 1 SERVING, 2 NOT_SERVING, 3 SERVICE_UNKNOWN
  std::string_view answer = std::string_view(response->body).substr(std::min<size_t>(5, response->body.size()));
  if (!answer.starts_with("\x08\x01")) co_return fail(Code::kUnavailable, "service unhealthy (responded with \"NOT_SERVING\")");
  co_return Result<void>();
}

}  // namespace rs::node
