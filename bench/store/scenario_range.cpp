// Linearizable ranges of one key: on a fresh store, and after many puts.
#include "scenario.h"
#include "store/etcd/client_messages.h"

namespace rs::bench {
namespace {

constexpr uint64_t kPutsBefore = 40'000;

void put_first(const Options& options, ServerProcess& server, uint64_t count, uint64_t keys) {
  ClosedLoad load;
  load.path = kPutPath;
  load.connections = std::min<uint32_t>(options.connections, 32);
  load.clients = uint32_t(std::min<uint64_t>(options.clients, count));
  load.operations = count;
  uint64_t number = 0;
  load.next = [&, value = random_bytes(options.value_bytes, 1)](uint32_t, std::string& out) {
    out = store::etcd::encode(store::PutRequest{.key = bench_key(number++ % keys), .value = value});
  };
  run_load(server, load, nullptr);
}

void ranges(const Options& options, ServerProcess& server, uint64_t keys, Figures& figures) {
  ClosedLoad load;
  load.path = kRangePath;
  load.connections = options.connections;
  load.clients = options.clients;
  load.seconds = options.seconds;
  load.warm_up_seconds = options.seconds / 10;
  uint64_t random = 7;
  std::string message = store::etcd::encode(store::RangeRequest{.key = bench_key(0)});
  load.next = [=](uint32_t, std::string& out) mutable {
    out = message;
    out.replace(2, 8, bench_key(next_random(random) % keys));
  };
  run_load(server, load, &figures);
}

void range_fresh(const Options& options, ServerProcess& server, Figures& figures) {
  put_first(options, server, 1, 1);
  ranges(options, server, 1, figures);
}

void range_after_same(const Options& options, ServerProcess& server, Figures& figures) {
  put_first(options, server, kPutsBefore, 1);
  ranges(options, server, 1, figures);
}

void range_after_many(const Options& options, ServerProcess& server, Figures& figures) {
  put_first(options, server, kPutsBefore, kPutsBefore);
  ranges(options, server, kPutsBefore, figures);
}

}  // namespace

std::vector<Scenario> range_scenarios() {
  return {{"range", "linearizable ranges of one key, fresh store", range_fresh},
          {"range-after-puts-one-key", "the same after 40,000 puts to that key", range_after_same},
          {"range-after-puts-many-keys", "linearizable ranges of one of 40,000 keys, each put once",
           range_after_many}};
}

}  // namespace rs::bench
