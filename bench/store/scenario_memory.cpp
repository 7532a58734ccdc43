// Memory after many puts, and the time to start with many keys.
#include <fmt/format.h>

#include "scenario.h"
#include "store/etcd/client_messages.h"

namespace rs::bench {
namespace {

constexpr uint64_t kPuts = 100'000;
constexpr uint64_t kManyKeys = 1'000'000;
constexpr size_t kManyValueBytes = 1024;
constexpr int kRevisionsPerKey = 3;
constexpr int64_t kSettleNs = 1'000'000'000;

std::string many_key(uint64_t number) {
  return fmt::format("/registry/things/{:010}", number);
}

void memory_small(const Options& options, ServerProcess& server, Figures& figures) {
  ClosedLoad load;
  load.path = kPutPath;
  load.connections = options.connections;
  load.clients = options.clients;
  load.operations = options.scaled(kPuts);
  uint64_t number = 0;
  load.next = [&, values = Values(256)](uint32_t, std::string& out) mutable {
    out = store::etcd::encode(
        store::PutRequest{.key = bench_key(number++), .value = std::string(values.next())});
  };
  run_load(server, load, &figures);
  Loop().run_for(kSettleNs);
}

double seconds_until_get(ServerProcess& server, const std::string& key) {
  int64_t begin = now_ns();
  server.start();
  Loop loop;
  Connection connection(loop, server.host(), server.port());
  std::string answer =
      call_once(loop, connection, kRangePath, store::etcd::encode(store::RangeRequest{.key = key}));
  double seconds = double(now_ns() - begin) / 1e9;
  auto response = store::etcd::decode_range_response(answer);
  if (!response || response->kvs.size() != 1)
    throw BenchError("after the restart the key is not there");
  return seconds;
}

void memory_large(const Options& options, ServerProcess& server, Figures& figures) {
  if (server.attached()) throw BenchError("memory-1m-keys restarts the server: it must be its own");
  uint64_t keys = options.scaled(kManyKeys);
  int64_t begin = now_ns(), cpu = server.cpu_ns();
  bulk_load(server, keys, kManyValueBytes, kRevisionsPerKey, many_key);
  auto puts = double(keys) * kRevisionsPerKey;
  figures.emplace_back("load_s", double(now_ns() - begin) / 1e9);
  figures.emplace_back("load_server_cpu_us_per_put", double(server.cpu_ns() - cpu) / 1e3 / puts);
  Loop().run_for(kSettleNs);
  Memory memory = server.memory();
  figures.emplace_back("load_rss_mb", memory.rss_mb);
  figures.emplace_back("load_rss_peak_mb", memory.peak_mb);
  figures.emplace_back("directory_mb", directory_mb(server.directory()));
  begin = now_ns();
  server.stop();
  figures.emplace_back("stop_s", double(now_ns() - begin) / 1e9);
  figures.emplace_back("start_until_get_s", seconds_until_get(server, many_key(keys / 2)));
  figures.emplace_back("start_server_cpu_s", double(server.cpu_ns()) / 1e9);
}

}  // namespace

std::vector<Scenario> memory_scenarios() {
  return {
      {"memory-100k-puts", "100,000 keys of 256 B, each put once", memory_small},
      {.name = "memory-1m-keys",
       .what =
           "1 M keys x 1 KiB x 3 revisions: memory, then SIGTERM, start, first linearizable get",
       .run = memory_large,
       .peer_by_default = false}};
}

}  // namespace rs::bench
