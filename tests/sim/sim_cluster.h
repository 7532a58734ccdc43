// SimCluster: store, API server and clients on one simulated loop, from one seed. What a run did is summed up in a
// fingerprint: two runs of a seed must have the same.
#pragma once

#include "client/informer.h"
#include "server/api_server.h"
#include "sim/sim_loop.h"
#include "store/embedded.h"

namespace rs::sim {

class SimCluster {
 public:
  explicit SimCluster(uint64_t seed);
  ~SimCluster();
  SimLoop& loop() { return loop_; }
  server::ApiServer& api() { return *api_; }
  // A client of its own, as a cluster administrator.
  client::Client& client(const std::string& name);
  // Runs a workload to its end; false when it has not ended within limit.
  bool run(async::awaitable<void> workload, Duration limit = std::chrono::hours(1)) { return loop_.run(std::move(workload), limit); }
  void note(std::string_view what);     // mixes what and the virtual time into the fingerprint
  uint64_t fingerprint() const { return fingerprint_; }

 private:
  async::awaitable<void> start();
  async::awaitable<void> stop();
  SimClock clock_;
  SimLoop loop_;
  std::unique_ptr<store::Embedded> store_;
  std::unique_ptr<server::ApiServer> api_;
  std::vector<std::unique_ptr<client::Transport>> transports_;
  std::vector<std::unique_ptr<client::Client>> clients_;
  uint64_t fingerprint_ = 14695981039346656037ull;  // FNV-1a offset
};

}  // namespace rs::sim
