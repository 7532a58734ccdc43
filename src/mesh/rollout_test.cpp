// Replacing and killing endpoints under load: what callers see.
#include "mesh/test_bench.h"

namespace rs::mesh::testing {
namespace {

class Rollout : public MeshTest {
 public:
  struct Slow {
    async::Loop& loop;
    static awaitable<std::string> answer(async::Loop& l) {
      co_await l.sleep(Duration(l.random().between(0, 3'000'000)));
      co_return ok("done");
    }
    awaitable<std::string> operator()(const Received&, net::Stream&) const { return answer(loop); }
  };
  int answered = 0, failed = 0;
  bool ending = false;
  std::map<std::string, int> causes;

  // One caller: a connection kept open, request after request, re-made when lost.
  static awaitable<void> caller(Rollout& test, std::string fields) {
    while (!test.ending) {
      auto stream = co_await test.network.connect(test.mesh->address(), 1s);
      if (!stream) continue;
      RawClient peer(std::move(*stream));
      while (!test.ending) {
        (void)co_await peer.send("POST /pay HTTP/1.1\r\nHost: payments.bank\r\n" + fields + "Content-Length: 3\r\n\r\nabc");
        auto answer = co_await peer.receive("POST");
        bool good = answer && answer->status() == 200;
        ++(good ? test.answered : test.failed);
        if (!good) ++test.causes[answer ? answer->body : answer.error().message];
        if (!answer) break;
      }
    }
  }
  void load(async::TaskGroup& tasks, int callers, std::string fields) {
    for (int i = 0; i < callers; ++i) tasks.spawn("caller", caller(*this, fields));
  }
  awaitable<void> answers(int more) {
    int target = answered + more;
    co_await until([&] { return answered + failed >= target; });
  }
};

TEST_F(Rollout, ReplacingEveryPodTwiceLosesNoRequestOfAnyMethod) {
  options.worker_threads = 2;
  run([&]() -> awaitable<void> {
    service("payments");
    std::deque<std::unique_ptr<RawServer>> pods;
    auto publish = [&] {
      std::vector<At> list;
      for (const auto& pod : pods) list.push_back({pod->port()});
      for (size_t i = list.size(); i < 4; ++i) fake.put("endpointslices", "bank", fmt::format("payments-{}", i), JsonObject{{"metadata", JsonObject{{"labels", JsonObject{{"kubernetes.io/service-name", "payments"}}}}}});
      endpoints("payments", list);
    };
    for (int i = 0; i < 3; ++i) pods.push_back(std::make_unique<RawServer>(loop, Slow{loop}));
    publish();
    co_await begin();
    async::TaskGroup tasks(loop);
    load(tasks, 16, "");
    std::vector<std::unique_ptr<RawServer>> old;
    for (int i = 0; i < 6; ++i) {
      co_await answers(100);
      pods.push_back(std::make_unique<RawServer>(loop, Slow{loop}));
      publish();
      auto leaving = std::move(pods.front());
      pods.pop_front();
      co_await mesh->drain(fmt::format("uid-{}", leaving->port()), {"127.0.0.1"}, 2s);
      leaving->shut_down();  // SIGTERM
      publish();
      old.push_back(std::move(leaving));
    }
    co_await answers(200);
    ending = true;
    co_await tasks.join();
    EXPECT_EQ(failed, 0) << ::testing::PrintToString(causes);
    EXPECT_GT(answered, 700);
    for (auto& pod : pods) co_await pod->stop();
    for (auto& pod : old) co_await pod->stop();
  });
}

TEST_F(Rollout, KillingAPodIsNotSeenByCallersWithIdempotencyKeys) {
  run([&]() -> awaitable<void> {
    service("payments");
    RawServer one(loop, Slow{loop}), two(loop, Slow{loop}), three(loop, Slow{loop});
    endpoints("payments", {{one.port()}, {two.port()}, {three.port()}});
    co_await begin();
    async::TaskGroup tasks(loop);
    load(tasks, 16, "Idempotency-Key: k\r\n");
    co_await answers(200);
    co_await one.stop();  // kill -9: connections and listener gone at once, and discovery does not know
    co_await answers(300);
    ending = true;
    co_await tasks.join();
    EXPECT_EQ(failed, 0) << ::testing::PrintToString(causes);
    co_await two.stop();
    co_await three.stop();
  });
}

}  // namespace
}  // namespace rs::mesh::testing
