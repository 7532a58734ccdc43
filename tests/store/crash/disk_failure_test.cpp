// A disk that is full or fails under a running store, one step at a time: what clients are told
// meanwhile, and that nothing acknowledged is lost by it, whatever ends the process afterwards.
// Expected answers: reference etcd-api.md A.8, A.11; docs/store.md.
#include <signal.h>
#include <sys/wait.h>

#include <fstream>

#include <gtest/gtest.h>

#include "load.h"
#include "store/etcd/messages.h"

namespace rs::store::crash {
namespace {

constexpr auto kTimeout = std::chrono::seconds(30);
constexpr uint32_t kWrites = 1u << uint32_t(StepKind::kWrite),
                   kSyncs = 1u << uint32_t(StepKind::kSync);

// One store, whose calls are recorded over all its lives.
class Scene {
 public:
  explicit Scene(async::Loop& loop)
      : loop_(loop),
        network_(loop),
        watches_(loop, recorder_, 1),
        load_(loop, recorder_, watches_, {}, 1) {}

  awaitable<bool> start() {
    server_ = std::make_unique<Server>(loop_, disk);
    if (!co_await server_->start()) co_return false;
    client_ = std::make_unique<net::grpc::Client>(loop_, network_, server_->address(),
                                                  net::grpc::ClientOptions{});
    co_return true;
  }
  awaitable<void> end(int signal = SIGKILL) {
    server_->kill(signal);
    co_await server_->ended();
    client_.reset();
  }
  const Call& last() const { return recorder_.calls().back(); }
  std::string error() const {
    return last().outcome == Call::Outcome::kDone      ? ""
           : last().outcome == Call::Outcome::kUnknown ? "unknown"
                                                       : last().error;
  }
  awaitable<std::string> call(Request request) {
    (void)co_await load_.call(*client_, 0, std::move(request));
    co_return error();
  }
  awaitable<std::string> put(std::string key) {
    co_return co_await call(PutRequest{.key = std::move(key), .value = std::to_string(++values_)});
  }
  awaitable<std::string> put_two() {
    TxnRequest txn;
    txn.success = {PutRequest{.key = "x", .value = std::to_string(++values_)},
                   PutRequest{.key = "y", .value = "2"}};
    co_return co_await call(std::move(txn));
  }
  awaitable<std::string> read(bool serializable = false) {
    co_return co_await call(
        RangeRequest{.key = "a", .range_end = "z", .serializable = serializable});
  }
  // etcdserverpb.AlarmType of those that are raised.
  awaitable<std::vector<int64_t>> alarms() {
    auto answer = co_await client_->call("/etcdserverpb.Maintenance/Alarm", {}, {}, kTimeout);
    std::vector<int64_t> out;
    auto fields =
        answer ? etcd::decode_fields(*answer) : Result<etcd::Fields>(fail(answer.error()));
    if (!fields) co_return out;
    for (std::string_view alarm : fields->all(2))
      out.push_back(etcd::decode_fields(alarm)->number(2));
    co_return out;
  }
  awaitable<bool> disarm() { co_return co_await disarm_no_space(*client_); }
  // The next such step fails, which is one on the log, and count - 1 after it.
  void fail_disk(FaultKind fault, uint32_t kinds, uint64_t count) {
    disk.plan({.fault = fault, .kinds = kinds, .step = 1, .count = count, .seed = count});
  }
  void expect_linearizable() {
    auto headers = check_headers(recorder_.calls());
    EXPECT_FALSE(headers.has_value()) << *headers;
    auto verdict = check_linearizable(recorder_.calls());
    EXPECT_EQ(verdict.kind, Verdict::Kind::kLinearizable) << verdict.why;
  }
  Server& server() { return *server_; }

  Disk disk;

 private:
  async::Loop& loop_;
  net::TcpNetwork network_;
  Recorder recorder_;
  WatchStreams watches_;
  Load load_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<net::grpc::Client> client_;
  int values_ = 0;
};

void play(std::function<awaitable<void>(Scene&)> body) {
  async::SystemLoop loop;
  async::TaskGroup tasks(loop);
  Scene scene(loop);
  tasks.spawn_fn("scene", [&]() -> awaitable<void> {
    co_await body(scene);
    loop.stop();
  });
  loop.run();
}

constexpr const char* kNoSpaceError = "etcdserver: mvcc: database space exceeded";
constexpr const char* kCorruptError = "etcdserver: corrupt cluster";

struct Case {
  uint32_t kinds;
  uint64_t count;  // of failing steps
  size_t before;   // writes since the start
  bool power_fails;
};

class FullDiskTest : public ::testing::TestWithParam<Case> {};

awaitable<void> fill_and_free(Scene& scene, const Case& c) {
  EXPECT_TRUE(co_await scene.start());
  for (size_t i = 0; i < c.before; ++i) EXPECT_EQ(co_await scene.put("a" + std::to_string(i)), "");
  (void)co_await scene.call(GrantRequest{7, 100});
  if (c.before == 0) {  // a start leaves nothing in memory that is not in a table
    co_await scene.end();
    EXPECT_TRUE(co_await scene.start());
  }
  scene.fail_disk(FaultKind::kNoSpace, c.kinds, c.count);
  EXPECT_EQ(co_await scene.put_two(), "unknown");
  EXPECT_GE(scene.disk.state().injected, 1u);
  EXPECT_EQ(co_await scene.read(), "") << scene.server().log();
  EXPECT_EQ(co_await scene.put("b"), kNoSpaceError);
  EXPECT_EQ(co_await scene.read(), "");
  EXPECT_EQ(co_await scene.call(TimeToLiveRequest{7}), "");
  EXPECT_EQ(co_await scene.alarms(), std::vector<int64_t>{1});
  for (int i = 0; i < 100 && !co_await scene.disarm(); ++i) continue;
  EXPECT_EQ(co_await scene.alarms(), std::vector<int64_t>{});
  EXPECT_EQ(co_await scene.put("c"), "");
  EXPECT_EQ(co_await scene.put("d"), "");
  EXPECT_EQ(co_await scene.read(), "");
  scene.disk.plan({});
  co_await scene.end();
  Random random(c.count);
  if (c.power_fails) scene.disk.lose_power(random);
  EXPECT_TRUE(co_await scene.start()) << scene.server().log();
  if (!scene.server().alive()) co_return;
  EXPECT_EQ(co_await scene.read(), "");
  EXPECT_EQ(co_await scene.call(TimeToLiveRequest{7}), "");
  EXPECT_EQ(co_await scene.put("e"), "");
  scene.expect_linearizable();
  co_await scene.end();
}

TEST_P(FullDiskTest, LosesNothingRaisesItsAlarmAndGoesOnOnceThereIsRoom) {
  play([c = GetParam()](Scene& scene) { return fill_and_free(scene, c); });
}

std::vector<Case> cases() {
  std::vector<Case> out;
  for (uint32_t kinds : {kWrites, kSyncs, kWrites | kSyncs}) {
    // Of a write that fails the first time a part may be written, and the rest is tried again.
    for (uint64_t count : {2, 3, 6}) {
      for (size_t before : {0, 5}) {
        for (bool power_fails : {false, true}) out.push_back({kinds, count, before, power_fails});
      }
    }
  }
  return out;
}
INSTANTIATE_TEST_SUITE_P(EveryStep, FullDiskTest, ::testing::ValuesIn(cases()),
                         [](const auto& info) {
                           const Case& c = info.param;
                           return fmt::format("{}{}{}times_after{}{}",
                                              (c.kinds & kWrites) != 0 ? "write" : "",
                                              (c.kinds & kSyncs) != 0 ? "sync" : "", c.count,
                                              c.before, c.power_fails ? "_power" : "");
                         });

TEST(BrokenDiskTest, MakesTheStoreReadOnlyAndLosesNothing) {
  for (uint32_t kinds : {kWrites, kSyncs}) {
    for (bool power_fails : {false, true}) {
      SCOPED_TRACE(fmt::format("kinds {} power fails {}", kinds, power_fails));
      play([&](Scene& scene) -> awaitable<void> {
        EXPECT_TRUE(co_await scene.start());
        for (int i = 0; i < 5; ++i) EXPECT_EQ(co_await scene.put("a" + std::to_string(i)), "");
        scene.fail_disk(FaultKind::kIoError, kinds, 1000);
        EXPECT_EQ(co_await scene.put_two(), "unknown");
        EXPECT_EQ(co_await scene.put("b"), kCorruptError);
        // etcd serves both beside the alarm.
        EXPECT_EQ(co_await scene.read(), "");
        EXPECT_EQ(co_await scene.read(true), "");
        EXPECT_EQ(co_await scene.alarms(), std::vector<int64_t>{2});
        // Stopped in order while the disk still fails, or with a power failure.
        co_await scene.end(power_fails ? SIGKILL : SIGTERM);
        if (!power_fails) {
          EXPECT_EQ(scene.server().status(), 0) << scene.server().log();
        }
        scene.disk.plan({});
        Random random(kinds);
        if (power_fails) scene.disk.lose_power(random);
        EXPECT_TRUE(co_await scene.start()) << scene.server().log();
        if (!scene.server().alive()) co_return;
        EXPECT_EQ(co_await scene.alarms(), std::vector<int64_t>{});
        EXPECT_EQ(co_await scene.read(), "");
        EXPECT_EQ(co_await scene.put("c"), "");
        scene.expect_linearizable();
        co_await scene.end();
      });
    }
  }
}

// The largest of the files with this in their name.
std::filesystem::path largest(const Disk& disk, std::string_view part) {
  std::filesystem::path out;
  for (const auto& entry : std::filesystem::directory_iterator(disk.directory() / "db")) {
    if (entry.path().filename().string().find(part) == std::string::npos) continue;
    if (out.empty() || entry.file_size() > std::filesystem::file_size(out)) out = entry.path();
  }
  return out;
}

TEST(BrokenDiskTest, DamageInTheMiddleIsRefusedLoudly) {
  for (const char* part : {".log", "MANIFEST", ".sst"}) {
    for (int place = 1; place <= 3; ++place) {
      SCOPED_TRACE(fmt::format("{} at {}/4", part, place));
      play([&](Scene& scene) -> awaitable<void> {
        EXPECT_TRUE(co_await scene.start());
        for (int i = 0; i < 20; ++i) EXPECT_EQ(co_await scene.put("a" + std::to_string(i % 3)), "");
        co_await scene.end();
        EXPECT_TRUE(co_await scene.start());  // what is in tables is written while starting
        for (int i = 0; i < 20; ++i) EXPECT_EQ(co_await scene.put("a" + std::to_string(i % 3)), "");
        co_await scene.end();
        const auto path = largest(scene.disk, part);
        const auto at = std::streamoff(std::filesystem::file_size(path)) * place / 4;
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(at);
        const char was = char(file.get());
        file.seekp(at);
        file.put(char(was ^ 0x55));
        file.close();
        const bool started = co_await scene.start();
        EXPECT_FALSE(started);
        co_await scene.end();
        EXPECT_TRUE(WIFEXITED(scene.server().status()) &&
                    WEXITSTATUS(scene.server().status()) == 1);
        EXPECT_NE(scene.server().log().find("cannot start"), std::string::npos)
            << scene.server().log();
      });
    }
  }
}

}  // namespace
}  // namespace rs::store::crash
