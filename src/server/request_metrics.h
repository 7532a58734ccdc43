// What /metrics says of requests and caches; names as kube-apiserver's where it has them. One loop.
#pragma once

#include "server/core.h"
#include "server/request_info.h"

namespace rs::server {

class RequestMetrics {
 public:
  explicit RequestMetrics(Core& core);
  ~RequestMetrics() { *alive_ = false; }
  RequestMetrics(const RequestMetrics&) = delete;
  RequestMetrics& operator=(const RequestMetrics&) = delete;
  // kTooManyRequests when too many requests are under way (--max-requests-inflight); leave() after each that entered.
  Result<void> enter(bool mutating);
  void leave(bool mutating);
  void finished(const RequestInfo& info, int status, Duration took);

 private:
  static constexpr size_t kReadLimit = 400, kWriteLimit = 200;
  Core& core_;
  size_t reading_ = 0, writing_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);   // the registry outlives this object
};

}  // namespace rs::server
