// What an API server is told when it is made. A value.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"

namespace rs::server {

struct ApiServerOptions {
  std::string service_cidr = "10.43.0.0/16";           // IPv4; the first address is that of default/kubernetes
  uint16_t node_port_first = 30000, node_port_last = 32767;
  // Signs and verifies ServiceAccount tokens: an EC P-256 (ES256) or RSA (RS256) private key, PEM. Empty: no tokens.
  std::string service_account_key;
  std::vector<std::string> service_account_old_keys;   // still verified, no longer used to sign
  std::string issuer = "https://kubernetes.default.svc.cluster.local";
  std::vector<std::string> audiences = {"https://kubernetes.default.svc.cluster.local"};
  std::string ca_certificate;                          // PEM: what clients trust us by
  std::string advertise_address = "127.0.0.1";         // Endpoints of default/kubernetes
  uint16_t advertise_port = 6443;
  Duration bookmark_period = std::chrono::seconds(60);
  Duration request_timeout = std::chrono::seconds(60);
  Duration compaction_interval = std::chrono::minutes(5);   // history kept in the store; zero: never compacted
  bool anonymous = true;                               // false: 401 for who shows no credentials
  bool authorize = true;                               // false: everything is allowed
  bool service_account_admission = true;               // pods need their ServiceAccount; false: only in tests
  std::string version = "v1.32.4+roadstead";
  std::string build_date = "2025-04-22T16:03:58Z", git_commit;
  metrics::Registry* metrics = nullptr;                // for /metrics
};

}  // namespace rs::server
