// Embedded in memory through the Store interface. Expected values: reference etcd-api.md A.4 to A.7.
#include "store/embedded.h"

#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include "async/task_group.h"

namespace rs::store {
namespace {

class EmbeddedTest : public ::testing::Test {
 protected:
  // Runs body on a loop to its end.
  void run(std::function<awaitable<void>(async::Loop&, Embedded&)> body) {
    async::SystemLoop loop;
    async::TaskGroup tasks(loop);
    tasks.spawn_fn("test", [&]() -> awaitable<void> {
      auto store = co_await Embedded::open(loop, {});
      EXPECT_TRUE(store.has_value());
      co_await body(loop, **store);
      co_await (*store)->close();
      loop.stop();
    });
    loop.run();
  }
};

TEST_F(EmbeddedTest, FirstWriteMakesRevisionTwo) {
  run([](async::Loop&, Embedded& store) -> awaitable<void> {
    auto put = co_await store.put({.key = "a", .value = "1"});
    EXPECT_TRUE(put.has_value());
    EXPECT_EQ(put->revision, 2);
    auto range = co_await store.range({.key = "a"});
    EXPECT_EQ(range->revision, 2);
    EXPECT_EQ(range->count, 1);
    EXPECT_EQ(range->kvs.at(0).value, "1");
    EXPECT_EQ(range->kvs.at(0).create_revision, 2);
    EXPECT_EQ(range->kvs.at(0).version, 1);
  });
}

TEST_F(EmbeddedTest, WatchTellsHistoryThenLiveThenProgress) {
  run([](async::Loop&, Embedded& store) -> awaitable<void> {
    (void)co_await store.put({.key = "p/a", .value = "1"});
    (void)co_await store.put({.key = "q", .value = "other"});
    (void)co_await store.put({.key = "p/a", .value = "2"});
    auto watcher = co_await store.watch({.key = "p/", .range_end = prefix_end("p/"), .start_revision = 2, .prev_kv = true});
    auto batch = co_await (*watcher)->next();
    EXPECT_EQ(batch->events.size(), 2u);
    EXPECT_EQ(batch->revision, 4);
    EXPECT_EQ(batch->events.at(1)->prev_kv->value, "1");
    (void)co_await store.delete_range({.key = "p/a"});
    batch = co_await (*watcher)->next();
    EXPECT_EQ(batch->revision, 5);
    EXPECT_EQ(batch->events.at(0)->type, Event::Type::kDelete);
    EXPECT_EQ(batch->events.at(0)->prev_kv->value, "2");
    (void)co_await store.put({.key = "q", .value = "other"});
    batch = co_await (*watcher)->next();
    EXPECT_TRUE(batch->events.empty());
    EXPECT_EQ(batch->revision, 6);
  });
}

TEST_F(EmbeddedTest, WatchFromCompactedRevisionEnds) {
  run([](async::Loop&, Embedded& store) -> awaitable<void> {
    for (int i = 0; i < 4; ++i) (void)co_await store.put({.key = "a", .value = std::to_string(i)});
    EXPECT_TRUE((co_await store.compact(4)).has_value());
    auto watcher = co_await store.watch({.key = "a", .start_revision = 2});
    auto batch = co_await (*watcher)->next();
    EXPECT_FALSE(batch.has_value());
    EXPECT_EQ(batch.error().code, Code::kOutOfRange);
    EXPECT_EQ(batch.error().message, "etcdserver: mvcc: required revision has been compacted");
    auto old = co_await store.range({.key = "a", .revision = 3});
    EXPECT_EQ(old.error().message, "etcdserver: mvcc: required revision has been compacted");
    auto future = co_await store.range({.key = "a", .revision = 30});
    EXPECT_EQ(future.error().message, "etcdserver: mvcc: required revision is a future revision");
  });
}

TEST_F(EmbeddedTest, SlowWatcherFallsBackToHistoryAndLosesNothing) {
  run([](async::Loop&, Embedded& store) -> awaitable<void> {
    auto watcher = co_await store.watch({.key = "k"});
    constexpr int kWrites = 10'000;
    for (int i = 0; i < kWrites; ++i) (void)co_await store.put({.key = "k", .value = std::to_string(i)});
    Revision expected = 2;
    while (expected < 2 + kWrites) {
      auto batch = co_await (*watcher)->next();
      EXPECT_TRUE(batch.has_value());
      for (const auto& event : batch->events) EXPECT_EQ(event->kv.mod_revision, expected++);
    }
  });
}

TEST_F(EmbeddedTest, RevokedLeaseDeletesItsKeysInOneRevision) {
  run([](async::Loop&, Embedded& store) -> awaitable<void> {
    auto lease = co_await store.lease_grant(100, 7);
    EXPECT_EQ(lease->id, 7);
    (void)co_await store.put({.key = "b", .value = "1", .lease = 7});
    (void)co_await store.put({.key = "a", .value = "1", .lease = 7});
    auto info = co_await store.lease_time_to_live(7, true);
    EXPECT_EQ(info->keys, (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE((co_await store.lease_revoke(7)).has_value());
    auto range = co_await store.range({.key = "a", .range_end = "z"});
    EXPECT_EQ(range->count, 0);
    EXPECT_EQ(range->revision, 4);
    auto unknown = co_await store.put({.key = "a", .value = "1", .lease = 7});
    EXPECT_EQ(unknown.error().message, "etcdserver: requested lease not found");
  });
}

// Otherwise a crash could take back what a client was told.
TEST_F(EmbeddedTest, NobodyIsRefusedARevisionBeforeItsCompactionIsOnDisk) {
  run([](async::Loop&, Embedded& store) -> awaitable<void> {
    for (int i = 0; i < 4; ++i) (void)co_await store.put({.key = "a", .value = std::to_string(i)});
    std::optional<Result<Revision>> compacted, again;
    store.submit_compact(4, false, [&](Result<Revision> done) { compacted = std::move(done); });
    store.submit_compact(3, false, [&](Result<Revision> done) { again = std::move(done); });
    EXPECT_FALSE(compacted || again);
    EXPECT_EQ(store.try_range({.key = "a", .revision = 2})->kvs.at(0).value, "0");
    (void)co_await store.put({.key = "a", .value = "4"});
    EXPECT_TRUE(compacted && compacted->has_value());
    EXPECT_EQ(again->error().message, "etcdserver: mvcc: required revision has been compacted");
    EXPECT_EQ(store.try_range({.key = "a", .revision = 2}).error().code, Code::kOutOfRange);
  });
}

// Of a lease, its end, and its keys: told only once they are on disk, like everything else.
TEST_F(EmbeddedTest, NobodyReadsALeaseThatIsNotOnDiskYet) {
  run([](async::Loop&, Embedded& store) -> awaitable<void> {
    bool durable = false, told = false;
    store.submit_grant(100, 7, [&](Result<LeaseGrant>) { durable = true; });
    store.submit_leases([&](Result<std::vector<LeaseId>> leases) {
      EXPECT_TRUE(durable);
      EXPECT_EQ(*leases, std::vector<LeaseId>{7});
      told = true;
    });
    EXPECT_FALSE(told);
    EXPECT_EQ(*co_await store.lease_keep_alive(7), 100);
    EXPECT_TRUE(told);
    durable = false;
    store.submit(PutRequest{.key = "a", .value = "1", .lease = 7}, [&](Result<PutResponse>) { durable = true; });
    auto attached = co_await store.lease_time_to_live(7, true);
    EXPECT_TRUE(durable);
    EXPECT_EQ(attached->keys, std::vector<std::string>{"a"});
    durable = false;
    store.submit_revoke(7, [&](Result<Revision>) { durable = true; });
    EXPECT_EQ((co_await store.lease_keep_alive(7)).error().code, Code::kNotFound);
    EXPECT_TRUE(durable);
  });
}

// What a compaction has dropped, but not erased yet, counts as little as what is gone: the sum is the same whenever it is
// asked for.
TEST_F(EmbeddedTest, HashIsTheSameWhileACompactionErasesAndAfterIt) {
  run([](async::Loop& loop, Embedded& store) -> awaitable<void> {
    constexpr int kVersions = 30'000;  // many groups of erasures
    Revision newest = 0;
    for (int i = 0; i < kVersions; ++i) newest = (co_await store.put({.key = "k", .value = "v"}))->revision;
    bool compacted = false;
    store.submit_compact(newest, true, [&](Result<Revision> done) { compacted = done.has_value(); });
    while (store.try_status().compact_revision < newest) co_await loop.sleep(std::chrono::milliseconds(1));
    std::vector<uint32_t> meanwhile;
    while (!compacted) {
      auto hash = co_await store.hash_kv(0);
      EXPECT_TRUE(hash.has_value());
      if (hash) meanwhile.push_back(hash->hash);
    }
    auto after = co_await store.hash_kv(0);
    EXPECT_TRUE(after.has_value());
    for (uint32_t hash : meanwhile) EXPECT_EQ(hash, after->hash);
  });
}

}  // namespace
}  // namespace rs::store
