// A client::Transport that calls the server directly: no sockets, no encoding beside the bodies. One loop.
#pragma once

#include "async/task_group.h"
#include "client/transport.h"
#include "server/user_info.h"

namespace rs::server {

template <class T>
using awaitable = async::awaitable<T>;

class InProcessTransport final : public client::Transport {
 public:
  using Serve = std::function<awaitable<void>(net::Request&, net::ResponseWriter&, const UserInfo&)>;
  InProcessTransport(async::Loop& loop, async::TaskGroup& tasks, Serve serve, UserInfo user);
  awaitable<Result<net::Response>> call(net::Request request, Duration timeout) override;
  // Dropping the stream cancels its request.
  awaitable<Result<std::unique_ptr<net::ResponseStream>>> stream(net::Request request, Duration timeout) override;

 private:
  async::Loop& loop_;
  async::TaskGroup& tasks_;
  std::shared_ptr<const Serve> serve_;
  std::shared_ptr<const UserInfo> user_;
};

}  // namespace rs::server
