// Helpers of this room's tests.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "net/http.h"

namespace rs::net {

inline awaitable<void> stop_after(async::SystemLoop& loop, awaitable<void> body, bool& done) {
  co_await std::move(body);
  done = true;
  loop.stop();
}

// Runs body to its end on the loop; fails the test when it takes longer than a minute.
inline void run(async::SystemLoop& loop, awaitable<void> body) {
  bool done = false;
  asio::co_spawn(loop.context(), stop_after(loop, std::move(body), done), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  loop.context().run_for(std::chrono::seconds(60));
  EXPECT_TRUE(done) << "the test hangs";
}

inline const Address kAnyPort{"127.0.0.1", 0};

// Sends bytes as they are and reads until the peer closes, or until `until` was seen.
inline awaitable<std::string> raw_exchange(Network& network, Address address, std::string bytes, std::string until = {}) {
  auto stream = co_await network.connect(address, std::chrono::seconds(5));
  if (!stream) co_return "no connection: " + stream.error().message;
  (void)co_await (*stream)->write(std::string_view(bytes));
  std::string out;
  char buffer[4096];
  for (;;) {
    auto count = co_await (*stream)->read(asio::buffer(buffer));
    if (!count || *count == 0) break;
    out.append(buffer, *count);
    if (!until.empty() && out.find(until) != std::string::npos) break;
  }
  co_return out;
}

}  // namespace rs::net
