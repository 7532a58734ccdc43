#include <gtest/gtest.h>

#include "async/event.h"
#include "async/task_group.h"
#include "sim/sim_disk.h"
#include "sim/sim_loop.h"
#include "sim/sim_network.h"

namespace rs::sim {
namespace {

using namespace std::chrono_literals;
using async::awaitable;

awaitable<void> tick(SimLoop& loop, Duration period, int id, std::string& trace) {
  for (int i = 0; i < 3; ++i) {
    co_await loop.sleep(period);
    trace += std::to_string(id);
  }
}

TEST(SimLoop, TimeJumpsToTheNextTimerInOrder) {
  SimClock clock;
  SimLoop loop(clock, 1);
  async::TaskGroup group(loop);
  std::string trace;
  group.spawn("slow", tick(loop, 1h, 1, trace));
  group.spawn("fast", tick(loop, 25min, 2, trace));
  EXPECT_TRUE(loop.run_until([&] { return group.size() == 0; }, 4h));
  EXPECT_EQ(trace, "221211");  // 25, 50, 60, 75, 120, 180 minutes
  EXPECT_EQ(rfc3339(clock.wall()), "2030-01-01T04:00:00Z");
}

awaitable<void> forever(SimLoop& loop) { co_await loop.sleep(1000h); }

awaitable<void> stop_group(async::TaskGroup& group) { co_await group.stop(); }

TEST(SimLoop, SleepCanBeCancelled) {
  SimClock clock;
  SimLoop loop(clock, 1);
  async::TaskGroup group(loop);
  group.spawn("sleeper", forever(loop));
  loop.run_for(1s);
  EXPECT_EQ(group.size(), 1u);
  EXPECT_TRUE(loop.run(stop_group(group), 1s));
  EXPECT_EQ(group.size(), 0u);
}

awaitable<void> echo_once(net::Listener& listener) {
  auto stream = co_await listener.accept();
  char buffer[64];
  while (stream) {
    auto count = co_await (*stream)->read(boost::asio::buffer(buffer));
    if (!count || *count == 0) co_return;
    if (!co_await (*stream)->write(std::string_view(buffer, *count))) co_return;
  }
}

awaitable<void> call(net::Network& network, net::Address address, std::string& answer) {
  auto stream = co_await network.connect(address, 1s);
  if (!stream) {
    answer = stream.error().message;
    co_return;
  }
  (void)co_await (*stream)->write(std::string_view("ping"));
  char buffer[64];
  auto count = co_await (*stream)->read(boost::asio::buffer(buffer));
  answer = count ? std::string(buffer, *count) : count.error().message;
}

TEST(SimNetwork, CarriesBytesAndHonoursPartitions) {
  SimClock clock;
  SimLoop loop(clock, 7);
  SimNetwork network(loop);
  auto listener = network.host("server").listen({"server", 80});
  ASSERT_TRUE(listener.has_value());
  async::TaskGroup group(loop);
  group.spawn("server", echo_once(**listener));
  std::string answer;
  ASSERT_TRUE(loop.run(call(network.host("client"), {"server", 80}, answer), 10s));
  EXPECT_EQ(answer, "ping");
  network.partition("client", "server");
  ASSERT_TRUE(loop.run(call(network.host("client"), {"server", 80}, answer), 10s));
  EXPECT_EQ(answer, "connect to server:80: no answer");
  loop.run(stop_group(group), 1s);
}

TEST(SimDisk, ForgetsWhatWasNotSynced) {
  Random random(3);
  SimDisk disk(random);
  ASSERT_TRUE(disk.append("log", "durable").has_value());
  ASSERT_TRUE(disk.sync("log").has_value());
  ASSERT_TRUE(disk.append("log", "-and-more").has_value());
  disk.crash();
  auto bytes = disk.read("log");
  EXPECT_EQ(bytes->substr(0, 7), "durable");
  EXPECT_LE(bytes->size(), 16u);
  disk.fail_writes(Code::kResourceExhausted);
  EXPECT_EQ(disk.append("log", "x").error().code, Code::kResourceExhausted);
}

}  // namespace
}  // namespace rs::sim
