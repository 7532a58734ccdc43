// Probes and lifecycle hooks: one attempt at an httpGet, tcpSocket, exec or grpc action, and the counting of attempts.
// Source: core/v1 Probe, pkg/probe (messages as the kubelet's).
#pragma once

#include <string>

#include "base/json.h"
#include "net/stream.h"
#include "node/runtime/runtime.h"

namespace rs::node {

struct ProbeSettings {
  Duration initial_delay{}, period{}, timeout{};
  int successes = 1, failures = 3;
};
ProbeSettings probe_settings(const Json& probe);

// Counts results into a verdict: changes only after enough equal results in a row.
class ProbeCounter {
 public:
  ProbeCounter(const ProbeSettings& settings, bool verdict) : settings_(settings), verdict_(verdict) {}
  // The verdict after this result.
  bool add(bool success) {
    count_ = success == last_ ? count_ + 1 : 1;
    last_ = success;
    if (count_ >= (success ? settings_.successes : settings_.failures)) verdict_ = success;
    return verdict_;
  }
  bool exhausted() const { return !last_ && count_ >= settings_.failures; }

 private:
  ProbeSettings settings_;
  bool verdict_, last_ = false;
  int count_ = 0;
};

// Before its first success a probe is asked again soon (50 ms, doubling), so that a pod is ready when its program is,
// not a period later; such early failures are not counted.
Duration early_retry(int attempt, Duration period);

struct ActionTarget {
  std::string uid, container, ip;
  Json container_spec;        // for ports by name
};

struct ActionTools {
  async::Loop& loop;
  net::Network& network;
  Runtime& runtime;
};

// action: an object with httpGet, tcpSocket, exec, grpc or sleep (a Probe or a LifecycleHandler). The error's message is
// what the event says behind "Liveness probe failed: ".
awaitable<Result<void>> run_action(ActionTools tools, ActionTarget target, Json action, Duration timeout);
awaitable<Result<void>> run_grpc_check(ActionTools tools, std::string ip, uint16_t port, std::string service, Duration timeout);
Result<uint16_t> resolve_port(const Json* port, const Json& container);

}  // namespace rs::node
