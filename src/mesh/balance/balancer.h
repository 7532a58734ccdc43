// Balancer: which endpoint of one port of one service gets a request. Pure: time and random numbers are arguments.
//
// - Power of two choices over peak-EWMA latency times requests in flight (reference mesh.md D.1, D.2).
// - A failed request counts as a slow one (kFailurePenalty), so that failing fast does not look attractive.
// - Ejection after consecutive failures, with growing pauses and a probation of one live request (D.5); hosts whose
//   success rate lies far below the others' are ejected too.
// - Panic: when less than half could be chosen, ejection is ignored, but for those that just refused a connection.
// - Nothing goes to draining endpoints. Terminating ones that still serve are used when there is no other (KEP-1669).
// One per worker; one loop. Nodes stay valid for requests in flight after their endpoint has gone.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/random.h"
#include "mesh/balance/ewma.h"
#include "mesh/discovery/model.h"

namespace rs::mesh {

enum class Outcome {
  kSuccess,         // any answer that does not speak of a failing server
  kServerError,     // 5xx other than the next
  kGatewayError,    // 502, 503, 504, 429: it cannot serve now
  kConnectFailure,  // refused, unreachable, timed out, or broken before an answer
  kUnjudged,        // the client left; nothing is learnt
};

struct BalancerLimits {
  static constexpr int kServerErrors = 7;        // consecutive, until ejected
  static constexpr int kGatewayErrors = 5;
  static constexpr int kConnectFailures = 2;     // 1 when the view is stale
  static constexpr Duration kFirstEjection = std::chrono::seconds(1);
  static constexpr Duration kLongestEjection = std::chrono::seconds(60);
  static constexpr Duration kFailurePenalty = std::chrono::seconds(5);
  static constexpr Duration kRefusedRecently = std::chrono::seconds(1);
  static constexpr Duration kRateInterval = std::chrono::seconds(10);
  static constexpr uint64_t kRateRequests = 100; // per host and interval
  static constexpr size_t kRateHosts = 5;
  static constexpr double kRateDeviations = 1.9;
  static constexpr int kEffort = 5;
};

class Balancer {
 public:
  struct Node {
    explicit Node(Endpoint e, MonoTime now) : endpoint(std::move(e)), ewma(now) {}
    Endpoint endpoint;
    PeakEwma ewma;
    uint32_t in_flight = 0;
    bool present = true;         // still in the view
    bool ejected = false;
    bool probing = false;        // the one request of its probation is under way
    bool refused = false;
    int server_errors = 0, gateway_errors = 0, connect_failures = 0, ejections = 0;
    MonoTime ejected_until{}, refused_at{};
    uint64_t interval_requests = 0, interval_successes = 0;

    double load(MonoTime now) const { return ewma.value(now) * (in_flight + 1); }
  };
  using NodePtr = std::shared_ptr<Node>;

  // Keeps what is known of endpoints that stay.
  void update(const Resolution& resolution, MonoTime now);

  // Null: there is no endpoint that may be used. tried are taken only when there is no other.
  NodePtr pick(MonoTime now, Random& random, std::span<const NodePtr> tried = {});
  // Each started request is finished once. rtt: to the first byte of the answer, or to its failure.
  void started(Node& node, MonoTime now);
  void finished(Node& node, Outcome outcome, Duration rtt, MonoTime now, Random& random, bool stale_view = false);
  // Periodic work; call about every second.
  void tick(MonoTime now, Random& random);

  const std::vector<NodePtr>& nodes() const { return nodes_; }
  size_t usable() const { return usable_.size(); }
  size_t ejected(MonoTime now) const;

 private:
  bool available(const Node& node, MonoTime now) const;
  void eject(Node& node, MonoTime now, Random& random);
  std::vector<NodePtr> nodes_;      // all in the view
  std::vector<NodePtr> usable_;     // those that new work may go to
  MonoTime rates_from_{};
};

}  // namespace rs::mesh
