#include "campaign.h"

#include <signal.h>
#include <sys/wait.h>

#include "load.h"
#include "watch_streams.h"

namespace rs::store::crash {
namespace {

constexpr auto kStopPatience = std::chrono::seconds(30);

uint32_t bit(StepKind kind) {
  return 1u << uint32_t(kind);
}
constexpr uint32_t kAllKinds = (1u << kStepKinds) - 1;

struct FileChoice {
  const char* name;
  int64_t writes;  // about so many writes or syncs of it in a life
};
constexpr FileChoice kFiles[] = {{"", 120},      {".log", 40}, {"MANIFEST", 12},
                                 {"CURRENT", 1}, {".sst", 12}, {"dbtmp", 2}};

// What is done to one life of the server.
struct Life {
  FaultPlan plan;
  size_t calls = 0;          // then kill -9, if it still lives
  bool power_fails = false;  // when it has ended
};

Life any_life(Random& random) {
  Life life;
  life.calls = size_t(random.between(30, 160));
  life.power_fails = random.chance(0.5);
  FaultPlan& plan = life.plan;
  plan.seed = random.next();
  if (random.chance(0.4)) plan.sync_us = uint64_t(random.between(100, 2000));
  const uint64_t what = random.below(10);
  if (what < 2) return life;
  plan.fault = what < 4   ? FaultKind::kKillBefore
               : what < 6 ? FaultKind::kKillAfter
               : what < 7 ? FaultKind::kTorn
               : what < 8 ? FaultKind::kNoSpace
                          : FaultKind::kIoError;
  if (random.chance(0.35)) {  // one of the rare steps: names, lengths
    constexpr StepKind kRare[] = {StepKind::kRename, StepKind::kUnlink, StepKind::kCreate,
                                  StepKind::kTruncate};
    plan.kinds = bit(kRare[random.below(4)]);
    plan.step = uint64_t(random.between(1, 8));
  } else {
    const FileChoice& file = kFiles[random.below(std::size(kFiles))];
    std::snprintf(plan.file, sizeof plan.file, "%s", file.name);
    plan.kinds = random.chance(0.4)   ? bit(StepKind::kWrite)
                 : random.chance(0.5) ? bit(StepKind::kSync)
                                      : kAllKinds;
    plan.step = uint64_t(random.between(1, file.writes));
  }
  if (plan.fault == FaultKind::kTorn) plan.kinds |= bit(StepKind::kWrite);
  if (plan.fault == FaultKind::kNoSpace || plan.fault == FaultKind::kIoError)
    plan.count = uint64_t(random.chance(0.3) ? 1 : random.between(1, 30));
  if (plan.fault == FaultKind::kNoSpace) {  // for all files, and whatever makes them longer
    plan.file[0] = 0;
    plan.kinds &= bit(StepKind::kWrite) | bit(StepKind::kSync) | bit(StepKind::kCreate) |
                  bit(StepKind::kTruncate);
    if (plan.kinds == 0) plan.kinds = bit(StepKind::kWrite);
  }
  return life;
}

class Run {
 public:
  Run(async::Loop& loop, uint64_t seed)
      : loop_(loop),
        random_(seed),
        watches_(loop, recorder_, random_.next()),
        load_(loop, recorder_, watches_, any_load(random_), random_.next()) {}

  awaitable<void> run() {
    const int64_t crashes = random_.between(1, 3);
    for (int64_t i = 0; i < crashes && result.failure.empty(); ++i)
      co_await live_and_crash(any_life(random_));
    if (result.failure.empty()) co_await last_life();
    if (disk_.state().overflowed != 0) fail_with("the account of the disk is too small");
    if (result.failure.empty()) check();
    result.calls = recorder_.calls().size();
    for (const Call& call : recorder_.calls())
      result.unknown += call.outcome == Call::Outcome::kUnknown;
    result.watch_answers = watches_.answers();
  }

  RunResult result;

 private:
  static LoadOptions any_load(Random& random) {
    LoadOptions options;
    options.clients = int(random.between(5, 8));
    // Large values fill the engine's buffers: tables are written and merged while clients wait.
    if (random.chance(0.15)) options.value_bytes = 256 << 10;
    return options;
  }

  void fail_with(std::string why) {
    if (result.failure.empty()) result.failure = std::move(why);
  }
  void note(std::string line) { result.story += "\n  " + std::move(line); }

  awaitable<void> live_and_crash(Life life) {
    disk_.plan(life.plan);
    result.planned += life.plan.fault != FaultKind::kNone;
    Server server(loop_, disk_);
    const bool serves = co_await server.start();
    if (serves) {
      co_await watches_.open(server.address());
      co_await load_.run(server.address(), life.calls, [&server] { server.kill(SIGKILL); });
    }
    server.kill(SIGKILL);
    co_await server.ended();
    co_await watches_.close(WatchStreams::Rest::kRead);
    const DiskState& state = disk_.state();
    result.injected += state.injected > 0;
    for (uint32_t i = 0; i < kStepKinds; ++i) result.steps[i] += state.steps[i];
    note(fmt::format("{}{}, {} calls, revision {}, {}{}", to_string(life.plan),
                     state.injected > 0 ? " (happened)" : "", recorder_.calls().size(),
                     recorder_.known(), serves ? "ended" : "ended while starting",
                     life.power_fails ? ", power failed:" + disk_.unsynced() : ""));
    // Debian's RocksDB asserts that a file whose write failed is not used again, and uses it
    // nevertheless when it gives up a start or, rarely, in the background.
    const bool asserted =
        state.injected > 0 && server.log().find("writable_file_writer.h") != std::string::npos;
    result.asserted += asserted && serves;
    if (WIFSIGNALED(server.status()) && WTERMSIG(server.status()) != SIGKILL && !asserted)
      fail_with(fmt::format("the server died of signal {}:\n{}", WTERMSIG(server.status()),
                            server.log()));
    if (!serves && state.injected == 0) fail_with("the server does not start:\n" + server.log());
    if (serves && WIFEXITED(server.status()))
      fail_with("the server ended by itself:\n" + server.log());
    if (life.power_fails) {
      disk_.lose_power(random_);
      ++result.power_failures;
    }
  }

  awaitable<void> last_life() {
    disk_.plan({});
    Server server(loop_, disk_);
    if (!co_await server.start()) {
      co_await server.ended();
      co_return fail_with("the server does not start any more:\n" + server.log());
    }
    co_await watches_.open(server.address());
    if (!co_await load_.read_all(server.address()))
      fail_with("the connection was lost while everything was read");
    co_await load_.run(server.address(), 40);
    co_await reach_latest_start(server.address());
    settled_ = recorder_.known();
    if (!co_await watches_.settle(settled_))
      fail_with("Reliable: not every watcher was told everything in time");
    co_await watches_.close(WatchStreams::Rest::kDrop);
    server.kill(SIGTERM);
    const MonoTime end = loop_.now() + kStopPatience;
    while (server.alive() && loop_.now() < end)
      co_await async::sleep_or_event(loop_, std::chrono::milliseconds(100), server.changed());
    if (server.alive()) fail_with("the server does not stop:\n" + server.log());
    server.kill(SIGKILL);
    co_await server.ended();
    if (server.status() != 0) fail_with("the server did not end in order:\n" + server.log());
  }

  // Watchers that begin in the future keep their stream from marks of progress until it has come.
  awaitable<void> reach_latest_start(const net::Address& address) {
    net::TcpNetwork network(loop_);
    net::grpc::Client client(loop_, network, address, {});
    while (recorder_.known() < watches_.latest_start()) {
      if (!co_await load_.call(
              client, 0, PutRequest{.key = "end", .value = std::to_string(recorder_.known())}))
        co_return fail_with("the connection was lost at the end");
    }
  }

  void check() {
    if (auto wrong = check_headers(recorder_.calls())) return fail_with(std::move(*wrong));
    auto log = make_log(watches_.of_all_keys());
    if (!log) return fail_with(log.error().message);
    if (Revision(log->size()) + 1 != settled_)
      return fail_with(
          fmt::format("Reliable: watched up to revision {} of {}", log->size() + 1, settled_));
    Verdict verdict = check_linearizable(recorder_.calls(), &*log);
    if (verdict.kind != Verdict::Kind::kLinearizable) {
      // Whose fault is it, the watchers' or the answers'?
      const bool alone = check_linearizable(recorder_.calls()).kind == Verdict::Kind::kLinearizable;
      return fail_with((alone ? "the answers are linearizable, but not with what was watched: "
                              : "not linearizable: ") +
                       verdict.why);
    }
    for (const WatcherRecord* watcher : watches_.all()) {
      if (auto wrong = check_watcher(*watcher, verdict.state, recorder_.calls()))
        return fail_with(std::move(*wrong));
    }
  }

  async::Loop& loop_;
  Random random_;
  Disk disk_;
  Recorder recorder_;
  WatchStreams watches_;
  Load load_;
  Revision settled_ = 0;
};

}  // namespace

RunResult run_seed(uint64_t seed) {
  async::SystemLoop loop;
  async::TaskGroup tasks(loop);
  Run run(loop, seed);
  tasks.spawn_fn("run", [&]() -> awaitable<void> {
    co_await run.run();
    loop.stop();
  });
  loop.run();
  return std::move(run.result);
}

}  // namespace rs::store::crash
