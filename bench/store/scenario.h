// Scenario: one row group of the report. It gets a server with an empty store, drives it, and
// returns figures with names that carry their units. Run alternately against the peer and us; what
// is reported are medians.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "histogram.h"
#include "load_client.h"
#include "server_process.h"

namespace rs::bench {

struct Options {
  uint32_t connections = 128, clients = 256;
  uint32_t keys = 100'000, value_bytes = 256;
  bool sequential = false;
  double seconds = 5;  // of measuring, for what is measured by time
  double scale = 1;    // of counts: --quick makes them smaller
  uint64_t scaled(uint64_t count) const {
    return std::max<uint64_t>(1, uint64_t(double(count) * scale));
  }
};

using Figures = std::vector<std::pair<std::string, double>>;

struct Scenario {
  const char* name;
  const char* what;  // one line, for the report
  void (*run)(const Options& options, ServerProcess& server, Figures& figures);
  bool peer_by_default = true;
  bool in_quick = true;
};

std::vector<Scenario> put_scenarios();
std::vector<Scenario> range_scenarios();
std::vector<Scenario> txn_scenarios();
std::vector<Scenario> memory_scenarios();
std::vector<Scenario> fanout_scenarios();
std::vector<Scenario> list_scenarios();
std::vector<Scenario> pause_scenarios();

inline constexpr const char* kPutPath = "/etcdserverpb.KV/Put";
inline constexpr const char* kRangePath = "/etcdserverpb.KV/Range";
inline constexpr const char* kTxnPath = "/etcdserverpb.KV/Txn";

// Messages.
std::string random_bytes(size_t bytes, uint64_t seed);
std::string bench_key(uint64_t number);  // 8 bytes, as etcd's tool makes them
uint64_t next_random(uint64_t& state);

// CPU of server and client and the server's disk counts between two moments.
class Usage {
 public:
  explicit Usage(const ServerProcess& server);
  // Per operation, into the figures.
  void report(Figures& figures, double operations) const;
  double server_cpu_us() const;

 private:
  const ServerProcess& server_;
  DiskCounts disk_;
  int64_t server_cpu_ns_, client_cpu_ns_;
};

// Connections and clients in a closed loop: each client has one call outstanding; the next message
// is asked for when the answer has come.
struct ClosedLoad {
  std::string path;
  std::function<void(uint32_t client, std::string& message)> next;
  std::function<void(uint32_t client, std::string_view answer)> answered;  // may be null
  uint32_t connections = 1, clients = 1;
  double seconds = 0;       // ends after this time, or
  uint64_t operations = 0;  // after this many, whichever is not 0
  // Warm-up that is not measured: connections are made, codes and caches are filled.
  double warm_up_seconds = 0;
};
struct LoadResult {
  Histogram latency;
  double seconds = 0;
  int64_t longest_gap_ns = 0;  // without an answer to anyone
};
// With figures: also reports throughput, latencies, CPU, fsyncs.
LoadResult run_load(ServerProcess& server, const ClosedLoad& load, Figures* figures);

// Puts at a fixed rate, whatever the answers do: a stalled server is not spared the puts that were
// due meanwhile, and the time of each counts from when it was due.
class PacedPuts : public StreamHandler {
 public:
  using MakeMessage = std::function<std::string(uint64_t number, int64_t due_ns)>;
  PacedPuts(Loop& loop, const ServerProcess& server, uint32_t connections, double per_s,
            MakeMessage make);
  // For at least that long, and until done() holds; then until all are answered.
  LoadResult run(double seconds, const std::function<bool()>& done = nullptr);
  uint64_t failed() const { return failed_; }

  void on_message(Stream&, std::string_view) override {}
  void on_end(const Stream& stream) override;
  void on_fail(const Stream& stream, int status, const std::string& message) override;

 private:
  int64_t due_ns(uint64_t number) const { return begin_ns_ + int64_t(number) * interval_ns_; }
  Loop& loop_;
  std::vector<std::unique_ptr<Connection>> connections_;
  MakeMessage make_;
  LoadResult result_;
  int64_t interval_ns_, begin_ns_ = 0, last_answer_ns_ = 0;
  uint64_t sent_ = 0, answered_ = 0, failed_ = 0;
};

// Every key once a round, in transactions of 32 puts: for filling a store, not for measuring it.
void bulk_load(ServerProcess& server, uint64_t keys, size_t value_bytes, int rounds,
               const std::function<std::string(uint64_t number)>& key);

// Values that do not compress: parts of one random text.
class Values {
 public:
  explicit Values(size_t bytes);
  std::string_view next() {
    return std::string_view(pool_).substr(next_random(state_) % kOffsets, bytes_);
  }

 private:
  static constexpr size_t kOffsets = 1 << 20;
  std::string pool_;
  size_t bytes_;
  uint64_t state_ = 3;
};

}  // namespace rs::bench
