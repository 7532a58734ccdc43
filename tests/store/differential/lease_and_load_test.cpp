// What random operations one after the other do not reach: leases that end, and many clients at
// once. Both servers go through the same at the same time; what they end with must be the same.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "base/log.h"
#include "session.h"
#include "store/etcd/client_messages.h"

namespace rs::store::differential {
namespace {

// The two servers, started and stopped around a scenario.
class BothTest : public ::testing::Test {
 protected:
  using Scenario = awaitable<std::vector<Answer>> (*)(async::Loop& loop, Session& session,
                                                      std::vector<Operation>& asked);

  // Runs scenario on both, and compares the answers it gives back, each to the operation it gives
  // for it.
  void compare(Scenario scenario) {
    etcd_ = make_etcd(loop_);
    if (etcd_ == nullptr) GTEST_SKIP() << "no etcd on this machine (Debian: etcd-server)";
    log::set_level(log::Level::kError);
    ours_ = make_ours(loop_, OurEngine::kRocks);
    async::asio::co_spawn(loop_.context(), go(scenario), [this](std::exception_ptr error) {
      loop_.stop();
      if (error) std::rethrow_exception(error);
    });
    loop_.run();
  }

 private:
  struct Side {
    std::vector<Operation> asked;
    std::vector<Answer> answers;
  };
  static awaitable<void> run(async::Loop& loop, Session& session, Scenario scenario, Side& side) {
    side.answers = co_await scenario(loop, session, side.asked);
  }
  awaitable<void> go(Scenario scenario) {
    for (Server* server : {etcd_.get(), ours_.get()}) {
      auto started = co_await server->start();
      EXPECT_TRUE(started.has_value()) << server->name();
      if (!started) co_return;
    }
    {
      Session etcd(loop_, *etcd_), ours(loop_, *ours_);
      Side expected, got;
      async::TaskGroup both(loop_);
      both.spawn("etcd", run(loop_, etcd, scenario, expected));
      both.spawn("ours", run(loop_, ours, scenario, got));
      co_await both.join();
      check(expected, got);
    }
    co_await ours_->stop();
    co_await etcd_->stop();
  }
  static void check(const Side& expected, const Side& got) {
    EXPECT_EQ(expected.answers.size(), got.answers.size());
    EXPECT_EQ(expected.answers.size(), expected.asked.size());
    if (expected.answers.size() != got.answers.size()) return;
    Allowed allowed;
    for (size_t i = 0; i < got.answers.size(); ++i) {
      auto text = difference(expected.asked[i], expected.answers[i], got.answers[i], allowed);
      EXPECT_FALSE(text.has_value()) << "answer " << i << ": " << *text;
    }
  }

  async::SystemLoop loop_;
  std::unique_ptr<Server> etcd_, ours_;
};

// Asks, and remembers both the question and the answer.
struct Log {
  Session& session;
  std::vector<Operation>& asked;
  std::vector<Answer> answers;

  awaitable<void> ask(Operation operation) {
    answers.push_back(co_await session.call(operation));
    asked.push_back(std::move(operation));
  }
  awaitable<void> keep_alive(LeaseId id) {
    answers.push_back(co_await session.keep_alive(id));
    Operation operation = make_grant(0, id);  // the answer has the fields of a grant's
    operation.method = "LeaseKeepAlive";
    asked.push_back(std::move(operation));
  }
};

awaitable<bool> gone(Session& session, const std::string& key) {
  Answer answer = co_await session.call(make_range({.key = key, .count_only = true}));
  auto range = etcd::decode_range_response(answer.body);
  co_return range && range->count == 0;
}

// Leases of 2 and 5 seconds, and one of 2 that is kept alive until the others are over (A.7).
awaitable<std::vector<Answer>> leases_end(async::Loop& loop, Session& session,
                                          std::vector<Operation>& asked) {
  Log log{session, asked, {}};
  co_await log.ask(make_grant(-3, 1));  // raised to the least there is
  co_await log.ask(make_grant(5, 2));
  co_await log.ask(make_grant(2, 3));
  co_await log.ask(make_grant(100, 4));
  for (const char* key : {"a1", "a2"})
    co_await log.ask(make_put({.key = key, .value = "x", .lease = 1}));
  for (const char* key : {"b2", "b1"})
    co_await log.ask(make_put({.key = key, .value = "y", .lease = 2}));
  co_await log.ask(make_put({.key = "kept", .lease = 3}));
  co_await log.ask(make_put({.key = "moved", .lease = 1}));
  co_await log.ask(make_put({.key = "moved", .lease = 4}));
  co_await log.ask(make_put({.key = "freed", .lease = 1}));
  co_await log.ask(make_put({.key = "freed"}));
  co_await log.ask(make_time_to_live(1, true));
  co_await log.keep_alive(3);
  co_await log.keep_alive(77);
  const MonoTime end = loop.now() + std::chrono::seconds(12);
  bool first = true;
  while (loop.now() < end) {
    // Keeping it alive in between is not compared: how often it happens is a matter of time.
    Answer kept = co_await session.keep_alive(3);
    auto lease = etcd::decode_lease_answer(kept.body);
    EXPECT_TRUE(lease && lease->ttl_seconds == 2)
        << session.server().name() << " lost a lease that was kept alive";
    if (first && co_await gone(session, "a1")) {
      first = false;
      co_await log.ask(
          make_range({.key = std::string(1, '\0'), .range_end = std::string(1, '\0')}));
      co_await log.ask(make_time_to_live(1, true));
      co_await log.keep_alive(1);
    }
    if (!first && co_await gone(session, "b1")) break;
    co_await loop.sleep(std::chrono::milliseconds(300));
  }
  co_await log.ask(make_range({.key = std::string(1, '\0'), .range_end = std::string(1, '\0')}));
  co_await log.ask(make_time_to_live(2, true));
  co_await log.ask(make_revoke(2));
  co_await log.ask(make_revoke(3));
  co_await log.ask(make_leases());
  co_return std::move(log.answers);
}

constexpr int kClients = 20, kIncrements = 15;

// Adds one to the counter as often as it is asked to, each time if nobody else was faster.
awaitable<void> count_up(Session& session, int& lost) {
  for (int done = 0; done < kIncrements;) {
    Answer answer = co_await session.call(make_range({.key = "counter"}));
    auto range = etcd::decode_range_response(answer.body);
    if (!range) {
      ADD_FAILURE() << session.server().name() << ": " << answer.status.message;
      co_return;
    }
    const int64_t value = range->kvs.empty() ? 0 : std::stoll(range->kvs[0].value);
    TxnRequest txn;
    txn.compares.push_back({.target = Compare::Target::kMod,
                            .key = "counter",
                            .number = range->kvs.empty() ? 0 : range->kvs[0].mod_revision});
    txn.success.push_back(PutRequest{.key = "counter", .value = std::to_string(value + 1)});
    txn.failure.push_back(RangeRequest{.key = "counter"});
    answer = co_await session.call(make_txn(txn));
    auto response = etcd::decode_txn_response(answer.body);
    if (!response) {
      ADD_FAILURE() << session.server().name() << ": " << answer.status.message;
      co_return;
    }
    if (response->succeeded) {
      ++done;
    } else {
      ++lost;
    }
  }
}

// Each increment makes one revision, so that what is left tells of every one, in whatever order
// they came.
awaitable<std::vector<Answer>> many_count(async::Loop& loop, Session& session,
                                          std::vector<Operation>& asked) {
  int lost = 0;
  std::vector<std::unique_ptr<Session>> sessions;
  async::TaskGroup clients(loop);
  for (int i = 0; i < kClients; ++i) {
    sessions.push_back(std::make_unique<Session>(loop, session.server()));
    clients.spawn("client", count_up(*sessions.back(), lost));
  }
  co_await clients.join();
  EXPECT_GT(lost, 0) << session.server().name() << ": the clients never met";
  Log log{session, asked, {}};
  co_await log.ask(make_range({.key = "counter"}));
  auto range = etcd::decode_range_response(log.answers.back().body);
  EXPECT_TRUE(range && range->kvs.size() == 1 &&
              range->kvs[0].value == std::to_string(kClients * kIncrements))
      << session.server().name();
  co_return std::move(log.answers);
}

TEST_F(BothTest, LeasesEndAndAreKeptAliveAlike) {
  compare(leases_end);
}
TEST_F(BothTest, ManyClientsCountToTheSame) {
  compare(many_count);
}

}  // namespace
}  // namespace rs::store::differential
