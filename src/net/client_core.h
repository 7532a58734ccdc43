// What the two versions' clients share. Inside this room only.
#pragma once

#include "async/event.h"
#include "net/http.h"

namespace rs::net {

struct ClientTarget {
  async::Loop& loop;
  Network& network;
  const Address address;
  const HttpClientOptions options;
};

// Connects, and shakes hands when options have TLS.
awaitable<Result<std::unique_ptr<Stream>>> connect_to(const ClientTarget& target, bool only_http1);
// The Host or :authority of requests that name none.
std::string default_authority(const ClientTarget& target);

// HTTP/1.1: a pool of connections, one request each at a time.
class Http1Pool : public std::enable_shared_from_this<Http1Pool> {
 public:
  explicit Http1Pool(std::shared_ptr<const ClientTarget> target);
  ~Http1Pool();
  awaitable<Result<std::unique_ptr<ResponseStream>>> open(Request request);
  awaitable<Result<std::pair<Response, std::unique_ptr<Stream>>>> upgrade(Request request);
  // A connection made by someone else who found that the peer speaks HTTP/1.1.
  void adopt(std::unique_ptr<Stream> stream);

  struct Connection;
  void give_back(std::unique_ptr<Connection> connection);
  void dropped();  // a connection taken is gone

 private:
  awaitable<Result<std::unique_ptr<Connection>>> take(bool fresh);
  std::shared_ptr<const ClientTarget> target_;
  std::vector<std::unique_ptr<Connection>> idle_;
  size_t in_use_ = 0;
  async::Event changed_;
};

// HTTP/2: one connection, many requests; made anew when lost.
class Http2Pool;
std::shared_ptr<Http2Pool> make_http2_pool(std::shared_ptr<const ClientTarget> target);
awaitable<Result<std::unique_ptr<ResponseStream>>> http2_open(std::shared_ptr<Http2Pool> pool,
                                                              std::shared_ptr<Http1Pool> fallback, Request request);

}  // namespace rs::net
