#include "client/transport.h"

#include "net/tls.h"

namespace rs::client {
namespace {
net::HttpClientOptions options_for(std::shared_ptr<const net::TlsClientContext> tls) {
  net::HttpClientOptions options;
  options.tls = std::move(tls);
  return options;
}
}  // namespace

HttpTransport::HttpTransport(async::Loop& loop, net::Network& network, net::Address address,
                             std::shared_ptr<const net::TlsClientContext> tls, std::string bearer_token)
    : address_(address),
      scheme_(tls ? "https" : "http"),
      bearer_token_(std::move(bearer_token)),
      calls_(loop, network, address, options_for(tls)),
      streams_(loop, network, address, options_for(tls)) {}

void HttpTransport::prepare(net::Request& request) const {
  request.scheme = scheme_;
  request.authority = net::to_string(address_);
  if (!bearer_token_.empty()) request.headers.set("authorization", "Bearer " + bearer_token_);
}

awaitable<Result<net::Response>> HttpTransport::call(net::Request request, Duration timeout) {
  prepare(request);
  return calls_.call(std::move(request), timeout);
}

awaitable<Result<std::unique_ptr<net::ResponseStream>>> HttpTransport::stream(net::Request request, Duration timeout) {
  prepare(request);
  return streams_.stream(std::move(request), timeout);
}

}  // namespace rs::client
