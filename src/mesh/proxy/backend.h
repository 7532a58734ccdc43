// Backend: one port of one service as a worker sees it: its balancer, budget, idle connections and counters.
// Lives on its worker's loop; kept by requests in flight.
#pragma once

#include <deque>
#include <map>
#include <unordered_map>

#include "base/metrics.h"
#include "mesh/balance/balancer.h"
#include "mesh/balance/budget.h"
#include "mesh/proxy/buffer.h"
#include "mesh/proxy/limits.h"
#include "mesh/proxy/stats.h"
#include "net/stream.h"

namespace rs::mesh {

// A connection to an endpoint, with what was read of it and not used.
struct Upstream {
  std::unique_ptr<net::Stream> stream;
  Buffer in;
  MonoTime idle_since{};
  bool reused = false;
};
using UpstreamPtr = std::shared_ptr<Upstream>;

class Backend {
 public:
  Backend(ServiceKey service, uint16_t port, metrics::Registry& registry);

  void update(const ServiceViewPtr& view, const PortView& port, MonoTime now);
  const std::string& name() const { return name_; }          // "bank/payments:80"
  const ServiceViewPtr& view() const { return view_; }
  const PortView& port() const { return port_; }
  Balancer& balancer() { return balancer_; }
  RetryBudget& budget() { return budget_; }

  // An idle connection to the node that still lives, or null.
  UpstreamPtr take_idle(const Balancer::Node& node, MonoTime now, const ProxyLimits& limits);
  void put_idle(const Balancer::NodePtr& node, UpstreamPtr upstream, MonoTime now, const ProxyLimits& limits);
  void tick(MonoTime now, Random& random, const ProxyLimits& limits);

  void count_request() { ++requests_; request_total_.add(); }
  void count_retry() { ++retries_; retry_total_.add(); }
  void count_response(int status, bool success, Duration latency);
  void count_connect_failure() { connect_failures_.add(); }
  void count_bytes(size_t read, size_t written) { read_bytes_.add(read); write_bytes_.add(written); }
  void count_open() { opened_.add(); }

  // What happened since the last report; false: nothing did.
  bool report(PortStats& out, MonoTime now);

  bool server_speaks_first = false;   // learnt: clients of this port wait for the server

 private:
  metrics::Counter& response_counter(int status, bool success);
  ServiceKey service_;
  std::string name_;
  ServiceViewPtr view_;
  PortView port_;
  Balancer balancer_;
  RetryBudget budget_;
  std::unordered_map<const Balancer::Node*, std::vector<UpstreamPtr>> idle_;
  metrics::Registry& registry_;
  metrics::Labels labels_;
  metrics::Counter &request_total_, &retry_total_, &connect_failures_, &read_bytes_, &write_bytes_, &opened_;
  metrics::Histogram& latency_ms_;
  std::map<std::pair<int, bool>, metrics::Counter*> responses_;
  uint64_t requests_ = 0, successes_ = 0, retries_ = 0;
  LatencyHistogram latency_;
  uint64_t reported_states_ = 0;
};
using BackendPtr = std::shared_ptr<Backend>;

}  // namespace rs::mesh
