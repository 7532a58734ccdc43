// grpc.health.v1.Health/Check (grpc/grpc doc/health-checking.md); its two messages are small enough to write by hand.
#include "net/grpc.h"
#include "node/probes.h"

namespace rs::node {

awaitable<Result<void>> run_grpc_check(ActionTools tools, std::string ip, uint16_t port, std::string service, Duration timeout) {
  net::grpc::ClientOptions options;
  options.connect_timeout = timeout;
  net::grpc::Client client(tools.loop, tools.network, {ip, port}, options);
  std::string request;
  if (!service.empty() && service.size() < 128) {  // HealthCheckRequest.service = 1
    request = {'\x0a', static_cast<char>(service.size())};
    request += service;
  }
  auto answer = co_await client.call("/grpc.health.v1.Health/Check", request, {}, timeout);
  if (!answer)
    co_return fail(Code::kUnavailable, "error: health rpc probe failed: {}", answer.error().message);
  // HealthCheckResponse.status = 1: 0 UNKNOWN, 1 SERVING, 2 NOT_SERVING, 3 SERVICE_UNKNOWN
  bool serving = answer->size() >= 2 && (*answer)[0] == '\x08' && (*answer)[1] == '\x01';
  if (!serving) co_return fail(Code::kUnavailable, "service unhealthy (responded with \"NOT_SERVING\")");
  co_return Result<void>();
}

}  // namespace rs::node
