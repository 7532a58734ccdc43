// kill -9 at any moment loses nothing that was acknowledged, and shows no half of a transaction. A child writes and tells
// each acknowledgement through a pipe; the parent kills it, opens the directory, and compares. RS_CRASH_ROUNDS sets how
// often (default 8), RS_CRASH_SEED where it starts.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include <gtest/gtest.h>

#include "async/task_group.h"
#include "store/embedded.h"

namespace rs::store {
namespace {

constexpr int kWriters = 20;

struct Ack {
  int32_t writer;
  int32_t number;      // of the writer's n-th transaction
  Revision revision;
};

std::string key_of(char side, int writer) { return fmt::format("{}{:02}", side, writer); }

// Each writer puts n = 1, 2, 3, … into two keys at once; now and then the store is compacted.
class Writer {
 public:
  Writer(async::Loop& loop, Embedded& store, int pipe) : loop_(loop), store_(store), pipe_(pipe) {}

  void start(int writer, int number) {
    TxnRequest txn;
    for (char side : {'a', 'b'})
      txn.success.emplace_back(PutRequest{.key = key_of(side, writer), .value = std::to_string(number), .lease = 77});
    store_.submit(std::move(txn), [this, writer, number](Result<TxnResponse> done) {
      if (!done) ::_exit(3);
      Ack ack{writer, number, done->revision};
      if (::write(pipe_, &ack, sizeof ack) != sizeof ack) ::_exit(4);
      if (loop_.random().below(200) == 0)
        store_.submit_compact(done->revision - 10, false, [](Result<Revision>) {});
      start(writer, number + 1);
    });
  }

 private:
  async::Loop& loop_;
  Embedded& store_;
  int pipe_;
};

[[noreturn]] void be_child(const std::filesystem::path& directory, int pipe) {
  async::SystemLoop loop;
  async::TaskGroup tasks(loop);
  std::unique_ptr<Embedded> store;
  std::unique_ptr<Writer> writer;
  tasks.spawn_fn("child", [&]() -> awaitable<void> {
    auto opened = co_await Embedded::open(loop, {.directory = directory});
    if (!opened) ::_exit(2);
    store = std::move(*opened);
    (void)co_await store->lease_grant(1000, 77);
    writer = std::make_unique<Writer>(loop, *store, pipe);
    for (int i = 0; i < kWriters; ++i) {
      auto range = store->try_range({.key = key_of('a', i)});
      writer->start(i, range->kvs.empty() ? 1 : std::stoi(range->kvs[0].value) + 1);
    }
  });
  loop.run();
  ::_exit(5);
}

class CrashTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "store_crash.XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // Lets a child write until it has acknowledged a number of transactions, then kills it.
  void write_and_kill(size_t acknowledgements) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(pipe[0]);
      be_child(directory_, pipe[1]);
    }
    ::close(pipe[1]);
    Ack ack;
    size_t seen = 0;
    while (::read(pipe[0], &ack, sizeof ack) == sizeof ack) {
      acknowledged_[ack.writer] = ack;
      if (++seen == acknowledgements) ::kill(child, SIGKILL);
    }
    ::close(pipe[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
  }

  void check() {
    async::SystemLoop loop;
    async::TaskGroup tasks(loop);
    tasks.spawn_fn("check", [&]() -> awaitable<void> {
      auto store = co_await Embedded::open(loop, {.directory = directory_});
      EXPECT_TRUE(store.has_value()) << store.error().message;
      if (store) {
        compare(**store);
        co_await (*store)->close();
      }
      loop.stop();
    });
    loop.run();
  }

  void compare(Embedded& store) {
    EXPECT_GE(store.revision(), last_revision_);
    for (const auto& [writer, ack] : acknowledged_) {
      auto a = store.try_range({.key = key_of('a', writer)}), b = store.try_range({.key = key_of('b', writer)});
      ASSERT_EQ(a->kvs.size(), 1u);
      ASSERT_EQ(b->kvs.size(), 1u);
      EXPECT_EQ(a->kvs[0].value, b->kvs[0].value) << "half a transaction";
      EXPECT_EQ(a->kvs[0].mod_revision, b->kvs[0].mod_revision);
      int found = std::stoi(a->kvs[0].value);
      EXPECT_GE(found, ack.number) << "an acknowledged write is lost";
      EXPECT_LE(found, ack.number + 1) << "a write that was never asked for";
      if (found == ack.number) EXPECT_EQ(a->kvs[0].mod_revision, ack.revision);
      EXPECT_EQ(a->kvs[0].version, found);
    }
    EXPECT_EQ(store.try_time_to_live(77, true).keys.size(), size_t(2 * kWriters));
    last_revision_ = store.revision();
  }

  std::filesystem::path directory_;
  std::map<int, Ack> acknowledged_;
  Revision last_revision_ = 0;
};

int from_environment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::atoi(text) : otherwise;
}

TEST_F(CrashTest, KillNineLosesNothingAcknowledged) {
  int rounds = from_environment("RS_CRASH_ROUNDS", 8);
  auto seed = uint64_t(from_environment("RS_CRASH_SEED", 1));
  Random random(seed);
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(fmt::format("seed {} round {}", seed, round));
    write_and_kill(size_t(random.between(kWriters, 800)));
    check();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace rs::store
