// Lock and Election as a client meets them. Expected values: answers of etcd 3.4.23, and reference
// etcd-api.md A.10.
#include <gtest/gtest.h>

#include "store/etcd/client_messages.h"
#include "store/etcd/service.h"

namespace rs::store::etcd {
namespace {

using net::grpc::StatusCode;

// What became of a unary call; hang_up() is the client going away.
struct Outcome {
  std::string message;
  net::grpc::Status status;
  bool done = false, gone = false;
  std::function<void()> notice;
  void hang_up() {
    gone = true;
    if (notice) notice();
  }
  Fields fields() const { return decode_fields(message).value(); }
  Revision header_revision() const { return decode_fields(fields().text(1))->number(3); }
};

class TestResponder final : public net::grpc::UnaryResponder {
 public:
  explicit TestResponder(std::shared_ptr<Outcome> outcome) : outcome_(std::move(outcome)) {}
  void reply(std::string message) override {
    outcome_->message = std::move(message);
    outcome_->done = true;
  }
  void fail(net::grpc::Status status) override {
    outcome_->status = std::move(status);
    outcome_->done = true;
  }
  bool cancelled() const override { return outcome_->gone; }
  void on_drained(std::function<void()> callback) override {
    outcome_->notice = std::move(callback);
  }

 private:
  std::shared_ptr<Outcome> outcome_;
};

// A client of the Election.Observe stream.
class TestStream final : public net::grpc::ServerStream {
 public:
  TestStream(async::Loop& loop, std::string request)
      : request_(std::move(request)), sent_(loop, 100) {}
  const net::grpc::CallInfo& info() const override { return info_; }
  size_t unsent_bytes() const override { return 0; }
  awaitable<Result<std::optional<std::string>>> read() override {
    co_return std::exchange(request_, std::nullopt);
  }
  awaitable<Result<void>> write(std::shared_ptr<const std::string> message) override {
    EXPECT_TRUE(co_await sent_.push(*message));
    co_return Result<void>{};
  }
  // "value@revision" of the next answer.
  awaitable<std::string> next() {
    auto message = co_await sent_.pop();
    const Fields fields = decode_fields(*message).value();
    const Fields kv = decode_fields(fields.text(2)).value();
    co_return fmt::format("{}@{}", kv.text(5), decode_fields(fields.text(1))->number(3));
  }

 private:
  net::grpc::CallInfo info_;
  std::optional<std::string> request_;
  async::Channel<std::string> sent_;
};

class Fixture {
 public:
  Fixture(async::Loop& l, Embedded& s) : loop(l), store(s), service(l, s, {}) {}

  std::shared_ptr<Outcome> start(std::string path, std::string message, Duration timeout = {}) {
    auto outcome = std::make_shared<Outcome>();
    net::grpc::CallInfo info;
    if (timeout > Duration::zero()) info.deadline = loop.now() + timeout;
    auto* handler = service.methods().find_unary(path);
    EXPECT_NE(handler, nullptr) << path;
    handler->handler(info, message, std::make_unique<TestResponder>(outcome));
    return outcome;
  }
  std::shared_ptr<Outcome> lock(std::string_view name, LeaseId lease, Duration timeout = {}) {
    Writer out;
    out.bytes(1, name);
    out.number(2, uint64_t(lease));
    return start("/v3lockpb.Lock/Lock", out.take(), timeout);
  }
  std::shared_ptr<Outcome> unlock(std::string_view key) {
    Writer out;
    out.bytes(1, key);
    return start("/v3lockpb.Lock/Unlock", out.take());
  }
  std::shared_ptr<Outcome> election(std::string_view method, std::string message) {
    return start("/v3electionpb.Election/" + std::string(method), std::move(message));
  }
  std::shared_ptr<Outcome> campaign(std::string_view name, LeaseId lease, std::string_view value) {
    Writer out;
    out.bytes(1, name);
    out.number(2, uint64_t(lease));
    out.bytes(3, value);
    return election("Campaign", out.take());
  }
  // Until done(); fails the test when that takes too long.
  awaitable<void> until(std::function<bool()> done) {
    const MonoTime end = loop.now() + std::chrono::seconds(20);
    while (!done() && loop.now() < end) co_await loop.sleep(std::chrono::milliseconds(1));
    EXPECT_TRUE(done());
  }
  awaitable<void> finished(std::shared_ptr<Outcome> outcome) {
    co_await until([outcome] { return outcome->done; });
  }
  bool has(std::string_view key) { return store.try_range({.key = std::string(key)})->count == 1; }

  async::Loop& loop;
  Embedded& store;
  EtcdService service;
};

std::string leader_message(uint32_t field, std::string_view key, Revision revision, LeaseId lease,
                           std::string_view value = {}) {
  Writer out;
  out.message(field, [&](Writer& w) {
    w.bytes(1, "e");
    w.bytes(2, key);
    w.number(3, uint64_t(revision));
    w.number(4, uint64_t(lease));
  });
  out.bytes(2, value);
  return out.take();
}

class LockElectionTest : public ::testing::Test {
 protected:
  void run(std::function<awaitable<void>(Fixture&)> body) {
    async::SystemLoop loop;
    async::TaskGroup tasks(loop);
    tasks.spawn_fn("test", [&]() -> awaitable<void> {
      auto store = co_await Embedded::open(loop, {});
      EXPECT_TRUE(store.has_value());
      for (LeaseId id : {0x11, 0x12, 0x13}) (void)co_await (*store)->lease_grant(100, id);
      {
        Fixture fixture(loop, **store);
        co_await body(fixture);
        co_await fixture.service.stop();
      }
      co_await (*store)->close();
      loop.stop();
    });
    loop.run();
  }
};

TEST_F(LockElectionTest, TheFirstGetsTheLockAtOnceAndTheNextAfterItsUnlock) {
  run([](Fixture& f) -> awaitable<void> {
    auto first = f.lock("n", 0x11);
    co_await f.finished(first);
    EXPECT_EQ(first->fields().text(2), "n/11");
    EXPECT_EQ(first->header_revision(), 2);
    auto second = f.lock("n", 0x12);
    co_await f.until([&] { return f.has("n/12"); });
    auto third = f.lock("n", 0x13);
    co_await f.until([&] { return f.has("n/13"); });
    EXPECT_FALSE(second->done);
    co_await f.finished(f.unlock("n/11"));
    co_await f.finished(second);
    EXPECT_EQ(second->fields().text(2), "n/12");
    EXPECT_EQ(second->header_revision(), 5);
    EXPECT_FALSE(third->done);
    co_await f.finished(f.unlock("n/12"));
    co_await f.finished(third);
    EXPECT_EQ(third->fields().text(2), "n/13");
  });
}

TEST_F(LockElectionTest, ALeaseThatHasTheLockGetsItAgain) {
  run([](Fixture& f) -> awaitable<void> {
    co_await f.finished(f.lock("n", 0x11));
    auto again = f.lock("n", 0x11);
    co_await f.finished(again);
    EXPECT_EQ(again->fields().text(2), "n/11");
    EXPECT_EQ(f.store.revision(), 2);
  });
}

TEST_F(LockElectionTest, TheLockPassesOnWhenItsLeaseEnds) {
  run([](Fixture& f) -> awaitable<void> {
    (void)co_await f.store.lease_grant(1, 0x21);
    co_await f.finished(f.lock("n", 0x21));
    auto second = f.lock("n", 0x12);
    co_await f.finished(second);
    EXPECT_EQ(second->fields().text(2), "n/12");
  });
}

// jepsen-io's finding of 2020 (etcd-io/etcd#11456): who lost its lease while waiting was told that
// it holds the lock.
TEST_F(LockElectionTest, AWaiterWhoseLeaseEndsDoesNotGetTheLock) {
  run([](Fixture& f) -> awaitable<void> {
    co_await f.finished(f.lock("n", 0x11));
    auto second = f.lock("n", 0x12);
    co_await f.until([&] { return f.has("n/12"); });
    (void)co_await f.store.lease_revoke(0x12);
    co_await f.finished(f.unlock("n/11"));
    co_await f.finished(second);
    EXPECT_EQ(second->status.code, StatusCode::kUnknown);
    EXPECT_EQ(second->status.message, "mutex: session is expired");
  });
}

TEST_F(LockElectionTest, AWaiterWhoseClientLeavesOrWhoseTimeIsUpLeavesNoKey) {
  run([](Fixture& f) -> awaitable<void> {
    co_await f.finished(f.lock("n", 0x11));
    auto gone = f.lock("n", 0x12);
    auto late = f.lock("n", 0x13, std::chrono::milliseconds(50));
    auto nameless = f.lock("n", 0);
    co_await f.until(
        [&] { return f.store.try_range({.key = "n/", .range_end = "n0"})->count == 4; });
    EXPECT_EQ(f.store.try_leases().size(), 4u);
    gone->hang_up();
    nameless->hang_up();
    co_await f.until(
        [&] { return f.store.try_range({.key = "n/", .range_end = "n0"})->count == 1; });
    EXPECT_TRUE(f.has("n/11"));
    EXPECT_EQ(f.store.try_leases().size(), 3u)
        << "nobody knows the lease that was granted for the call";
    co_await f.finished(late);
    EXPECT_EQ(late->status.code, StatusCode::kDeadlineExceeded);
    EXPECT_EQ(late->status.message, "context deadline exceeded");
    auto next = f.lock("n", 0x13);
    co_await f.finished(f.unlock("n/11"));
    co_await f.finished(next);
    EXPECT_EQ(next->fields().text(2), "n/13");
  });
}

TEST_F(LockElectionTest, WithoutALeaseTheServerGrantsOneOfAMinute) {
  run([](Fixture& f) -> awaitable<void> {
    auto locked = f.lock("", 0);
    co_await f.finished(locked);
    std::string key(locked->fields().text(2));
    const LeaseId lease = f.store.try_range({.key = key})->kvs.at(0).lease;
    EXPECT_EQ(key, fmt::format("/{:x}", lease));
    EXPECT_EQ(f.store.try_time_to_live(lease, false).granted_ttl_seconds, 60);
  });
}

TEST_F(LockElectionTest, ErrorsAreEtcds) {
  run([](Fixture& f) -> awaitable<void> {
    struct {
      std::shared_ptr<Outcome> call;
      std::string_view message;
    } cases[] = {
        {f.lock("n", 999), "etcdserver: requested lease not found"},
        {f.unlock(""), "etcdserver: key is not provided"},
        {f.campaign("e", 999, "v"), "etcdserver: requested lease not found"},
        {f.election("Leader",
                    "\x0a\x01"
                    "e"),
         "election: no leader"},
        {f.election("Proclaim", ""), "\"leader\" field must be provided"},
        {f.election("Resign", ""), "\"leader\" field must be provided"},
        {f.election("Proclaim", leader_message(1, "e/9", 3, 0x11, "v")), "election: not leader"},
    };
    for (auto& [call, message] : cases) {
      co_await f.finished(call);
      EXPECT_EQ(call->status.code, StatusCode::kUnknown);
      EXPECT_EQ(call->status.message, message);
    }
    auto resigned = f.election("Resign", leader_message(1, "e/9", 3, 0x11));
    co_await f.finished(resigned);
    EXPECT_EQ(resigned->status.code, StatusCode::kOk);
    auto garbled = f.start("/v3lockpb.Lock/Lock", "\x0a\x7f");
    EXPECT_EQ(garbled->status.code, StatusCode::kInternal);
    EXPECT_EQ(f.store.revision(), 1);
  });
}

TEST_F(LockElectionTest, ObserversSeeEveryLeaderAndAllItProclaims) {
  run([](Fixture& f) -> awaitable<void> {
    async::TaskGroup tasks(f.loop);
    TestStream stream(f.loop,
                      "\x0a\x01"
                      "e");
    auto* observe = f.service.methods().find_streaming("/v3electionpb.Election/Observe");
    tasks.spawn_fn("observe", [&]() -> awaitable<void> { (void)co_await observe->handler(stream); });
    auto first = f.campaign("e", 0x11, "one");
    EXPECT_EQ(co_await stream.next(), "one@2");
    co_await f.finished(first);
    const Fields leader = decode_fields(first->fields().text(2)).value();
    EXPECT_EQ(leader.text(1), "e");
    EXPECT_EQ(leader.text(2), "e/11");
    EXPECT_EQ(leader.number(3), 2);
    EXPECT_EQ(leader.number(4), 0x11);
    auto second = f.campaign("e", 0x12, "two");
    co_await f.until([&] { return f.has("e/12"); });
    auto proclaimed = f.election("Proclaim", leader_message(1, "e/11", 2, 0x11, "uno"));
    co_await f.finished(proclaimed);
    EXPECT_EQ(proclaimed->header_revision(), 4);
    EXPECT_EQ(co_await stream.next(), "uno@4");
    EXPECT_FALSE(second->done);
    auto asked = f.election("Leader",
                            "\x0a\x01"
                            "e");
    co_await f.finished(asked);
    EXPECT_EQ(decode_fields(asked->fields().text(2))->text(5), "uno");
    co_await f.finished(f.election("Resign", leader_message(1, "e/11", 2, 0x11)));
    co_await f.finished(second);
    EXPECT_EQ(second->header_revision(), 3) << "of its entry, as etcd";
    EXPECT_EQ(co_await stream.next(), "two@5");
    (void)co_await f.store.lease_revoke(0x12);
    co_await f.finished(f.campaign("e", 0x13, "three"));
    EXPECT_EQ(co_await stream.next(), "three@7");
    co_await tasks.stop();
  });
}

TEST_F(LockElectionTest, CampaigningAgainProclaimsTheNewValue) {
  run([](Fixture& f) -> awaitable<void> {
    co_await f.finished(f.campaign("e", 0x11, "one"));
    auto again = f.campaign("e", 0x11, "other");
    co_await f.finished(again);
    EXPECT_EQ(decode_fields(again->fields().text(2))->number(3), 2);
    EXPECT_EQ(f.store.try_range({.key = "e/11"})->kvs.at(0).value, "other");
  });
}

TEST_F(LockElectionTest, ACandidateThatLostItsKeyIsNotTheLeader) {
  run([](Fixture& f) -> awaitable<void> {
    co_await f.finished(f.campaign("e", 0x11, "one"));
    auto second = f.campaign("e", 0x12, "two");
    co_await f.until([&] { return f.has("e/12"); });
    (void)co_await f.store.lease_revoke(0x12);
    co_await f.finished(second);
    EXPECT_EQ(second->status.message, "election: not leader");
  });
}

// Over a connection: the client's reset of the stream reaches the one who waits.
TEST_F(LockElectionTest, AClientThatResetsItsCallLeavesNoKey) {
  run([](Fixture& f) -> awaitable<void> {
    net::TcpNetwork network(f.loop);
    auto listener = network.listen({"127.0.0.1", 0});
    EXPECT_TRUE(listener.has_value());
    const net::Address address = (*listener)->local();
    net::grpc::Server server(f.loop, f.service.server_options());
    f.service.add_to(server);
    server.serve(std::move(*listener));
    co_await f.finished(f.lock("n", 0x11));
    {
      net::grpc::Client client(f.loop, network, address, {});
      std::string request =
          "\x0a\x01"
          "n\x10\x12";
      net::grpc::Status status;
      auto waiting = co_await client.call("/v3lockpb.Lock/Lock", request, {},
                                          std::chrono::milliseconds(100), &status);
      EXPECT_FALSE(waiting.has_value());
      co_await f.until([&] { return !f.has("n/12"); });
    }
    co_await server.stop(std::chrono::seconds(1));
  });
}

}  // namespace
}  // namespace rs::store::etcd
