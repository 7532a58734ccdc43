// A disk that fails: nothing is acknowledged that is not on it, the store turns read-only and says so, and goes on when
// the disk does. Expected errors: reference etcd-api.md A.8, A.11.
#include <gtest/gtest.h>

#include "async/task_group.h"
#include "store/embedded_store.h"

namespace rs::store {
namespace {

// Fails writes on demand; keeps nothing of a failed write.
class FaultyEngine final : public engine::Engine {
 public:
  Result<void> write(const engine::Batch& batch, bool sync) override {
    if (failure) return fail(*failure);
    return inner->write(batch, sync);
  }
  Result<std::optional<std::string>> get(std::string_view key) const override { return inner->get(key); }
  Result<void> scan(std::string_view from, std::string_view to,
                    const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    return inner->scan(from, to, [&](auto key, auto value) { return key == hidden || visit(key, value); });
  }
  int64_t bytes_on_disk() const override { return inner->bytes_on_disk(); }
  Result<void> resume() override {
    if (failure) return fail(*failure);
    return {};
  }
  std::unique_ptr<engine::Engine> inner = engine::make_memory_engine();
  std::optional<Error> failure;
  std::string hidden;  // key that a scan passes over
};

class FaultTest : public ::testing::Test {
 protected:
  void run(std::function<awaitable<void>(EmbeddedStore&, FaultyEngine&)> body, int64_t quota_bytes = 4000) {
    async::SystemLoop loop;
    loop_ = &loop;
    async::TaskGroup tasks(loop);
    tasks.spawn_fn("test", [&]() -> awaitable<void> {
      auto engine = std::make_unique<FaultyEngine>();
      FaultyEngine& faulty = *engine;
      auto store = EmbeddedStore::make(loop, {.quota_bytes = quota_bytes}, std::move(engine), false);
      co_await body(**store, faulty);
      co_await (*store)->close();
      loop.stop();
    });
    loop.run();
  }
  async::Loop* loop_ = nullptr;
};

TEST_F(FaultTest, FullDiskRaisesAlarmServesReadsAndGoesOnLater) {
  run([](EmbeddedStore& store, FaultyEngine& disk) -> awaitable<void> {
    (void)co_await store.lease_grant(100, 7);
    (void)co_await store.put({.key = "a", .value = "1", .lease = 7});
    disk.failure = Error{Code::kResourceExhausted, "no space left on device"};
    auto lost = co_await store.put({.key = "a", .value = "2"});
    EXPECT_EQ(lost.error().code, Code::kUnavailable);
    (void)co_await store.delete_range({.key = "a"});
    auto refused = co_await store.put({.key = "b", .value = "1"});
    EXPECT_EQ(refused.error().message, "etcdserver: mvcc: database space exceeded");
    auto read = co_await store.range({.key = "a", .range_end = "z"});
    EXPECT_EQ(read->kvs.at(0).value, "1");
    EXPECT_EQ(read->count, 1);
    EXPECT_EQ(read->revision, 2);
    EXPECT_EQ((co_await store.status())->alarms, std::vector<std::string>{"NOSPACE"});
    disk.failure.reset();
    std::optional<Result<Revision>> disarmed;
    store.submit_alarm(Alarm::kNoSpace, false, [&](Result<Revision> done) { disarmed = std::move(done); });
    auto again = co_await store.put({.key = "c", .value = "1"});
    EXPECT_TRUE(disarmed.has_value() && disarmed->has_value());
    EXPECT_EQ(again->revision, 3);
    EXPECT_EQ((co_await store.lease_time_to_live(7, true))->keys, std::vector<std::string>{"a"});
    EXPECT_EQ((co_await store.range({.key = "a", .range_end = "z"}))->count, 2);
  });
}

TEST_F(FaultTest, ACompactionThatTheDiskDidNotTakeIsNone) {
  run([](EmbeddedStore& store, FaultyEngine& disk) -> awaitable<void> {
    for (int i = 0; i < 3; ++i) (void)co_await store.put({.key = "a", .value = std::to_string(i)});
    disk.failure = Error{Code::kResourceExhausted, "no space left on device"};
    for (bool physical : {false, true}) {
      std::optional<Result<Revision>> compacted;
      store.submit_compact(3, physical, [&](Result<Revision> done) { compacted = std::move(done); });
      (void)co_await store.lease_keep_alive(1);  // is told once that is decided
      EXPECT_TRUE(compacted && !compacted->has_value());
    }
    EXPECT_EQ((co_await store.range({.key = "a", .revision = 2}))->kvs.at(0).value, "0");
    disk.failure.reset();
    store.submit_alarm(Alarm::kNoSpace, false, [](Result<Revision>) {});
    EXPECT_TRUE((co_await store.compact(3)).has_value());
    EXPECT_EQ((co_await store.range({.key = "a", .revision = 2})).error().code, Code::kOutOfRange);
  });
}

TEST_F(FaultTest, LeasesAreReadAsTheDiskHasThem) {
  run([](EmbeddedStore& store, FaultyEngine& disk) -> awaitable<void> {
    (void)co_await store.lease_grant(100, 7);
    disk.failure = Error{Code::kUnavailable, "input/output error"};
    std::optional<Error> failed;
    store.submit_revoke(7, [&](Result<Revision> done) { failed = done.error(); });
    auto meanwhile = co_await store.lease_time_to_live(7, true);
    EXPECT_EQ(meanwhile.error().message, "etcdserver: request timed out");
    EXPECT_TRUE(failed.has_value());
    auto after = co_await store.lease_time_to_live(7, true);
    EXPECT_EQ(after->granted_ttl_seconds, 100);
    EXPECT_EQ((co_await store.leases()).value(), std::vector<LeaseId>{7});
  });
}

TEST_F(FaultTest, BrokenDiskMakesTheStoreReadOnly) {
  run([](EmbeddedStore& store, FaultyEngine& disk) -> awaitable<void> {
    (void)co_await store.put({.key = "a", .value = "1"});
    disk.failure = Error{Code::kUnavailable, "input/output error"};
    (void)co_await store.put({.key = "a", .value = "2"});
    auto refused = co_await store.put({.key = "a", .value = "3"});
    EXPECT_EQ(refused.error().message, "etcdserver: corrupt cluster");
    // Reads go on, as etcd's do: what is durable is all that anybody was told.
    for (bool serializable : {false, true}) {
      auto read = co_await store.range({.key = "a", .serializable = serializable});
      EXPECT_TRUE(read.has_value()) << read.error().message;
      if (read) EXPECT_EQ(read->kvs.at(0).value, "1");
    }
    TxnRequest reading;
    reading.success.emplace_back(RangeRequest{.key = "a"});
    auto txn = co_await store.txn(reading);
    EXPECT_TRUE(txn.has_value()) << txn.error().message;
    EXPECT_EQ((co_await store.status())->alarms, std::vector<std::string>{"CORRUPT"});
  });
}

TEST_F(FaultTest, AWatcherIsToldThatHistoryHasAHole) {
  run([](EmbeddedStore& store, FaultyEngine& disk) -> awaitable<void> {
    // More than is kept in memory, so that history is read from the disk.
    for (int i = 0; i < 6; ++i)
      EXPECT_TRUE((co_await store.put({.key = std::to_string(i), .value = std::string(1 << 20, 'x')})).has_value());
    auto next = [&store](Revision start) -> awaitable<Result<WatchBatch>> {
      auto watcher = co_await store.watch({.key = "0", .range_end = "9", .start_revision = start});
      co_return co_await (*watcher)->next();
    };
    EXPECT_EQ((co_await next(2))->events.at(0)->kv.mod_revision, 2);
    disk.hidden = mvcc::record_key('i', 2, 0);
    EXPECT_EQ((co_await next(2)).error().code, Code::kDataLoss);
    EXPECT_TRUE((co_await next(3)).has_value());
    disk.hidden = mvcc::record_key('i', 3, 0);
    EXPECT_EQ((co_await next(3)).error().code, Code::kDataLoss);
  }, 100 << 20);
}

TEST_F(FaultTest, QuotaOnLiveBytesIsClearedByDeleteAndCompaction) {
  run([this](EmbeddedStore& store, FaultyEngine&) -> awaitable<void> {
    std::optional<Error> error;
    for (int i = 0; i < 20 && !error; ++i) {
      auto put = co_await store.put({.key = "k" + std::to_string(i), .value = std::string(1000, 'x')});
      if (!put) error = put.error();
    }
    EXPECT_TRUE(error && error->message == "etcdserver: mvcc: database space exceeded");
    auto deleted = co_await store.delete_range({.key = "k", .range_end = "l"});
    EXPECT_TRUE(deleted.has_value());
    std::optional<Result<Revision>> compacted;
    store.submit_compact(deleted->revision, true, [&](Result<Revision> done) { compacted = std::move(done); });
    while (!compacted || !(co_await store.status())->alarms.empty()) co_await loop_->sleep(std::chrono::milliseconds(1));
    auto put = co_await store.put({.key = "a", .value = "1"});
    EXPECT_TRUE(put.has_value());
  });
}

}  // namespace
}  // namespace rs::store
