// Watches while big lists are read (etcd issue 15402: they starve).
#include <fmt/format.h>

#include "store/etcd/client_messages.h"
#include "watchers.h"

namespace rs::bench {
namespace {

constexpr uint32_t kListers = 10, kWatchers = 5'000, kWatchedKeys = 100, kStreams = 100;
constexpr uint64_t kListKeys = 10'000;
constexpr size_t kListValueBytes = 1'000;
constexpr double kPutsPerSecond = 50;

std::string watched_key(uint64_t i) {
  return fmt::format("/registry/watched/{:03}", i % kWatchedKeys);
}

class Listers : public StreamHandler {
 public:
  Listers(Loop& loop, const ServerProcess& server, std::string message)
      : message_(std::move(message)) {
    for (uint32_t i = 0; i < kListers; ++i) {
      connections_.push_back(std::make_unique<Connection>(loop, server.host(), server.port()));
      connections_.back()->count_only();
    }
  }
  void start() {
    for (auto& connection : connections_) {
      connection->call(kRangePath, message_, *this);
      connection->flush();
    }
  }
  void stop() { stopped_ = true; }
  const Histogram& latency() const { return latency_; }
  uint32_t ended() const { return ended_; }
  double received_mb() const {
    uint64_t bytes = 0;
    for (auto& connection : connections_) bytes += connection->bytes_received();
    return double(bytes) / 1e6;
  }

  void on_message(Stream&, std::string_view) override {}
  void on_end(const Stream& stream) override {
    latency_.record(now_ns() - stream.begin_ns);
    if (stopped_) {
      ++ended_;
    } else {
      stream.connection->call(kRangePath, message_, *this);
    }
  }

 private:
  std::string message_;
  std::vector<std::unique_ptr<Connection>> connections_;
  Histogram latency_;
  uint32_t ended_ = 0;
  bool stopped_ = false;
};

void watch_under_list(const Options& options, ServerProcess& server, Figures& figures) {
  bulk_load(server, kListKeys, kListValueBytes, 1,
            [](uint64_t i) { return fmt::format("/registry/listed/{:06}", i); });
  Loop loop;
  Watchers watchers(loop, server, kStreams);
  watchers.create(kStreams, kWatchers, watched_key);
  PacedPuts puts(loop, server, 1, kPutsPerSecond, [&](uint64_t number, int64_t due_ns) {
    return store::etcd::encode(store::PutRequest{.key = watched_key(number),
                                                 .value = stamped(due_ns, options.value_bytes)});
  });
  auto measure = [&](const char* when) {
    watchers.take_latency();
    LoadResult result = puts.run(options.seconds);
    loop.run_for(200'000'000);
    Histogram told = watchers.take_latency();
    figures.emplace_back(fmt::format("{}_watch_p50_ms", when), told.quantile_ms(0.5));
    figures.emplace_back(fmt::format("{}_watch_p99_ms", when), told.quantile_ms(0.99));
    figures.emplace_back(fmt::format("{}_watch_max_ms", when), told.max_ms());
    figures.emplace_back(fmt::format("{}_put_p99_ms", when), result.latency.quantile_ms(0.99));
    return result.seconds;
  };
  measure("quiet");
  store::RangeRequest all{.key = "/registry/listed/",
                          .range_end = store::prefix_end("/registry/listed/")};
  Listers listers(loop, server, store::etcd::encode(all));
  listers.start();
  loop.run_for(int64_t(options.seconds * 1e8));
  double mb = listers.received_mb();
  int64_t cpu = server.cpu_ns();
  double seconds = measure("listing");
  double read_mb = listers.received_mb() - mb;
  figures.emplace_back("listed_mb_per_s", read_mb / seconds);
  figures.emplace_back("server_cpu_ms_per_list",
                       double(server.cpu_ns() - cpu) / 1e6 / (read_mb / 10.4));
  listers.stop();
  loop.run_until([&] { return listers.ended() == kListers; }, now_ns() + 60'000'000'000,
                 "the last lists");
  figures.emplace_back("list_p50_ms", listers.latency().quantile_ms(0.5));
  figures.emplace_back("list_max_ms", listers.latency().max_ms());
}

}  // namespace

std::vector<Scenario> list_scenarios() {
  return {{"watch-under-list",
           "5,000 watchers, 50 a key, 50 puts/s, while 10 clients list 10 MB each in a loop",
           watch_under_list}};
}

}  // namespace rs::bench
