// HealthChecks: /health, /livez and /readyz as etcd 3.6 answers them (etcdhttp/health.go; reference
// etcd-api.md A.13). One loop, the store's.
#pragma once

#include <array>

#include "net/http.h"
#include "store/embedded.h"
#include "store/etcd/metrics_text.h"

namespace rs::store::etcd {

class HealthChecks {
 public:
  explicit HealthChecks(Embedded& store);
  // Fills response; false: the path is none of these.
  bool answer(std::string_view method, const net::Target& target, net::Response& response);
  void write_metrics(MetricsText& out) const;

 private:
  using Run = Result<void> (HealthChecks::*)();
  struct Check {
    std::string_view endpoint, name;
    Run run;
    uint64_t successes = 0, failures = 0;
    bool ok = false;  // the last time
  };
  Result<void> data_corruption();
  Result<void> serializable_read();
  Result<void> linearizable_read();
  Result<void> non_learner();
  Result<void> read(bool serializable);
  // The line of one check.
  bool run(Check& check, std::string& report);
  void health(const net::Target& target, net::Response& response);
  void checks(const net::Target& target, std::string_view endpoint, std::string_view only,
              net::Response& response);

  Embedded& store_;
  std::array<Check, 5> checks_;
  uint64_t successes_ = 0, failures_ = 0;  // of /health
};

}  // namespace rs::store::etcd
