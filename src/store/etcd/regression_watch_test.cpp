// One test for each bug of etcd's watches, named by the number of its issue (reference etcd-api.md
// C.2, A.6), against the Watch call itself: what a client of the stream reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/etcd/client_messages.h"
#include "store/etcd/service.h"

namespace rs::store::etcd {
namespace {

using Strings = std::vector<std::string>;

// A client of one Watch stream, which takes answers only while it reads.
class WatchClient final : public net::grpc::ServerStream {
 public:
  explicit WatchClient(async::Loop& loop)
      : loop_(loop), requests_(loop, 100), taken_(loop), answered_(loop) {}
  const net::grpc::CallInfo& info() const override { return info_; }
  size_t unsent_bytes() const override { return 0; }
  awaitable<Result<std::optional<std::string>>> read() override {
    co_return Result<std::optional<std::string>>(co_await requests_.pop());
  }
  awaitable<Result<void>> write(std::shared_ptr<const std::string> message) override {
    while (!reading) co_await taken_.wait();
    answers_.push_back(decode_watch_response(*message).value());
    answered_.notify();
    co_return Result<void>{};
  }

  void watch(WatchRequest request, bool progress_notify = false) {
    requests_.try_push(
        encode(WatchCreate{.request = std::move(request), .progress_notify = progress_notify}));
  }
  void ask_for_progress() { requests_.try_push(encode_watch_progress()); }
  void hang_up() { requests_.close(); }
  void take() {
    reading = true;
    taken_.notify();
  }
  // "created", "+key@revision", "-key@revision", "progress@revision", "compacted@revision", one
  // answer a text.
  awaitable<std::string> next() {
    const MonoTime end = loop_.now() + std::chrono::seconds(20);
    while (answers_.empty() && loop_.now() < end)
      co_await async::sleep_or_event(loop_, std::chrono::milliseconds(20), answered_);
    if (answers_.empty()) co_return "nothing";
    WatchResponse answer = std::move(answers_.front());
    answers_.pop_front();
    if (answer.created) co_return answer.canceled ? "refused" : "created";
    if (answer.canceled) co_return fmt::format("compacted@{}", answer.compact_revision);
    if (answer.events.empty()) co_return fmt::format("progress@{}", answer.revision);
    std::string out;
    for (const Event& event : answer.events)
      out += fmt::format("{}{}{}@{}", out.empty() ? "" : " ",
                         event.type == Event::Type::kPut ? "+" : "-", event.kv.key,
                         event.kv.mod_revision);
    co_return out;
  }
  awaitable<bool> silent(Duration time) {
    co_await loop_.sleep(time);
    co_return answers_.empty();
  }
  bool reading = true;

 private:
  async::Loop& loop_;
  net::grpc::CallInfo info_;
  async::Channel<std::string> requests_;
  std::deque<WatchResponse> answers_;
  async::Event taken_, answered_;
};

class Fixture {
 public:
  Fixture(async::Loop& l, Embedded& s, Duration progress)
      : loop(l), store(s), service(l, s, {.progress_notify_interval = progress}), tasks(l) {}
  // The client lives as long as the stream that is served.
  WatchClient* connect() {
    WatchClient* client = clients.emplace_back(std::make_unique<WatchClient>(loop)).get();
    auto* method = service.methods().find_streaming("/etcdserverpb.Watch/Watch");
    tasks.spawn_fn("watch", [method, client]() -> awaitable<void> {
      (void)co_await method->handler(*client);
    });
    return client;
  }
  awaitable<Revision> put(std::string key, std::string value = "v") {
    co_return (co_await store.put({.key = std::move(key), .value = std::move(value)}))->revision;
  }
  async::Loop& loop;
  Embedded& store;
  EtcdService service;
  std::vector<std::unique_ptr<WatchClient>> clients;
  async::TaskGroup tasks;
};

class RegressionOfWatch : public ::testing::Test {
 protected:
  static void run(std::function<awaitable<void>(Fixture&)> body,
                  Duration progress = std::chrono::minutes(10)) {
    async::SystemLoop loop;
    async::TaskGroup tasks(loop);
    tasks.spawn_fn("test", [&]() -> awaitable<void> {
      auto store = co_await Embedded::open(loop, {});
      {
        Fixture fixture(loop, **store, progress);
        co_await body(fixture);
        co_await fixture.tasks.stop();
        co_await fixture.service.stop();
      }
      co_await (*store)->close();
      loop.stop();
    });
    loop.run();
  }
};

// A progress mark overtook events that were on their way: a client that trusted it lost them.
TEST_F(RegressionOfWatch, Etcd15220_ProgressNeverOvertakesEvents) {
  run([](Fixture& f) -> awaitable<void> {
    auto client = f.connect();
    client->watch({.key = "a", .range_end = "z"});
    EXPECT_EQ(co_await client->next(), "created");
    client->reading = false;
    for (int i = 0; i < 50; ++i) {
      (void)co_await f.put("k");
      client->ask_for_progress();
      (void)co_await client->silent(std::chrono::nanoseconds(0));
    }
    client->take();
    Revision seen = 1;
    int marks = 0;
    while (seen < 51 || marks == 0) {
      std::string text = co_await client->next();
      EXPECT_NE(text, "nothing");
      if (text == "nothing") break;
      Revision at = std::stoll(text.substr(text.rfind('@') + 1));
      if (text.starts_with("progress")) {
        ++marks;
        EXPECT_LE(at, seen) << "a mark ahead of its events";
      } else {
        EXPECT_EQ(at, seen + 1);
        seen = at;
      }
    }
  });
}

// Nor while a watcher of the stream still reads history: what it has not been told yet would be
// lost.
TEST_F(RegressionOfWatch, Etcd15220_NoProgressBeforeHistoryIsTold) {
  run([](Fixture& f) -> awaitable<void> {
    constexpr Revision kNewest = 3001;  // three steps of history
    for (Revision revision = 2; revision <= kNewest; ++revision) (void)co_await f.put("a");
    auto client = f.connect();
    client->watch({.key = "a", .start_revision = 2});
    client->ask_for_progress();
    client->ask_for_progress();
    EXPECT_EQ(co_await client->next(), "created");
    Revision seen = 1;
    while (seen < kNewest) {
      std::string text = co_await client->next();
      EXPECT_TRUE(text.starts_with("+")) << text << " after revision " << seen;
      if (!text.starts_with("+")) break;
      seen = std::stoll(text.substr(text.rfind('@') + 1));
    }
    client->ask_for_progress();
    EXPECT_EQ(co_await client->next(), "progress@3001");
  });
}

// A manual request for progress was never answered.
TEST_F(RegressionOfWatch, Etcd17507_ProgressIsToldToEverySyncedStream) {
  run([](Fixture& f) -> awaitable<void> {
    (void)co_await f.put("a");
    auto client = f.connect();
    client->watch({.key = "a"});
    client->watch({.key = "b", .start_revision = 1});
    EXPECT_EQ(co_await client->next(), "created");
    EXPECT_EQ(co_await client->next(), "created");
    (void)co_await f.put("unwatched");
    for (int i = 0; i < 100; ++i) {
      client->ask_for_progress();
      if (!co_await client->silent(std::chrono::milliseconds(2))) break;
    }
    EXPECT_EQ(co_await client->next(), "progress@3");
  });
}

TEST_F(RegressionOfWatch, Etcd15220_PeriodicProgressComesToIdleWatchers) {
  run(
      [](Fixture& f) -> awaitable<void> {
        auto client = f.connect();
        client->watch({.key = "a"}, true);
        EXPECT_EQ(co_await client->next(), "created");
        (void)co_await f.put("b");
        std::string text;
        for (int i = 0; i < 3 && text != "progress@2" && text != "nothing"; ++i)
          text = co_await client->next();
        EXPECT_EQ(text, "progress@2");
        (void)co_await f.put("a");
        do text = co_await client->next();
        while (text == "progress@2");
        EXPECT_EQ(text, "+a@3");
      },
      std::chrono::milliseconds(100));
}

// A watcher whose client did not read for a while missed events.
TEST_F(RegressionOfWatch, Etcd17529_SlowWatcherLosesNothing) {
  run([](Fixture& f) -> awaitable<void> {
    auto client = f.connect();
    client->watch({.key = "a", .range_end = "z"});
    EXPECT_EQ(co_await client->next(), "created");
    client->reading = false;
    // 40 MB: ten times what the stream holds, and more than the history in memory.
    for (int i = 0; i < 400; ++i) (void)co_await f.put("k", std::string(100 << 10, 'x'));
    client->take();
    for (Revision revision = 2; revision <= 401;) {
      std::string text = co_await client->next();
      EXPECT_NE(text, "nothing");
      if (text == "nothing") break;
      for (size_t at = text.find('@'); at != std::string::npos;
           at = text.find('@', at + 1), ++revision)
        EXPECT_EQ(std::stoll(text.substr(at + 1)), revision);
    }
    (void)co_await f.put("k");
    EXPECT_EQ(co_await client->next(), "+k@402");
  });
}

// What the slow watcher needed next had been compacted: it went on after the hole and nobody was
// told.
TEST_F(RegressionOfWatch, Etcd17612_SlowWatcherBehindACompactionIsToldSo) {
  run([](Fixture& f) -> awaitable<void> {
    auto client = f.connect();
    client->watch({.key = "a", .range_end = "z"});
    EXPECT_EQ(co_await client->next(), "created");
    client->reading = false;
    for (int i = 0; i < 200; ++i) (void)co_await f.put("k", std::string(100 << 10, 'x'));
    EXPECT_TRUE((co_await f.store.compact(201)).has_value());
    client->take();
    Revision seen = 1;
    std::string text;
    while (true) {
      text = co_await client->next();
      if (!text.starts_with("+")) break;
      for (size_t at = text.find('@'); at != std::string::npos; at = text.find('@', at + 1)) {
        EXPECT_EQ(std::stoll(text.substr(at + 1)), seen + 1);
        ++seen;
      }
    }
    EXPECT_EQ(text, "compacted@201");
    EXPECT_LT(seen, 200);
    EXPECT_TRUE(co_await client->silent(std::chrono::milliseconds(20)));
  });
}

// A watch of the future was told of the past.
TEST_F(RegressionOfWatch, Etcd20221_WatchOfTheFutureTellsNothingBeforeIt) {
  run(
      [](Fixture& f) -> awaitable<void> {
        auto client = f.connect();
        client->watch({.key = "a", .start_revision = 5}, true);
        EXPECT_EQ(co_await client->next(), "created");
        for (int i = 0; i < 3; ++i) (void)co_await f.put("a");  // 2, 3, 4
        client->ask_for_progress();
        EXPECT_TRUE(co_await client->silent(std::chrono::milliseconds(250)))
            << co_await client->next();
        (void)co_await f.put("a");
        EXPECT_EQ(co_await client->next(), "+a@5");
        client->ask_for_progress();
        EXPECT_EQ(co_await client->next(), "progress@5");
      },
      std::chrono::milliseconds(100));
}

// Clients that resumed after the last revision they had seen were told it twice, or lost the next.
TEST_F(RegressionOfWatch, Etcd15274_ResumedWatchRepeatsAndSkipsNothing) {
  run([](Fixture& f) -> awaitable<void> {
    auto first = f.connect();
    first->watch({.key = "a", .range_end = "z"});
    EXPECT_EQ(co_await first->next(), "created");
    (void)co_await f.put("a");
    TxnRequest txn;
    for (const char* key : {"b", "c"})
      txn.success.emplace_back(PutRequest{.key = key, .value = "v"});
    (void)co_await f.store.txn(std::move(txn));
    EXPECT_EQ(co_await first->next(), "+a@2");
    first->hang_up();
    (void)co_await f.store.delete_range({.key = "a", .range_end = "c"});
    auto second = f.connect();
    second->watch({.key = "a", .range_end = "z", .start_revision = 3});
    EXPECT_EQ(co_await second->next(), "created");
    EXPECT_EQ(co_await second->next(), "+b@3 +c@3 -a@4 -b@4");
    (void)co_await f.put("d");
    EXPECT_EQ(co_await second->next(), "+d@5");
  });
}

// No event of a watcher may come before it was told that it exists, and answers come in the order
// of the requests.
TEST_F(RegressionOfWatch, Etcd15271_EventsComeAfterTheirWatchWasMadeAndNeverFromBeforeIt) {
  run([](Fixture& f) -> awaitable<void> {
    for (int i = 0; i < 5; ++i) (void)co_await f.put("a");
    auto client = f.connect();
    client->watch({.key = "a", .start_revision = 4});
    client->watch({.key = "a"});
    Strings seen;
    for (int i = 0; i < 3; ++i) seen.push_back(co_await client->next());
    EXPECT_THAT(seen, ::testing::UnorderedElementsAre("created", "created", "+a@4 +a@5 +a@6"));
    EXPECT_EQ(seen[0], "created");
    (void)co_await f.put("a");
    EXPECT_EQ(co_await client->next(), "+a@7");
    EXPECT_EQ(co_await client->next(), "+a@7");
    EXPECT_TRUE(co_await client->silent(std::chrono::milliseconds(20)));
  });
}

}  // namespace
}  // namespace rs::store::etcd
