// The server's side of an HTTP/2 connection. Each stream's request goes to a ServerSink: HTTP's (http2_server.cpp) or
// gRPC's (grpc_server.cpp). Inside this room only.
#pragma once

#include <deque>

#include "net/h2_connection.h"
#include "net/server_core.h"

namespace rs::net {

class ServerSession;

// Takes one request. Made when its headers are complete.
class ServerSink {
 public:
  virtual ~ServerSink() = default;
  virtual void data(std::string_view bytes) = 0;  // to be consumed by the sink
  virtual void end() = 0;
  virtual void closed() = 0;                      // the stream is over; nothing can be sent
  virtual void drained() {}
  virtual void stopping() {}                      // the server is: what has no end of its own should find one
  virtual void resume() {}                        // there is room again: what ServerSession::park() put off
  virtual bool long_lived() const { return false; }  // the client may take its time to end its request
};

class ServerExchange final : public h2::Exchange {
 public:
  explicit ServerExchange(std::shared_ptr<ServerSession> s) : session(std::move(s)) {}
  void header(std::string_view name, std::string_view value) override;
  void headers_done() override;
  void too_many_headers() override;
  void data(std::string_view bytes) override;
  void end() override;
  void closed(uint32_t error_code) override;
  void drained() override;

  std::string method, scheme, authority, path;
  Headers headers;
  std::shared_ptr<ServerSession> session;
  std::shared_ptr<ServerSink> sink;
  MonoTime started{};
  bool routed = false;
};

class ServerSession final : public ServerConnection, public h2::Owner, public std::enable_shared_from_this<ServerSession> {
 public:
  ServerSession(std::shared_ptr<ServerCore> c, std::unique_ptr<Stream> stream, std::string bytes);
  awaitable<void> run() override;
  void begin_shutdown() override;
  void sweep(MonoTime now) override;
  void abort() override;
  std::shared_ptr<h2::Exchange> accept(int32_t id) override;
  bool ping_allowed() override;
  // Handlers run on after their stream is gone until their cancellation has ended them: they count until then.
  void handler_began() { ++handlers_; }
  void handler_ended();
  // Whether the client has left so much unread that it gets no new answers before it has taken some.
  bool crowded() const;
  void park(std::shared_ptr<ServerExchange> exchange) { parked_.push_back(std::move(exchange)); }
  void written() override;

  const std::shared_ptr<ServerCore> core;
  std::shared_ptr<h2::Connection> connection;
  std::shared_ptr<const PeerCertificate> certificate;
  Address peer;
  size_t buffered = 0;   // bytes of request bodies under way

 private:
  std::string first_bytes_;
  async::Event changed_;
  size_t handlers_ = 0;
  std::deque<std::shared_ptr<ServerExchange>> parked_;
  MonoTime last_ping_{}, own_ping_{};
  int ping_strikes_ = 0;
};

std::shared_ptr<ServerSink> make_http_sink(std::shared_ptr<ServerExchange> exchange);
// An answer of the server itself.
void answer_now(ServerExchange& exchange, Response response);

namespace grpc {
// Null: the request is not gRPC, or is to be answered over HTTP.
std::shared_ptr<ServerSink> open_call(const Routes& routes, std::shared_ptr<ServerExchange> exchange);
Duration min_ping_interval(const Routes& routes);
}  // namespace grpc

}  // namespace rs::net
