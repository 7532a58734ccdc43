// EtcdService: the etcd v3 API (reference etcd-api.md A) over an Embedded store.
//
// Unary calls are answered without a coroutine: decoded, evaluated at once, and answered when they are durable. One loop,
// the store's. Order of life: store, service, server; stop the server, then the service, then close the store.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "async/task_group.h"
#include "base/metrics.h"
#include "net/grpc.h"
#include "store/embedded.h"
#include "store/engine/worker.h"
#include "store/etcd/auth_service.h"
#include "store/etcd/caller.h"
#include "store/etcd/election_service.h"
#include "store/etcd/health_checks.h"
#include "store/etcd/lock_service.h"
#include "store/etcd/messages.h"
#include "store/etcd/metrics_text.h"
#include "store/etcd/methods.h"

namespace rs::store::etcd {

class WatchStream;
namespace gateway {
class Gateway;
}

struct EtcdOptions {
  std::string name = "default";
  std::vector<std::string> client_urls = {"http://localhost:2379"};  // advertised
  std::vector<std::string> peer_urls = {"http://localhost:2380"};
  size_t max_request_bytes = 3 * 512 * 1024;
  size_t max_txn_ops = 128;
  Duration progress_notify_interval = std::chrono::minutes(10);
  metrics::Registry* metrics = nullptr;      // whose metrics /metrics shows beside the service's own
  bool gateway = true;                       // answers JSON under /v3/
  bool measure_calls = false;                // /metrics has histograms of how long calls take
  std::vector<std::string> cors = {"*"};     // origins whose pages may read answers
  std::vector<std::string> host_whitelist = {"*"};  // names that an HTTP request without TLS may be for
  std::filesystem::path scratch_directory = "/tmp";  // where a snapshot is gathered, on the store's disk at best
  GuardOptions guard;
  std::shared_ptr<auth::Tokens> tokens;      // null: simple ones that live for five minutes
};

// The API level whose rules the service follows, where clients ask for one.
inline constexpr std::string_view kEtcdVersion = "3.6.14";
inline constexpr std::string_view kClusterVersion = "3.6.0";

class EtcdService {
 public:
  EtcdService(async::Loop& loop, Embedded& store, EtcdOptions options);
  ~EtcdService();
  // Adds every method to server; before it serves.
  void add_to(net::grpc::Server& server) { methods_.add_to(server); }
  Methods& methods() { return methods_; }
  // What a gRPC server with this service should be made with: limits, and the HTTP side of the same port.
  net::grpc::ServerOptions server_options();
  // The HTTP side of the port (A.13): /version, /health, /livez, /readyz, /metrics, and JSON under /v3/.
  awaitable<void> http(net::Request& request, net::ResponseWriter& writer);
  // Of a port that only tells how the store is: /metrics, /health, /livez, /readyz.
  awaitable<void> http_of_metrics(net::Request& request, net::ResponseWriter& writer);
  awaitable<void> stop();
  // Whether the users and roles that the store holds were understood. When not (kDataLoss), every call is refused.
  const Result<void>& auth_loaded() const { return auth_loaded_; }

 private:
  friend class WatchStream;
  using Method = void (EtcdService::*)(std::string_view message, Responder responder);
  using StreamMethod = awaitable<net::grpc::Status> (EtcdService::*)(net::grpc::ServerStream& stream);
  using CheckingMethod = void (EtcdService::*)(const Caller& caller, std::string_view message, Responder responder);

  void add_kv();
  void add_lease();
  void add_cluster();
  void add_maintenance();
  void add_watch();
  void method(std::string path, Method method, Needs needs = Needs::kRoot);
  // One that asks of its caller what depends on the request.
  void method(std::string path, CheckingMethod method);
  // kNothing: it asks by itself.
  void stream(std::string path, StreamMethod method, Needs needs = Needs::kRoot);

  void range(const Caller& caller, std::string_view message, Responder responder);
  void put(const Caller& caller, std::string_view message, Responder responder);
  void delete_range(const Caller& caller, std::string_view message, Responder responder);
  void txn(const Caller& caller, std::string_view message, Responder responder);
  void compact(std::string_view message, Responder responder);
  void lease_grant(std::string_view message, Responder responder);
  void lease_revoke(const Caller& caller, std::string_view message, Responder responder);
  void lease_time_to_live(const Caller& caller, std::string_view message, Responder responder);
  void lease_leases(const Caller& caller, std::string_view message, Responder responder);
  void member_list(std::string_view message, Responder responder);
  void member_add(std::string_view message, Responder responder);
  void member_remove(std::string_view message, Responder responder);
  void member_update(std::string_view message, Responder responder);
  void member_promote(std::string_view message, Responder responder);
  void alarm(const Caller& caller, std::string_view message, Responder responder);
  void status(std::string_view message, Responder responder);
  void defragment(std::string_view message, Responder responder);
  void hash(std::string_view message, Responder responder);
  void hash_kv(std::string_view message, Responder responder);
  void move_leader(std::string_view message, Responder responder);
  void downgrade(std::string_view message, Responder responder);
  void health_check(std::string_view message, Responder responder);

  awaitable<void> answer_hash(Revision revision, bool with_revisions, Responder responder);
  awaitable<void> large_range(RangeRequest request, Responder responder);
  awaitable<net::grpc::Status> guarded(StreamMethod method, Needs needs, net::grpc::ServerStream& stream);
  awaitable<net::grpc::Status> watch(net::grpc::ServerStream& stream);
  awaitable<net::grpc::Status> lease_keep_alive(net::grpc::ServerStream& stream);
  awaitable<net::grpc::Status> range_stream(net::grpc::ServerStream& stream);
  awaitable<net::grpc::Status> snapshot(net::grpc::ServerStream& stream);
  awaitable<net::grpc::Status> health_watch(net::grpc::ServerStream& stream);
  awaitable<void> notify_progress();

  void write_member(Writer& out, uint32_t field) const;
  void write_alarms(Writer& out, int64_t only) const;
  bool too_large(std::string_view message, Responder& responder) const;
  // For metrics: the request of a call whose metadata these are.
  void count_request(const net::Headers& metadata, bool streaming);
  void write_requests(MetricsText& out) const;
  bool observe(const net::Request& request, const net::Target& target, net::Response& response);
  std::string metrics_text();

  async::Loop& loop_;
  Embedded& store_;
  const EtcdOptions options_;
  const Ids ids_;
  Methods methods_;
  // For metrics; plain numbers of the loop.
  struct Counts {
    uint64_t large_ranges = 0;                      // that the machine does not see
    uint64_t events_queued = 0, events_sent = 0;    // to watchers
    struct Requests {
      uint64_t unary = 0, stream = 0;
    };
    std::map<std::string, Requests, std::less<>> requests;  // by what version clients say they are
    std::pair<const std::string, Requests>* last_client = nullptr;  // of requests: most are of one
    int hashes = 0;                                 // under way
  } counts_;
  // Null when there is nobody to tell.
  struct Latencies {
    explicit Latencies(metrics::Registry* registry);
    metrics::Histogram *hash = nullptr, *hash_kv = nullptr, *snapshot = nullptr, *defragment = nullptr;
  } latencies_;
  HealthChecks health_;
  Guard guard_;
  const Result<void> auth_loaded_;
  AuthService auth_;
  WaitingLine line_;
  LockService lock_;
  ElectionService election_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::vector<std::string> peer_urls_;
  std::set<WatchStream*> streams_;
  // The header of answers at a revision, as thousands of watchers are told it one after the other.
  std::string_view encoded_header(Revision revision);
  Revision header_revision_ = -1;
  std::string header_;
  std::unique_ptr<engine::Worker> snapshot_worker_ = 
      std::make_unique<engine::Worker>(loop_, "store-snapshot", engine::Worker::Priority::kBackground);
  int snapshots_ = 0;  // under way
  async::TaskGroup tasks_;
};

// The status that a client of etcd sees for an error of the store.
net::grpc::Status to_status(const Error& error);

}  // namespace rs::store::etcd
