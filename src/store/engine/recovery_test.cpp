// Embedded on disk: what a restart finds, what it refuses, who may open. Expected values: reference etcd-api.md A.4, A.7, E.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/task_group.h"
#include "store/embedded_store.h"
#include "store/engine/rocks_engine.h"
#include "store/mvcc/record.h"

namespace rs::store {
namespace {

class RecoveryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "store_test.XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void run(std::function<awaitable<void>(async::Loop&)> body) {
    async::SystemLoop loop;
    async::TaskGroup tasks(loop);
    tasks.spawn_fn("test", [&]() -> awaitable<void> {
      co_await body(loop);
      loop.stop();
    });
    loop.run();
  }
  void with_store(std::function<awaitable<void>(Embedded&)> body) {
    run([&](async::Loop& loop) -> awaitable<void> {
      auto store = co_await Embedded::open(loop, {.directory = directory_});
      EXPECT_TRUE(store.has_value()) << store.error().message;
      if (!store) co_return;
      co_await body(**store);
      co_await (*store)->close();
    });
  }
  Error open_error() {
    Error error;
    run([&](async::Loop& loop) -> awaitable<void> {
      auto store = co_await Embedded::open(loop, {.directory = directory_});
      EXPECT_FALSE(store.has_value());
      if (!store) error = store.error();
    });
    return error;
  }
  // Changes the engine's bytes behind the store's back.
  void tamper(std::function<void(engine::Batch&)> change) {
    auto engine = engine::open_rocks_engine(directory_);
    ASSERT_TRUE(engine.has_value());
    engine::Batch batch;
    change(batch);
    ASSERT_TRUE((*engine)->write(batch, true).has_value());
  }

  std::filesystem::path directory_;
};

TEST_F(RecoveryTest, KeysLeasesRevisionAndIdentitySurvive) {
  Embedded::Identity identity;
  with_store([&](Embedded& store) -> awaitable<void> {
    identity = store.identity();
    (void)co_await store.lease_grant(600, 5);
    (void)co_await store.put({.key = "a", .value = "1", .lease = 5});
    (void)co_await store.put({.key = "b", .value = "2"});
    (void)co_await store.put({.key = "b", .value = "3"});
    (void)co_await store.delete_range({.key = "a"});
    (void)co_await store.put({.key = "a", .value = "4", .lease = 5});
  });
  with_store([&](Embedded& store) -> awaitable<void> {
    EXPECT_EQ(store.identity().cluster, identity.cluster);
    EXPECT_EQ(store.revision(), 6);
    auto range = co_await store.range({.key = "a", .range_end = "z"});
    EXPECT_EQ(range->kvs.at(0).value, "4");
    EXPECT_EQ(range->kvs.at(0).create_revision, 6);
    EXPECT_EQ(range->kvs.at(1).version, 2);
    auto old = co_await store.range({.key = "a", .revision = 2});
    EXPECT_EQ(old->kvs.at(0).value, "1");
    auto lease = co_await store.lease_time_to_live(5, true);
    EXPECT_EQ(lease->granted_ttl_seconds, 600);
    EXPECT_EQ(lease->keys, std::vector<std::string>{"a"});
    auto watcher = co_await store.watch({.key = "a", .start_revision = 2, .prev_kv = true});
    auto batch = co_await (*watcher)->next();
    EXPECT_EQ(batch->events.size(), 3u);
    EXPECT_EQ(batch->events.at(1)->prev_kv->value, "1");
  });
}

// etcd #17780: the revision decreased when everything was deleted, compacted, and the process killed.
TEST_F(RecoveryTest, RevisionNeverDecreasesAfterCompaction) {
  with_store([](Embedded& store) -> awaitable<void> {
    (void)co_await store.put({.key = "a", .value = "1"});
    (void)co_await store.delete_range({.key = "a"});
    (void)co_await store.put({.key = "b", .value = "1"});
    (void)co_await store.delete_range({.key = "b"});
    EXPECT_TRUE((co_await store.compact(5)).has_value());
  });
  with_store([](Embedded& store) -> awaitable<void> {
    EXPECT_EQ(store.revision(), 5);
    auto range = co_await store.range({.key = "a", .revision = 4});
    EXPECT_EQ(range.error().code, Code::kOutOfRange);
    co_return;
  });
}

TEST_F(RecoveryTest, SecondOpenerIsToldWhoHoldsTheDirectory) {
  with_store([this](Embedded&) -> awaitable<void> {
    auto second = engine::open_rocks_engine(directory_);
    EXPECT_EQ(second.error().code, Code::kAlreadyExists);
    EXPECT_THAT(second.error().message, ::testing::HasSubstr("is in use by process " + std::to_string(::getpid())));
    co_return;
  });
}

TEST_F(RecoveryTest, LostRecordIsRefusedLoudly) {
  with_store([](Embedded& store) -> awaitable<void> {
    for (int i = 0; i < 5; ++i) (void)co_await store.put({.key = "k" + std::to_string(i), .value = "v"});
  });
  tamper([](engine::Batch& batch) { mvcc::erase_record(batch, 4, 0, true); });
  Error error = open_error();
  EXPECT_EQ(error.code, Code::kDataLoss);
  EXPECT_THAT(error.message, ::testing::HasSubstr("revision 5/0 follows 3/0"));
}

TEST_F(RecoveryTest, LostLastRecordIsRefusedLoudly) {
  with_store([](Embedded& store) -> awaitable<void> {
    for (int i = 0; i < 5; ++i) (void)co_await store.put({.key = "k", .value = "v"});
  });
  tamper([](engine::Batch& batch) { mvcc::erase_record(batch, 6, 0, true); });
  EXPECT_EQ(open_error().code, Code::kDataLoss);
}

TEST_F(RecoveryTest, DamageInTheMiddleOfTheLogIsRefusedLoudly) {
  with_store([](Embedded& store) -> awaitable<void> {
    for (int i = 0; i < 200; ++i) (void)co_await store.put({.key = "key", .value = std::string(300, char('a' + i % 26))});
  });
  std::filesystem::path log;
  for (const auto& entry : std::filesystem::directory_iterator(directory_ / "db")) {
    if (entry.path().extension() == ".log" && (log.empty() || entry.file_size() > std::filesystem::file_size(log)))
      log = entry.path();
  }
  ASSERT_FALSE(log.empty());
  auto middle = std::streamoff(std::filesystem::file_size(log) / 2);
  std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(middle);
  file.write("\xff\x00\xff\x00", 4);
  file.close();
  EXPECT_EQ(open_error().code, Code::kDataLoss);
}

TEST_F(RecoveryTest, TornTailLosesOnlyWhatWasNotAcknowledged) {
  with_store([](Embedded& store) -> awaitable<void> {
    for (int i = 0; i < 20; ++i) (void)co_await store.put({.key = "key", .value = "v"});
  });
  std::filesystem::path log;
  for (const auto& entry : std::filesystem::directory_iterator(directory_ / "db")) {
    if (entry.path().extension() == ".log" && (log.empty() || entry.file_size() > std::filesystem::file_size(log)))
      log = entry.path();
  }
  std::filesystem::resize_file(log, std::filesystem::file_size(log) - 3);
  with_store([](Embedded& store) -> awaitable<void> {
    EXPECT_EQ(store.revision(), 20);  // the last group is torn, and gone as a whole
    co_return;
  });
}

// Sectors of one write reach the disk in any order. A power failure may leave the end of a large record without its
// beginning: nobody was promised it. The same place damaged, and not just missing, is refused.
TEST_F(RecoveryTest, LostSectorsOfALargeLastRecordAreForgiven) {
  for (bool missing : {true, false}) {
    std::filesystem::remove_all(directory_);
    auto largest_log = [this] {
      std::filesystem::path log;
      for (const auto& entry : std::filesystem::directory_iterator(directory_ / "db")) {
        if (entry.path().extension() == ".log" && (log.empty() || entry.file_size() > std::filesystem::file_size(log)))
          log = entry.path();
      }
      return log;
    };
    uintmax_t before = 0;
    with_store([&](Embedded& store) -> awaitable<void> {
      (void)co_await store.put({.key = "a", .value = "1"});
      before = std::filesystem::file_size(largest_log());
      (void)co_await store.put({.key = "a", .value = std::string(100'000, 'x')});
    });
    std::fstream file(largest_log(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(std::streamoff((before / 4096 + 1) * 4096));  // within the first of its four parts
    file << (missing ? std::string(4096, '\0') : std::string(4096, 'y'));
    file.close();
    if (!missing) {
      EXPECT_EQ(open_error().code, Code::kDataLoss);
      continue;
    }
    with_store([](Embedded& store) -> awaitable<void> {
      EXPECT_EQ(store.revision(), 2);
      EXPECT_EQ(store.try_range({.key = "a"})->kvs.at(0).value, "1");
      EXPECT_EQ((co_await store.put({.key = "a", .value = "2"}))->revision, 3);
    });
  }
}

}  // namespace
}  // namespace rs::store
