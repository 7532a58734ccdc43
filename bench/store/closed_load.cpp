// The closed loop of clients, and what every scenario reports about it.
#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "scenario.h"

namespace rs::bench {
namespace {

constexpr int64_t kSlackNs = 60'000'000'000;  // an answer that takes longer ends the benchmark

int64_t own_cpu_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return int64_t(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

class Clients : public StreamHandler {
 public:
  Clients(ServerProcess& server, const ClosedLoad& load) : load_(load) {
    for (uint32_t i = 0; i < load.connections; ++i)
      connections_.push_back(std::make_unique<Connection>(loop_, server.host(), server.port()));
  }

  LoadResult run(double seconds, uint64_t operations) {
    result_ = {};
    answered_ = started_ = 0;
    wanted_ = operations == 0 ? UINT64_MAX : operations;
    begin_ns_ = last_answer_ns_ = now_ns();
    end_ns_ = operations == 0 ? begin_ns_ + int64_t(seconds * 1e9) : INT64_MAX;
    for (uint32_t client = 0; client < load_.clients; ++client) issue(client);
    for (auto& connection : connections_) connection->flush();
    // In steps, so that a stalled server is noticed however long the run is.
    while (answered_ < started_) {
      uint64_t before = answered_;
      loop_.run_until([&] { return answered_ == started_ || answered_ > before + 50'000; },
                      now_ns() + kSlackNs, load_.path.c_str());
    }
    result_.seconds = double(last_answer_ns_ - begin_ns_) / 1e9;
    return std::move(result_);
  }

  void on_message(Stream& stream, std::string_view message) override {
    if (load_.answered) load_.answered(stream.user, message);
  }

  void on_end(const Stream& stream) override {
    int64_t now = now_ns();
    result_.latency.record(now - stream.begin_ns);
    result_.longest_gap_ns = std::max(result_.longest_gap_ns, now - last_answer_ns_);
    last_answer_ns_ = now;
    ++answered_;
    if (now < end_ns_) issue(stream.user);
  }

 private:
  void issue(uint32_t client) {
    if (started_ >= wanted_) return;
    ++started_;
    message_.clear();
    load_.next(client, message_);
    connections_[client % connections_.size()]->call(load_.path, message_, *this, client);
  }

  const ClosedLoad& load_;
  Loop loop_;
  std::vector<std::unique_ptr<Connection>> connections_;
  LoadResult result_;
  std::string message_;
  uint64_t started_ = 0, answered_ = 0, wanted_ = 0;
  int64_t begin_ns_ = 0, end_ns_ = 0, last_answer_ns_ = 0;
};

}  // namespace

Usage::Usage(const ServerProcess& server)
    : server_(server),
      disk_(server.disk_counts()),
      server_cpu_ns_(server.cpu_ns()),
      client_cpu_ns_(own_cpu_ns()) {}

double Usage::server_cpu_us() const {
  return double(server_.cpu_ns() - server_cpu_ns_) / 1e3;
}

void Usage::report(Figures& figures, double operations) const {
  double server_us = server_cpu_us();
  double client_us = double(own_cpu_ns() - client_cpu_ns_) / 1e3;
  DiskCounts now = server_.disk_counts();
  figures.emplace_back("server_cpu_us_per_op", server_us / operations);
  figures.emplace_back("client_cpu_us_per_op", client_us / operations);
  figures.emplace_back("wal_fsyncs_per_op", (now.wal_fsyncs - disk_.wal_fsyncs) / operations);
  figures.emplace_back("backend_commits_per_op",
                       (now.backend_commits - disk_.backend_commits) / operations);
}

LoadResult run_load(ServerProcess& server, const ClosedLoad& load, Figures* figures) {
  Clients clients(server, load);
  if (load.warm_up_seconds > 0) clients.run(load.warm_up_seconds, 0);
  if (figures == nullptr) return clients.run(load.seconds, load.operations);
  Usage usage(server);
  LoadResult result = clients.run(load.seconds, load.operations);
  auto operations = double(result.latency.count());
  figures->emplace_back("operations_per_s", operations / result.seconds);
  figures->emplace_back("latency_p50_ms", result.latency.quantile_ms(0.5));
  figures->emplace_back("latency_p99_ms", result.latency.quantile_ms(0.99));
  figures->emplace_back("latency_max_ms", result.latency.max_ms());
  usage.report(*figures, operations);
  return result;
}

}  // namespace rs::bench
