// Gateway: etcd's JSON over HTTP (grpc-gateway; reference etcd-api.md A.13): POST a request as
// proto JSON to /v3/…, and the gRPC method of that path answers as JSON; streaming methods with one
// {"result":…} a line. Errors have the form and HTTP status of grpc-gateway 2 (etcd 3.6), with the
// "error" that etcd 3.5 and older had beside "message". A call's metadata says that it came this
// way: it holds "grpcgateway-accept", as with etcd.
#pragma once

#include "net/grpc.h"
#include "store/etcd/gateway/schema.h"
#include "store/etcd/methods.h"

namespace rs::store::etcd::gateway {

using async::awaitable;

class Gateway {
 public:
  // methods outlives it. message_bytes: the most that a request may have as protobuf.
  Gateway(async::Loop& loop, Methods& methods, size_t message_bytes);
  // Answers a request whose path begins with "/v3/"; headers go with every answer.
  awaitable<void> serve(const net::Request& request, std::string_view path, net::Headers headers,
                        net::ResponseWriter& writer) const;

 private:
  awaitable<void> unary(const Route& route, net::grpc::CallInfo info, std::string_view body,
                        net::Headers headers, net::ResponseWriter& writer) const;
  awaitable<void> streaming(const Route& route, net::grpc::CallInfo info, std::string_view body,
                            net::Headers headers, net::ResponseWriter& writer) const;
  async::Loop& loop_;
  Methods& methods_;
  const size_t message_bytes_;
  const Schema schema_;
};

// grpc-gateway's HTTPStatusFromCode.
int http_status_of(net::grpc::StatusCode code);
// {"error":…,"code":…,"message":…,"details":[]}
std::string error_json(const net::grpc::Status& status);
// The metadata that grpc-gateway makes of a request's headers: Grpc-Metadata-X becomes x, others
// grpcgateway-x, and Authorization also the token that etcd looks for.
net::Headers metadata_of(const net::Headers& headers);

}  // namespace rs::store::etcd::gateway
