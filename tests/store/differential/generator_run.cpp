#include "generator_run.h"

#include <fmt/format.h>

#include "store/etcd/client_messages.h"
#include "watchers.h"

namespace rs::store::differential {
namespace {

constexpr size_t kBatch = 64;
constexpr int kBatchesPerCompaction = 12;
constexpr size_t kStreams = 3;
// A watcher with history makes etcd wait for its next round of 100 ms.
constexpr int kBatchesPerHistory = 25, kBatchesPerWatch = 2;

class Run {
 public:
  Run(async::Loop& loop, Server& etcd, Server& ours, RunOptions options, RunReport& report)
      : loop_(loop),
        etcd_server_(etcd),
        ours_server_(ours),
        options_(options),
        generator_(options.seed, options.generator),
        report_(report) {
    connect();
  }

  awaitable<void> go() {
    if (auto opened = co_await watchers_->open(); !opened) {
      report_.differences.push_back("no watch stream: " + opened.error().message);
      co_return;
    }
    while (report_.operations < options_.operations && report_.differences.empty()) {
      if (generator_.random().below(kBatchesPerWatch) == 0 && co_await settle()) {
        bool history = generator_.random().below(kBatchesPerHistory / kBatchesPerWatch) == 0;
        for (int i = history ? 6 : 1; i > 0; --i) co_await watchers_->act(generator_, history);
        if (history) co_await watchers_->history_is_read();
        report_.watchers_max = std::max(report_.watchers_max, watchers_->live());
      }
      if (options_.restart && !restarted_ && report_.operations >= options_.operations / 2 &&
          co_await settle())
        co_await restart();
      std::vector<Operation> batch;
      if (generator_.random().below(kBatchesPerCompaction) == 0) {
        // Watchers are at rest when a compaction comes: what they miss by it does not depend on who
        // is faster.
        if (co_await settle()) batch.push_back(generator_.compaction());
      }
      while (batch.size() < kBatch) batch.push_back(generator_.next());
      if (restarted_) {
        for (Operation& operation : batch) operation.oddities |= kAfterRestart;
      }
      co_await run(batch);
    }
    if (report_.differences.empty()) co_await settle();
    co_await watchers_->close();
    report_.events += watchers_->events();
  }

 private:
  void connect() {
    etcd_.emplace(loop_, etcd_server_);
    ours_.emplace(loop_, ours_server_);
    watchers_.emplace(loop_, *etcd_, *ours_, kStreams);
  }

  awaitable<void> restart() {
    restarted_ = true;
    co_await watchers_->close();
    report_.events += watchers_->events();
    for (Server* server : {&etcd_server_, &ours_server_}) co_await server->stop();
    for (Server* server : {&etcd_server_, &ours_server_}) {
      if (auto started = co_await server->start(); !started)
        report_.differences.push_back(
            fmt::format("{} does not start again: {}", server->name(), started.error().message));
    }
    if (!report_.differences.empty()) co_return;
    connect();
    if (auto opened = co_await watchers_->open(); !opened)
      report_.differences.push_back("no watch stream: " + opened.error().message);
  }

  awaitable<bool> settle() {
    auto text = co_await watchers_->settle(generator_, report_.allowed);
    if (text)
      report_.differences.push_back(
          fmt::format("seed {} after operation {}: {}", options_.seed, report_.operations, *text));
    co_return !text;
  }

  awaitable<void> run(const std::vector<Operation>& batch) {
    Answers answers = co_await run_both(loop_, *etcd_, *ours_, batch);
    for (size_t i = 0; i < batch.size(); ++i) check(batch[i], answers.etcd[i], answers.ours[i]);
  }

  void check(const Operation& operation, const Answer& etcd, const Answer& ours) {
    ++report_.operations;
    ++report_.by_method[operation.method];
    report_.errors += etcd.status.code != net::grpc::StatusCode::kOk;
    // What follows a difference in the same batch is seldom another one.
    if (report_.differences.size() >= options_.differences_max) return;
    if (auto text = difference(operation, etcd, ours, report_.allowed))
      report_.differences.push_back(
          fmt::format("seed {} operation {}: {}", options_.seed, report_.operations - 1, *text));
    if (ours.status.code != net::grpc::StatusCode::kOk) return;
    auto revision = etcd::decode_header_revision(ours.body);
    if (!revision) return;
    report_.revision = std::max(report_.revision, *revision);
    Revision compacted = 0;
    if (operation.request_type == &types::compaction_request) {
      Node request;
      if (parse(types::compaction_request, operation.request, request))
        compacted = request.signed_of(1);
    }
    generator_.learn(*revision, compacted);
  }

  async::Loop& loop_;
  Server& etcd_server_;
  Server& ours_server_;
  const RunOptions options_;
  Generator generator_;
  std::optional<Session> etcd_, ours_;
  std::optional<WatchPairs> watchers_;
  bool restarted_ = false;
  RunReport& report_;
};

}  // namespace

std::string summary(const RunReport& report) {
  std::string out = fmt::format(
      "{} operations in {:.1f} s ({:.0f}/s), {} refused, {} differ; the store is at revision {}",
      report.operations, report.seconds, double(report.operations) / report.seconds, report.errors,
      report.differences.size(), report.revision);
  out += fmt::format("\n  {:8} events told, to up to {} watchers at once", report.events,
                     report.watchers_max);
  for (const auto& [method, count] : report.by_method)
    out += fmt::format("\n  {:8} {}", count, method);
  for (const auto& [name, count] : report.allowed)
    out += fmt::format("\n  {:8} times allowed: {}", count, name);
  return out;
}

awaitable<void> compare_servers(async::Loop& loop, Server& etcd, Server& ours, RunOptions options,
                                RunReport& report) {
  for (Server* server : {&etcd, &ours}) {
    auto started = co_await server->start();
    if (started) continue;
    report.differences.push_back(
        fmt::format("{} does not start: {}", server->name(), started.error().message));
    co_return;
  }
  MonoTime begin = loop.now();
  {
    Run run(loop, etcd, ours, options, report);
    co_await run.go();
  }
  report.seconds = std::chrono::duration<double>(loop.now() - begin).count();
  co_await ours.stop();
  co_await etcd.stop();
}

}  // namespace rs::store::differential
