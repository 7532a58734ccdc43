#include "net/h2_server.h"
namespace rs::net::grpc {
std::shared_ptr<ServerSink> open_call(const Routes&, std::shared_ptr<ServerExchange>) { return {}; }
Duration min_ping_interval(const Routes&) { return {}; }
}  // namespace rs::net::grpc
