// Worker: one thread's share of the data plane. It accepts connections, resolves names in its own copy of the view, and
// forwards. All of it lives on one loop; views arrive by apply(), in order.
#pragma once

#include <functional>
#include <unordered_map>

#include "async/task_group.h"
#include "mesh/discovery/discovery.h"
#include "mesh/proxy/backend.h"
#include "mesh/proxy/deadline.h"
#include "mesh/route/name.h"

namespace rs::mesh {

// An immutable message of the control loop to every worker.
struct Update {
  Discovery::Changes changes;
  Freshness freshness;
  uint64_t sequence = 0;
};

// Where a request goes, or why it goes nowhere.
struct Refusal {
  int status = 502;
  std::string_view reason;    // "no-endpoints", for the header l5d-err
  std::string message;        // for people
};
struct Route {
  BackendPtr backend;         // null: refused
  std::string hostname;       // only the endpoint with it
  Refusal refusal;
};

class Worker {
 public:
  enum class Port { kProxy, kTransparent };

  Worker(async::Loop& loop, net::Network& network, ProxyLimits limits, metrics::Registry& registry, size_t index);
  ~Worker();

  void start();
  void serve(std::unique_ptr<net::Listener> listener, Port port);
  // No new connections; those under way have grace to end.
  async::awaitable<void> stop(Duration grace);

  void apply(const Update& update);
  std::optional<WorkerStats> take_stats();   // nothing: nothing happened

  Route route(std::string_view authority, const net::Address& client);
  Route route_address(const net::Address& destination);

  async::Loop& loop() { return loop_; }
  net::Network& network() { return network_; }
  DeadlineWheel& wheel() { return wheel_; }
  const ProxyLimits& limits() const { return limits_; }
  const Freshness& freshness() const { return freshness_; }
  async::TaskGroup& tasks() { return tasks_; }
  bool stopping() const { return stopping_; }
  std::string view_age() const;   // "view fresh, revision 12, 0.3 s old"
  bool view_is_stale() const { return freshness_.currency() == Currency::kStale; }
  void count_refusal(std::string_view reason);

 private:
  struct Service {
    ServiceViewPtr view;
    std::map<uint16_t, BackendPtr> backends;  // made when first used
  };
  async::awaitable<void> accept(std::unique_ptr<net::Listener> listener, Port port);
  async::awaitable<void> client(std::unique_ptr<net::Stream> stream, Port port);
  async::awaitable<void> tick();
  Route route_service(const ServiceKey& key, std::optional<uint16_t> port, int depth);
  Route route_ip(const std::string& ip, std::optional<uint16_t> port);
  BackendPtr backend(Service& service, const PortView& port);
  Refusal unknown_service(const ServiceKey& key) const;

  async::Loop& loop_;
  net::Network& network_;
  const ProxyLimits limits_;
  metrics::Registry& registry_;
  const size_t index_;
  DeadlineWheel wheel_;
  async::TaskGroup tasks_, accepts_;
  std::map<ServiceKey, Service> services_;
  std::unordered_map<std::string, ServiceKey> cluster_ips_;
  std::unordered_map<std::string, std::string> pod_namespaces_;
  std::map<std::pair<std::string, uint16_t>, BackendPtr> pods_direct_;
  Freshness freshness_;
  size_t connections_ = 0;
  bool stopping_ = false;
};

// Counts a connection for as long as it lives; defined by what serves it.
async::awaitable<void> serve_http(Worker& worker, std::shared_ptr<net::Stream> stream, Buffer in, BackendPtr fixed);
async::awaitable<void> serve_opaque(Worker& worker, std::shared_ptr<net::Stream> stream, Buffer in, BackendPtr backend);

}  // namespace rs::mesh
