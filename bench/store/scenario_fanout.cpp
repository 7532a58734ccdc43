// One put told to many watchers, and what idle watchers cost.
#include <fmt/format.h>

#include "store/etcd/client_messages.h"
#include "watchers.h"

namespace rs::bench {
namespace {

constexpr uint32_t kConnections = 100;
constexpr uint32_t kIdleWatchers = 10'000;
constexpr int64_t kTellTimeoutNs = 60'000'000'000;
constexpr int64_t kSettleNs = 500'000'000;

// Puts one after the other; each is over when the last watcher was told.
void fan_out(const Options& options, ServerProcess& server, uint32_t count, uint64_t puts,
             Figures& figures) {
  Loop loop;
  Watchers watchers(loop, server, kConnections);
  watchers.create(kConnections, count, [](uint32_t) { return std::string("watched"); });
  Connection writer(loop, server.host(), server.port());
  auto put = [&] {
    uint64_t wanted = watchers.told() + count;
    int64_t begin = now_ns();
    call_once(loop, writer, kPutPath,
              store::etcd::encode(store::PutRequest{.key = "watched",
                                                    .value = stamped(begin, options.value_bytes)}));
    int64_t answered = now_ns();
    loop.run_until([&] { return watchers.told() >= wanted; }, begin + kTellTimeoutNs,
                   "telling the watchers");
    if (watchers.told() > wanted) throw BenchError("watchers were told more than was written");
    return std::pair{answered - begin, watchers.last_told_ns() - begin};
  };
  for (int i = 0; i < 3; ++i) put();
  Histogram last_told, answer;
  Usage usage(server);
  watchers.take_latency();
  for (uint64_t i = 0; i < puts; ++i) {
    auto [answered, told] = put();
    answer.record(answered);
    last_told.record(told);
  }
  figures.emplace_back("last_told_p50_ms", last_told.quantile_ms(0.5));
  figures.emplace_back("last_told_p99_ms", last_told.quantile_ms(0.99));
  figures.emplace_back("last_told_max_ms", last_told.max_ms());
  figures.emplace_back("each_told_p50_ms", watchers.take_latency().quantile_ms(0.5));
  figures.emplace_back("put_answer_p50_ms", answer.quantile_ms(0.5));
  figures.emplace_back("server_cpu_ms_per_put", usage.server_cpu_us() / 1e3 / double(puts));
  usage.report(figures, double(puts) * count);  // per event told
}

void fan_out_1k(const Options& options, ServerProcess& server, Figures& figures) {
  fan_out(options, server, 1'000, options.scaled(500), figures);
}

void fan_out_10k(const Options& options, ServerProcess& server, Figures& figures) {
  fan_out(options, server, 10'000, options.scaled(100), figures);
}

void idle(ServerProcess& server, uint32_t streams, Figures& figures) {
  Loop loop;
  Watchers watchers(loop, server, kConnections);
  loop.run_for(kSettleNs);
  double before_mb = server.memory().rss_mb;
  int64_t cpu = server.cpu_ns(), begin = now_ns();
  watchers.create(streams, kIdleWatchers,
                  [](uint32_t i) { return fmt::format("/registry/things/{:06}", i); });
  figures.emplace_back("create_s", double(now_ns() - begin) / 1e9);
  figures.emplace_back("create_server_cpu_us_per_watcher",
                       double(server.cpu_ns() - cpu) / 1e3 / kIdleWatchers);
  loop.run_for(kSettleNs);
  figures.emplace_back("rss_bytes_per_watcher",
                       (server.memory().rss_mb - before_mb) * 1e6 / kIdleWatchers);
  cpu = server.cpu_ns();
  loop.run_for(2 * kSettleNs);
  figures.emplace_back("idle_server_cpu_ms_per_s",
                       double(server.cpu_ns() - cpu) / 1e6 / (2 * double(kSettleNs) / 1e9));
}

void idle_watchers(const Options&, ServerProcess& server, Figures& figures) {
  idle(server, kConnections, figures);
}
void idle_streams(const Options&, ServerProcess& server, Figures& figures) {
  idle(server, kIdleWatchers, figures);
}

}  // namespace

std::vector<Scenario> fanout_scenarios() {
  return {
      {"watch-1k", "one put to 1,000 watchers on 100 streams; op: an event told", fan_out_1k},
      {"watch-10k", "one put to 10,000 watchers on 100 streams; op: an event told", fan_out_10k},
      {"idle-watchers", "10,000 idle watchers, each its own key, on 100 streams", idle_watchers},
      {"idle-watch-streams",
       "10,000 idle watchers, each its own key and stream, on 100 connections", idle_streams}};
}

}  // namespace rs::bench
