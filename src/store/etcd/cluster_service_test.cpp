// Cluster, MoveLeader and Downgrade. Expected values: answers of etcd 3.4.23 (a cluster of one
// member), and for what it lacks reference etcd-api.md A.8, A.11.
#include <gtest/gtest.h>

#include "async/task_group.h"
#include "store/etcd/peer_url.h"
#include "store/etcd/service.h"

namespace rs::store::etcd {
namespace {

using net::grpc::StatusCode;

struct Answer {
  std::string message;
  net::grpc::Status status;
  bool done = false;
};

class TestResponder final : public net::grpc::UnaryResponder {
 public:
  explicit TestResponder(std::shared_ptr<Answer> answer) : answer_(std::move(answer)) {}
  void reply(std::string message) override {
    answer_->message = std::move(message);
    answer_->done = true;
  }
  void fail(net::grpc::Status status) override {
    answer_->status = std::move(status);
    answer_->done = true;
  }
  bool cancelled() const override { return false; }

 private:
  std::shared_ptr<Answer> answer_;
};

class ClusterServiceTest : public ::testing::Test {
 protected:
  void run(std::function<awaitable<void>()> body) {
    tasks_.spawn_fn("test", [&]() -> awaitable<void> {
      auto store = co_await Embedded::open(loop_, {});
      store_ = std::move(*store);
      restart();
      co_await body();
      co_await service_->stop();
      co_await store_->close();
      loop_.stop();
    });
    loop_.run();
  }
  void restart() {
    EtcdOptions options;
    options.peer_urls = {"http://127.0.0.1:2380"};
    service_ = std::make_unique<EtcdService>(loop_, *store_, std::move(options));
  }
  awaitable<Answer> call(std::string_view method, std::string message) {
    auto answer = std::make_shared<Answer>();
    auto* found = service_->methods().find_unary("/etcdserverpb." + std::string(method));
    found->handler({}, message, std::make_unique<TestResponder>(answer));
    while (!answer->done) co_await loop_.sleep(std::chrono::milliseconds(1));
    co_return *answer;
  }
  awaitable<void> expect_refused(std::string_view method, std::string message, StatusCode code,
                                 std::string_view text) {
    auto answer = co_await call(method, std::move(message));
    EXPECT_EQ(answer.status.code, code) << method << " " << answer.status.message;
    EXPECT_EQ(answer.status.message, text) << method;
  }
  std::string of_us(uint32_t field = 1) const {
    Writer out;
    out.number(field, store_->identity().member);
    return out.take();
  }
  static std::string urls(uint32_t field, std::initializer_list<std::string_view> texts) {
    Writer out;
    for (std::string_view text : texts) out.element(field, text);
    return out.take();
  }
  // peerURLs of the one member.
  awaitable<std::vector<std::string>> told_urls() {
    auto list = co_await call("Cluster/MemberList", "");
    const Fields member = decode_fields(decode_fields(list.message)->text(2)).value();
    std::vector<std::string> out;
    for (std::string_view url : member.all(3)) out.emplace_back(url);
    co_return out;
  }

  async::SystemLoop loop_;
  async::TaskGroup tasks_{loop_};
  std::unique_ptr<Embedded> store_;
  std::unique_ptr<EtcdService> service_;
};

TEST_F(ClusterServiceTest, AClusterOfOneStaysOne) {
  run([this]() -> awaitable<void> {
    constexpr std::string_view kAlone =
        "etcdserver: re-configuration failed due to not enough started members";
    constexpr std::string_view kBad = "etcdserver: given member URLs are invalid";
    co_await expect_refused("Cluster/MemberAdd", "", StatusCode::kInvalidArgument, kBad);
    co_await expect_refused("Cluster/MemberAdd", urls(1, {"x"}), StatusCode::kInvalidArgument,
                            kBad);
    co_await expect_refused("Cluster/MemberAdd", urls(1, {"http://127.0.0.1:2380"}),
                            StatusCode::kFailedPrecondition,
                            "etcdserver: Peer URLs already exists");
    co_await expect_refused("Cluster/MemberAdd", urls(1, {"http://127.0.0.1:1"}),
                            StatusCode::kFailedPrecondition, kAlone);
    co_await expect_refused("Cluster/MemberRemove", "", StatusCode::kNotFound,
                            "etcdserver: member not found");
    co_await expect_refused("Cluster/MemberRemove", of_us(), StatusCode::kFailedPrecondition,
                            kAlone);
    co_await expect_refused("Cluster/MemberPromote", "", StatusCode::kNotFound,
                            "etcdserver: member not found");
    co_await expect_refused("Cluster/MemberPromote", of_us(), StatusCode::kFailedPrecondition,
                            "etcdserver: can only promote a learner member");
  });
}

TEST_F(ClusterServiceTest, WhereTheMemberIsFoundIsKeptAcrossRestarts) {
  run([this]() -> awaitable<void> {
    EXPECT_EQ(co_await told_urls(), std::vector<std::string>{"http://127.0.0.1:2380"});
    co_await expect_refused("Cluster/MemberUpdate", urls(2, {"http://a:1"}), StatusCode::kNotFound,
                            "etcdserver: member not found");
    const std::vector<std::string> told{"http://b:78", "any text"};
    auto updated = co_await call("Cluster/MemberUpdate", of_us() + urls(2, {told[0], told[1]}));
    EXPECT_EQ(updated.status.code, StatusCode::kOk);
    EXPECT_EQ(co_await told_urls(), told);
    co_await service_->stop();
    restart();
    EXPECT_EQ(co_await told_urls(), told);
    (void)co_await call("Cluster/MemberUpdate", of_us());
    EXPECT_TRUE((co_await told_urls()).empty());
    co_await expect_refused("Cluster/MemberUpdate", of_us() + urls(2, {std::string(100'000, 'x')}),
                            StatusCode::kInvalidArgument,
                            "etcdserver: given member URLs are invalid");
  });
}

TEST_F(ClusterServiceTest, TheLeaderMovesToItselfOnly) {
  run([this]() -> awaitable<void> {
    co_await expect_refused("Maintenance/MoveLeader", "", StatusCode::kFailedPrecondition,
                            "etcdserver: bad leader transferee");
    auto moved = co_await call("Maintenance/MoveLeader", of_us());
    EXPECT_EQ(moved.status.code, StatusCode::kOk);
    EXPECT_EQ(moved.message, "");
  });
}

TEST_F(ClusterServiceTest, ThereIsNoVersionToGoBackTo) {
  run([this]() -> awaitable<void> {
    for (int action : {0, 1}) {
      for (auto [version, text] :
           {std::pair("3.5.0", "etcdserver: invalid downgrade target version"),
            std::pair("3.5", "etcdserver: invalid downgrade target version"),
            std::pair("", "etcdserver: wrong downgrade target version format"),
            std::pair("3.x", "etcdserver: wrong downgrade target version format")}) {
        Writer out;
        out.number(1, uint64_t(action));
        out.bytes(2, version);
        co_await expect_refused("Maintenance/Downgrade", out.take(), StatusCode::kInvalidArgument,
                                text);
      }
    }
    co_await expect_refused("Maintenance/Downgrade", "\x08\x02", StatusCode::kFailedPrecondition,
                            "etcdserver: no inflight downgrade job");
    co_await expect_refused("Maintenance/Downgrade", "\x08\x07", StatusCode::kUnknown,
                            "etcdserver: unknown method");
  });
}

// By Go's url.Parse and net.SplitHostPort, as etcd's types.NewURLs uses them.
TEST(PeerUrl, IsAnAddressWithoutAPath) {
  for (std::string_view good :
       {"http://127.0.0.1:2380", "https://host:1", " http://a:1 ", "http://[::1]:80", "unix://a:1"})
    EXPECT_TRUE(is_peer_url(good)) << good;
  for (std::string_view bad : {"", "x", "http://", "http://a", "http://a:1/", "ftp://a:1",
                               "http://[::1]", "http://::1:80", "unix://"})
    EXPECT_FALSE(is_peer_url(bad)) << bad;
}

TEST(PeerUrl, ClusterVersionsHaveTwoOrThreeNumbers) {
  EXPECT_EQ(parse_cluster_version("3.5"), std::pair(3, 5));
  EXPECT_EQ(parse_cluster_version("3.5.12-rc.1"), std::pair(3, 5));
  for (std::string_view bad : {"", "3", "3.", "3.x", "3.5.", "3.5.x", "3.5.1.2", "-3.5", "v3.5",
                               "3.5-rc", "99999999999.1"})
    EXPECT_FALSE(parse_cluster_version(bad)) << bad;
}

}  // namespace
}  // namespace rs::store::etcd
