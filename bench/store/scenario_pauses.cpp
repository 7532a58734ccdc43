// What puts feel of compaction, of a snapshot being read, and of Defragment.
#include <fmt/format.h>

#include "scenario.h"
#include "store/etcd/client_messages.h"

namespace rs::bench {
namespace {

constexpr uint64_t kRevisions = 1'000'000;
constexpr uint64_t kKeys = 100'000;
constexpr double kPutsPerSecond = 1'000;
constexpr double kSecondsMin = 1;

void write_revisions(const Options& options, ServerProcess& server) {
  ClosedLoad load;
  load.path = kPutPath;
  load.connections = options.connections;
  load.clients = options.clients;
  load.operations = options.scaled(kRevisions);
  uint64_t number = 0, keys = options.scaled(kKeys);
  load.next = [&, values = Values(options.value_bytes)](uint32_t, std::string& out) mutable {
    out = store::etcd::encode(
        store::PutRequest{.key = bench_key(number++ % keys), .value = std::string(values.next())});
  };
  run_load(server, load, nullptr);
}

// A call that runs beside the puts; its answer is only counted.
struct Beside : StreamHandler {
  void on_message(Stream&, std::string_view) override {}
  void on_end(const Stream& stream) override { took_ns = now_ns() - stream.begin_ns; }
  void on_fail(const Stream& stream, int, const std::string& message) override {
    on_end(stream);
    failure = message;
  }
  int64_t took_ns = -1;
  std::string failure;
};

class Pauses {
 public:
  Pauses(const Options& options, ServerProcess& server, Figures& figures)
      : options_(options),
        server_(server),
        figures_(figures),
        values_(options.value_bytes),
        side_(loop_, server.host(), server.port()),
        puts_(loop_, server, 10, kPutsPerSecond, [this](uint64_t, int64_t) {
          return store::etcd::encode(
              store::PutRequest{.key = bench_key(next_random(random_) % options_.scaled(kKeys)),
                                .value = std::string(values_.next())});
        }) {
    side_.count_only();
  }

  void idle() {
    puts_.run(kSecondsMin / 2);  // connections' first calls
    int64_t cpu = server_.cpu_ns();
    report("idle", puts_.run(options_.seconds), cpu);
  }

  void during(const char* what, std::string_view path, const std::string& message) {
    Beside beside;
    uint64_t bytes = side_.bytes_received();
    int64_t cpu = server_.cpu_ns();
    side_.call(path, message, beside);
    side_.flush();
    LoadResult result = puts_.run(kSecondsMin, [&] { return beside.took_ns >= 0; });
    if (!beside.failure.empty()) {
      figures_.emplace_back(fmt::format("{}_refused", what), 1);
      return;
    }
    figures_.emplace_back(fmt::format("{}_s", what), double(beside.took_ns) / 1e9);
    if (uint64_t mb = (side_.bytes_received() - bytes) / 1'000'000; mb > 0)
      figures_.emplace_back(fmt::format("{}_mb", what), double(mb));
    report(what, std::move(result), cpu);
  }

  store::Revision revision() {
    Connection connection(loop_, server_.host(), server_.port());
    auto revision = store::etcd::decode_header_revision(call_once(
        loop_, connection, kRangePath, store::etcd::encode(store::RangeRequest{.key = "none"})));
    if (!revision) throw BenchError("the answer has no revision");
    return *revision;
  }

 private:
  void report(const char* when, LoadResult result, int64_t cpu_before_ns) {
    double p99 = result.latency.quantile_ms(0.99);
    if (idle_p99_ms_ == 0) idle_p99_ms_ = p99;
    auto add = [&](const char* what, double value) {
      figures_.emplace_back(fmt::format("{}_{}", when, what), value);
    };
    add("put_p50_ms", result.latency.quantile_ms(0.5));
    add("put_p99_ms", p99);
    add("put_p99_x_idle", p99 / idle_p99_ms_);
    add("put_max_ms", result.latency.max_ms());
    add("longest_gap_ms", double(result.longest_gap_ns) / 1e6);
    add("server_cpu_s", double(server_.cpu_ns() - cpu_before_ns) / 1e9);
    if (puts_.failed() > 0) add("put_failed", double(puts_.failed()));
  }

  const Options& options_;
  ServerProcess& server_;
  Figures& figures_;
  Loop loop_;
  Values values_;
  uint64_t random_ = 9;
  Connection side_;
  PacedPuts puts_;
  double idle_p99_ms_ = 0;
};

void pauses(const Options& options, ServerProcess& server, Figures& figures) {
  write_revisions(options, server);
  Pauses pauses(options, server, figures);
  pauses.idle();
  pauses.during("snapshot", "/etcdserverpb.Maintenance/Snapshot", "");
  // Physical: the answer comes when the space is free, not when the work is queued.
  pauses.during("compaction", "/etcdserverpb.KV/Compact",
                store::etcd::encode_compaction(pauses.revision() - 1, true));
  pauses.during("defragment", "/etcdserverpb.Maintenance/Defragment", "");
}

}  // namespace

std::vector<Scenario> pause_scenarios() {
  return {
      {"pauses",
       "1,000 puts/s during a snapshot, compaction of 1 M revisions of 100,000 keys, Defragment",
       pauses}};
}

}  // namespace rs::bench
