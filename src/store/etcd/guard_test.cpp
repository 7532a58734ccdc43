// Every method there is, asked by nobody while authentication is on: a new one that forgets to ask
// is found here.
#include "store/etcd/guard.h"

#include <set>

#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>

#include "store/auth/changes.h"
#include "store/etcd/client_messages.h"
#include "store/etcd/service.h"
#include "store/mvcc/machine.h"

namespace rs::store::etcd {
namespace {

using net::grpc::StatusCode;

// What a call got; shared, because some are answered later.
struct Outcome {
  bool answered = false;
  net::grpc::Status status;
};

class TestResponder final : public net::grpc::UnaryResponder {
 public:
  explicit TestResponder(std::shared_ptr<Outcome> outcome) : outcome_(std::move(outcome)) {}
  void reply(std::string) override { *outcome_ = {true, {}}; }
  void fail(net::grpc::Status status) override { *outcome_ = {true, std::move(status)}; }
  bool cancelled() const override { return false; }

 private:
  std::shared_ptr<Outcome> outcome_;
};

// A client that says one thing, and goes when it was answered.
class TestStream final : public net::grpc::ServerStream {
 public:
  TestStream(async::Loop& loop, net::grpc::CallInfo info, std::string message)
      : loop_(loop), info_(std::move(info)), message_(std::move(message)) {}
  const net::grpc::CallInfo& info() const override { return info_; }
  awaitable<Result<std::optional<std::string>>> read() override {
    while (!message_ && written.empty()) co_await loop_.sleep(std::chrono::milliseconds(1));
    co_return std::exchange(message_, std::nullopt);
  }
  awaitable<Result<void>> write(std::shared_ptr<const std::string> message) override {
    written.push_back(*message);
    co_return Result<void>{};
  }
  size_t unsent_bytes() const override { return 0; }
  std::vector<std::string> written;

 private:
  async::Loop& loop_;
  net::grpc::CallInfo info_;
  std::optional<std::string> message_;
};

auth::State enabled_state() {
  auth::State state;
  EXPECT_TRUE(auth::add_user(state, {"root", "hash"}));
  EXPECT_TRUE(auth::grant_role(state, "root", "root"));
  EXPECT_TRUE(auth::add_user(state, {"bob", "hash"}));
  EXPECT_TRUE(auth::enable(state));
  return state;
}

awaitable<void> keep(Embedded& store, async::Loop& loop, std::string note) {
  bool done = false;
  store.submit_note(std::string(auth::kNote), std::move(note), [&](Result<Revision> written) {
    EXPECT_TRUE(written.has_value());
    done = true;
  });
  while (!done) co_await loop.sleep(std::chrono::milliseconds(1));
}

void run(awaitable<void> (*body)(async::Loop& loop, Embedded& store)) {
  async::SystemLoop loop;
  async::TaskGroup tasks(loop);
  tasks.spawn_fn("test", [&]() -> awaitable<void> {
    auto store = co_await Embedded::open(loop, {});
    co_await body(loop, **store);
    co_await (*store)->close();
    loop.stop();
  });
  loop.run();
}

// Who calls: nobody, with a token that is not good, or a user without roles by the name in a
// certificate.
net::grpc::CallInfo caller(std::string_view who) {
  net::grpc::CallInfo info;
  if (who == "stranger") info.metadata.add("token", "abc.1");
  if (who == "bob")
    info.certificate =
        std::make_shared<const net::PeerCertificate>(net::PeerCertificate{"bob", {}, {}, {}});
  return info;
}

// A request that is well formed, so that it is refused for its caller.
std::string request_of(std::string_view path) {
  if (path.ends_with("/Range") || path.ends_with("/RangeStream"))
    return encode(RangeRequest{.key = "k"});
  if (path.ends_with("KV/Put")) return encode(PutRequest{.key = "k"});
  if (path.ends_with("/DeleteRange")) return encode(DeleteRangeRequest{.key = "k"});
  if (path.ends_with("/Txn")) return encode(TxnRequest{.success = {PutRequest{.key = "k"}}});
  if (path == "/etcdserverpb.Watch/Watch") return encode(WatchCreate{.request = {.key = "k"}});
  if (path.starts_with("/v3electionpb.Election/Resign") ||
      path.starts_with("/v3electionpb.Election/Proclaim")) {
    Writer out;
    out.message(1, [](Writer& leader) { leader.bytes(2, "k"); });
    return out.take();
  }
  return {};
}

const std::set<std::string, std::less<>> kForEverybody = {"/grpc.health.v1.Health/Check",
                                                          "/grpc.health.v1.Health/Watch",
                                                          "/etcdserverpb.Auth/Authenticate"};
const std::set<std::string, std::less<>> kForUsers = {
    "/etcdserverpb.Cluster/MemberList",   "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Maintenance/Alarm",    "/etcdserverpb.Lease/LeaseGrant",
    "/etcdserverpb.Lease/LeaseRevoke",    "/etcdserverpb.Lease/LeaseTimeToLive",
    "/etcdserverpb.Lease/LeaseKeepAlive", "/etcdserverpb.Lease/LeaseLeases"};

std::string expected(std::string_view who) {
  if (who == "nobody") return "etcdserver: user name is empty";
  return who == "stranger" ? "etcdserver: invalid auth token" : "etcdserver: permission denied";
}

awaitable<void> every_method(async::Loop& loop, Embedded& store) {
  co_await keep(store, loop, auth::encode(enabled_state()));
  EtcdOptions options;
  options.guard.client_cert_auth = true;
  EtcdService service(loop, store, std::move(options));
  EXPECT_TRUE(service.auth_loaded().has_value());
  for (const char* who : {"nobody", "stranger", "bob"}) {
    for (const auto& [path, method] : service.methods().all_unary()) {
      if (kForEverybody.contains(path)) continue;
      auto outcome = std::make_shared<Outcome>();
      method.handler(caller(who), request_of(path), std::make_unique<TestResponder>(outcome));
      while (!outcome->answered) co_await loop.sleep(std::chrono::milliseconds(1));
      bool may = std::string_view(who) == "bob" && kForUsers.contains(path);
      // Nobody's lease is one that bob may revoke, had it been there.
      bool well =
          outcome->status.code == StatusCode::kOk || outcome->status.code == StatusCode::kNotFound;
      EXPECT_EQ(may ? "" : expected(who), well ? "" : outcome->status.message)
          << path << " by " << who;
    }
    for (const auto& [path, method] : service.methods().all_streaming()) {
      if (kForEverybody.contains(path)) continue;
      TestStream stream(loop, caller(who), request_of(path));
      net::grpc::Status status = co_await method.handler(stream);
      if (path == "/etcdserverpb.Watch/Watch") {
        EXPECT_EQ(stream.written.size(), 1u);
        if (stream.written.empty()) continue;
        auto answer = decode_watch_response(stream.written.at(0));
        EXPECT_TRUE(answer->canceled);
        EXPECT_TRUE(answer->cancel_reason.ends_with(expected(who))) << answer->cancel_reason;
        continue;
      }
      bool may = std::string_view(who) == "bob" && kForUsers.contains(path);
      // etcd's Observe has one word for whatever ends it.
      std::string why =
          status.message == "election: observe closed early" ? expected(who) : status.message;
      EXPECT_EQ(may ? "" : expected(who), why) << path << " by " << who;
      EXPECT_EQ(stream.written.empty(), !may) << path;
    }
  }
  EXPECT_EQ(store.revision(), 1);
  co_await service.stop();
}
TEST(Guard, NoMethodForgetsToAskWhoCalls) {
  run(every_method);
}

awaitable<void> damaged(async::Loop& loop, Embedded& store) {
  co_await keep(store, loop, "\xff");
  EtcdService service(loop, store, {});
  EXPECT_FALSE(service.auth_loaded().has_value());
  EXPECT_EQ(service.auth_loaded().error().code, Code::kDataLoss);
  auto outcome = std::make_shared<Outcome>();
  service.methods()
      .all_unary()
      .at("/etcdserverpb.KV/Range")
      .handler(caller("nobody"), encode(RangeRequest{.key = "k"}),
               std::make_unique<TestResponder>(outcome));
  EXPECT_EQ(outcome->status.message, "etcdserver: user name is empty");
  co_await service.stop();
}
TEST(Guard, LostUsersLockEverybodyOut) {
  run(damaged);
}

// Two changes on their way to the disk at once: the second is made of the first, and neither is
// true before it is there.
awaitable<void> overlapping(async::Loop& loop, Embedded& store) {
  SystemClock clock;
  Guard guard(loop, store, auth::make_simple_tokens(clock, std::chrono::seconds(1), secure_bytes),
              {});
  EXPECT_TRUE(guard.load().has_value());
  int done = 0;
  auto add = [&](std::string name) {
    guard.submit([name](auth::State& state) { return auth::add_role(state, name); },
                 [&](Result<Revision> written) {
                   EXPECT_TRUE(written.has_value());
                   ++done;
                 });
  };
  add("a");
  add("b");
  EXPECT_TRUE(guard.state().roles.empty());
  bool refused = false;
  guard.submit([](auth::State& state) { return auth::add_role(state, "a"); },
               [&](Result<Revision> written) { refused = !written.has_value(); });
  EXPECT_TRUE(refused);
  while (done < 2) co_await loop.sleep(std::chrono::milliseconds(1));
  EXPECT_EQ(guard.state().roles.size(), 2u);
  EXPECT_EQ(guard.state().revision, 3u);
  auto note = store.load_note(auth::kNote);
  EXPECT_EQ(*auth::decode_state(note->value()), guard.state());
}
TEST(Guard, ChangesBuildOnOneAnotherAndWaitForTheDisk) {
  run(overlapping);
}

}  // namespace
}  // namespace rs::store::etcd
