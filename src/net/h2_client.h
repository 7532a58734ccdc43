// The client's side of HTTP/2: one connection to an address, made when needed and again when lost. Inside this room only.
#pragma once

#include "async/task_group.h"
#include "net/client_core.h"
#include "net/h2_connection.h"

namespace rs::net {

class ClientSession : public std::enable_shared_from_this<ClientSession> {
 public:
  // only_http2: a server that does not choose "h2" is an error; otherwise get() gives null and keeps the stream in
  // other_protocol.
  ClientSession(std::shared_ptr<const ClientTarget> target, bool only_http2, Duration ping_timeout);
  ~ClientSession();
  awaitable<Result<std::shared_ptr<h2::Connection>>> get();
  std::unique_ptr<Stream> other_protocol;
  const std::shared_ptr<const ClientTarget> target;

 private:
  static awaitable<void> keep_alive(std::shared_ptr<h2::Connection> connection, Duration interval, Duration timeout);
  const bool only_http2_;
  const Duration ping_timeout_;
  bool connecting_ = false;
  async::Event changed_;
  std::shared_ptr<h2::Connection> connection_;
  async::TaskGroup tasks_;
};

}  // namespace rs::net
