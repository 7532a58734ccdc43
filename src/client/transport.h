// Transport: how a Client reaches an API server: in process (server/in_process.h) or HTTPS (HttpTransport).
#pragma once

#include "net/http.h"

namespace rs::client {

template <class T>
using awaitable = async::awaitable<T>;

class Transport {
 public:
  virtual ~Transport() = default;
  virtual awaitable<Result<net::Response>> call(net::Request request, Duration timeout) = 0;
  // For watches: resolves once the headers are there.
  virtual awaitable<Result<std::unique_ptr<net::ResponseStream>>> stream(net::Request request, Duration timeout) = 0;
};

// Over HTTPS (or plain HTTP) to a Kubernetes API server; two connections, one for calls and one for watches.
class HttpTransport final : public Transport {
 public:
  HttpTransport(async::Loop& loop, net::Network& network, net::Address address,
                std::shared_ptr<const net::TlsClientContext> tls, std::string bearer_token = {});
  awaitable<Result<net::Response>> call(net::Request request, Duration timeout) override;
  awaitable<Result<std::unique_ptr<net::ResponseStream>>> stream(net::Request request, Duration timeout) override;

 private:
  void prepare(net::Request& request) const;
  net::Address address_;
  std::string scheme_, bearer_token_;
  net::HttpClient calls_, streams_;
};

}  // namespace rs::client
