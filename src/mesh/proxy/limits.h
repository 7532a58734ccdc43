// The named limits of the data plane, with their defaults.
#pragma once

#include "base/clock.h"

namespace rs::mesh {

struct ProxyLimits {
  Duration connect_timeout = std::chrono::seconds(1);
  Duration response_timeout = std::chrono::seconds(30);   // to the head of the answer; x-request-timeout-ms overrides
  Duration response_timeout_max = std::chrono::hours(1);
  Duration head_timeout = std::chrono::seconds(10);       // from the first byte of a request to the end of its head
  Duration idle_timeout = std::chrono::seconds(180);      // a client's connection between requests
  Duration stream_idle_timeout = std::chrono::minutes(5); // a body without a byte in either direction
  Duration tunnel_idle_timeout = std::chrono::hours(2);
  Duration detect_timeout = std::chrono::seconds(1);
  Duration linger = std::chrono::seconds(1);              // for a client that still sends after an early answer
  Duration upstream_idle = std::chrono::seconds(30);      // a pooled connection
  size_t upstream_idle_max = 64;                          // pooled connections of one endpoint
  size_t connections = 20'000;                            // of one worker
  size_t replay_bytes = 64 << 10;                         // a body up to this is held, so that it can be sent again
  size_t relay_bytes = 32 << 10;                          // buffer of one direction
  int attempts = 3;
};

}  // namespace rs::mesh
