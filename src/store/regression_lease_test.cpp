// Checkpoints of leases: what is left of long ones survives restarts (etcd PR 13508: without them every restart gave the
// whole time again, and a row of restarts kept a lease alive for ever). Reference etcd-api.md A.7.
#include <gtest/gtest.h>

#include "async/task_group.h"
#include "store/embedded_store.h"
#include "store/engine/engine_testing.h"

namespace rs::store {
namespace {
using namespace std::chrono_literals;

using Ids = std::vector<LeaseId>;

Ids ids_of(const std::vector<mvcc::StoredLease>& leases) {
  Ids out;
  for (const auto& lease : leases) out.push_back(lease.id);
  return out;
}

TEST(LessorTest, LongLeasesAreDueForACheckpointEveryFiveMinutes) {
  mvcc::Lessor lessor;
  const MonoTime start{1h};
  lessor.grant(1, 300, start);  // no longer than the interval: it ends before a checkpoint would help
  lessor.grant(2, 1000, start);
  EXPECT_EQ(ids_of(lessor.checkpoints(start + 299s, 10)), Ids{});
  const auto first = lessor.checkpoints(start + 300s, 10);
  ASSERT_EQ(ids_of(first), Ids{2});
  EXPECT_EQ(first[0].ttl_seconds, 1000);
  EXPECT_EQ(first[0].remaining_seconds, 700);
  EXPECT_EQ(ids_of(lessor.checkpoints(start + 599s, 10)), Ids{});
  EXPECT_EQ(lessor.checkpoints(start + 600s, 10).at(0).remaining_seconds, 400);
  // From then on 100 s at the next time: still longer than the interval when it was planned.
  EXPECT_EQ(lessor.checkpoints(start + 900s, 10).at(0).remaining_seconds, 100);
  EXPECT_EQ(ids_of(lessor.checkpoints(start + 1200s, 10)), Ids{});
  // Renewed, it is long again.
  lessor.renew(*lessor.find(2), start + 1200s);
  EXPECT_EQ(lessor.checkpoints(start + 1500s, 10).at(0).remaining_seconds, 700);
  lessor.forget(2);
  EXPECT_EQ(ids_of(lessor.checkpoints(start + 9000s, 10)), Ids{});
}

TEST(LessorTest, CheckpointsComeInPortions) {
  mvcc::Lessor lessor;
  for (LeaseId id : {1, 2, 3}) lessor.grant(id, 1000, MonoTime{1h});
  EXPECT_EQ(lessor.checkpoints(MonoTime{1h + 301s}, 2).size(), 2u);
  EXPECT_EQ(lessor.checkpoints(MonoTime{1h + 301s}, 2).size(), 1u);
}

class RegressionOfLeases : public ::testing::Test {
 protected:
  using Body = std::function<awaitable<void>(async::Loop&, EmbeddedStore&)>;
  // A store over what the ones before it left on disk.
  void with_store(const Body& body) {
    async::SystemLoop loop;
    async::TaskGroup tasks(loop);
    tasks.spawn_fn("test", [&]() -> awaitable<void> {
      auto store = EmbeddedStore::make(loop, {}, journal_.engine_after(journal_.entries.size()), false);
      EXPECT_TRUE(store.has_value());
      if (store) {
        co_await body(loop, **store);
        co_await (*store)->close();
      }
      loop.stop();
    });
    loop.run();
  }
  engine::Journal journal_;
};

TEST_F(RegressionOfLeases, Etcd13508_RestartsDoNotKeepALeaseAliveForEver) {
  with_store([](async::Loop& loop, EmbeddedStore& store) -> awaitable<void> {
    (void)co_await store.lease_grant(1000, 5);
    // Five minutes ago, without waiting for them.
    const_cast<mvcc::Lessor&>(store.machine().lessor()).grant(5, 1000, loop.now() - 301s);
    while (store.machine().lessor().find(5)->checkpoint_seconds == 0) co_await loop.sleep(5ms);
  });
  with_store([](async::Loop&, EmbeddedStore& store) -> awaitable<void> {
    EXPECT_LE(store.try_time_to_live(5, false).remaining_ttl_seconds, 699);
    EXPECT_GE(store.try_time_to_live(5, false).remaining_ttl_seconds, 600);
    EXPECT_EQ(store.try_time_to_live(5, false).granted_ttl_seconds, 1000);
    EXPECT_EQ(*co_await store.lease_keep_alive(5), 1000);
  });
  // What a renewal gave, no restart takes back.
  with_store([](async::Loop&, EmbeddedStore& store) -> awaitable<void> {
    EXPECT_GE(store.try_time_to_live(5, false).remaining_ttl_seconds, 990);
    co_return;
  });
}

}  // namespace
}  // namespace rs::store
