// Mesh: the node's proxy as a whole: follows Services, EndpointSlices and Pods, hands every change to the workers, and
// says what it knows.
//
// What is promised:
// - A worker sees changes in order, as immutable views, without locks.
// - It serves from the last-known-good file until the API has told everything once, and while the API is away.
// - drain() returns when no worker will send new work to the pod (reference mesh.md B.5.9).
// - The age of the view is counted every second; an old view is said to be old, in metrics, view() and refusals.
// Lives on the control loop; workers run on threads of their own (or on the control loop with worker_threads 0).
#pragma once

#include <thread>

#include "base/metrics.h"
#include "client/informer.h"
#include "client/node_api.h"
#include "mesh/discovery/discovery.h"
#include "mesh/proxy/limits.h"
#include "mesh/proxy/stats.h"
#include "net/http.h"

namespace rs::mesh {

class Worker;
struct Update;

struct MeshOptions {
  std::string data_dir;                            // for the last-known-good file; empty: none is kept
  net::Address listen{"127.0.0.1", 4140};          // port 0: any free one
  std::optional<net::Address> transparent;         // where redirected connections arrive (proxy/redirect.h)
  size_t worker_threads = 1;
  ProxyLimits limits;
};

class Mesh final : public client::DrainGate {
 public:
  Mesh(async::Loop& loop, client::Informers& informers, MeshOptions options, metrics::Registry& registry);
  ~Mesh() override;

  // Binds its ports and begins to serve; the informers may be started before or after. kAlreadyExists: a port is taken.
  Result<void> start();
  async::awaitable<void> stop(Duration grace = std::chrono::seconds(1));

  net::Address address() const { return address_; }
  std::optional<net::Address> transparent_address() const { return transparent_address_; }

  async::awaitable<void> drain(std::string pod_uid, std::vector<std::string> addresses, Duration limit) override;

  // What the data plane knows, for `roadstead mesh view` and the console. One service, or all when name is empty.
  Json view(std::string_view service = {}) const;
  Freshness freshness() const;
  bool ready() const;   // has a view to serve: from the API or from disk

  // GET /metrics, /view?service=NAME[.NAMESPACE], /ready, /live.
  net::Handler admin_handler();

 private:
  struct Thread;
  struct Traffic;
  void watch(client::Informer& informer, void (Discovery::*apply)(const api::ObjectKey&, const Json*));
  void adopt_if_synced();
  void changed();
  void flush();
  void note_trigger(const Json* object);
  void observe_applied();
  void load_last_known_good();
  void save_last_known_good();
  void count_view();
  void receive(std::shared_ptr<const WorkerStats> stats);
  async::awaitable<void> every_second();
  async::awaitable<Result<void>> wait_applied(uint64_t sequence);
  async::awaitable<void> answer_admin(net::Request& request, net::ResponseWriter& writer);
  Json service_json(const ServiceView& view) const;
  JsonObject traffic_json(const ServiceKey& key, uint16_t port) const;
  Result<void> start_workers();

  async::Loop& loop_;
  client::Informers& informers_;
  client::Informer &services_, &slices_, &pods_;
  const MeshOptions options_;
  metrics::Registry& registry_;
  metrics::Histogram& apply_latency_;
  static constexpr size_t kTriggersMax = 1000;
  std::vector<std::pair<uint64_t, WallTime>> triggers_;  // update that carries the change, and when it happened
  Discovery discovery_;
  bool adopted_ = false, from_disk_ = false, flush_posted_ = false, unsaved_ = false, started_ = false;
  bool saving_ = false;
  MonoTime started_at_{}, saved_at_{};
  static constexpr uint64_t kCountViewSeconds = 5;   // gauges of the view; a scrape through admin_handler() counts anew
  uint64_t seconds_ = 0;
  std::set<ServiceKey> counted_;                     // services that have gauges
  uint64_t sequence_ = 0;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::map<std::pair<ServiceKey, uint16_t>, std::unique_ptr<Traffic>> traffic_;
  net::Address address_;
  std::optional<net::Address> transparent_address_;
  async::Event applied_;
  async::TaskGroup tasks_;
  struct Disk;
  std::unique_ptr<Disk> disk_;
  std::shared_ptr<bool> alive_;   // posts from workers may arrive after the end
};

}  // namespace rs::mesh
