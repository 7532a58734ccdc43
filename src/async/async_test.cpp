#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "async/event.h"
#include "async/loop.h"
#include "async/task_group.h"

namespace rs::async {
namespace {

awaitable<void> sleep_long(Loop& loop, bool& ended) {
  struct Mark {
    bool& flag;
    ~Mark() { flag = true; }
  } mark{ended};
  co_await loop.sleep(1h);
}

awaitable<void> run_and_stop(SystemLoop& loop, awaitable<void> body) {
  co_await std::move(body);
  loop.stop();
}

void run(SystemLoop& loop, awaitable<void> body) {
  asio::co_spawn(loop.context(), run_and_stop(loop, std::move(body)), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  loop.run();
}

awaitable<void> stop_ends_sleepers(SystemLoop& loop, bool& ended) {
  TaskGroup group(loop);
  group.spawn("sleeper", sleep_long(loop, ended));
  co_await loop.sleep(1ms);
  EXPECT_EQ(group.size(), 1u);
  co_await group.stop();
  EXPECT_EQ(group.size(), 0u);
  bool late_ended = false;
  group.spawn("late", sleep_long(loop, late_ended));
  co_await group.join();
  EXPECT_TRUE(late_ended);
}

TEST(TaskGroup, StopCancelsAndWaits) {
  SystemLoop loop;
  bool ended = false;
  run(loop, stop_ends_sleepers(loop, ended));
  EXPECT_TRUE(ended);
}

awaitable<Result<int>> slow_answer(Loop& loop, Duration delay) {
  co_await loop.sleep(delay);
  co_return 42;
}

awaitable<void> wait_long(Loop& loop) { (void)co_await with_timeout(loop, 1h, "long", slow_answer(loop, 2h)); }

awaitable<void> cancelled_inside(SystemLoop& loop) {
  TaskGroup group(loop);
  Event event(loop);
  group.spawn("timeout", wait_long(loop));
  group.spawn("event", sleep_or_event(loop, 1h, event));
  co_await loop.sleep(1ms);
  co_await group.stop();
}

TEST(WithTimeout, CancellationPassesThrough) {
  SystemLoop loop;
  run(loop, cancelled_inside(loop));
}

awaitable<void> timeouts(SystemLoop& loop) {
  auto fast = co_await with_timeout(loop, 10s, "fast", slow_answer(loop, 1ms));
  EXPECT_EQ(fast.value(), 42);
  auto slow = co_await with_timeout(loop, 5ms, "slow", slow_answer(loop, 1h));
  EXPECT_FALSE(slow.has_value());
  if (!slow) {
    EXPECT_EQ(slow.error().code, Code::kTimeout);
    EXPECT_EQ(slow.error().message, "slow: no answer within 5 ms");
  }
}

TEST(WithTimeout, GivesTheResultOrTimeout) {
  SystemLoop loop;
  run(loop, timeouts(loop));
}

awaitable<void> produce(Channel<int>& channel) {
  for (int i = 0; i < 10; ++i) co_await channel.push(i);
  channel.close();
}

awaitable<void> channel_in_order(SystemLoop& loop) {
  Channel<int> channel(loop, 2);
  TaskGroup group(loop);
  group.spawn("producer", produce(channel));
  int expected = 0;
  while (auto value = co_await channel.pop()) EXPECT_EQ(*value, expected++);
  EXPECT_EQ(expected, 10);
  co_await group.join();
}

TEST(Channel, BoundedAndInOrder) {
  SystemLoop loop;
  run(loop, channel_in_order(loop));
}

}  // namespace
}  // namespace rs::async
