// Storage: single objects written to the store with optimistic concurrency. A shell over Store and WatchCache.
#pragma once

#include "server/core.h"

namespace rs::server {

// Keys that are taken or given back in the same transaction as the object: allocations (cluster IPs, node ports) that
// stay unique without a lock.
struct Claims {
  std::vector<std::pair<std::string, std::string>> take;   // key, value; the key must be absent
  std::vector<std::string> release;
  bool empty() const { return take.empty() && release.empty(); }
};

struct StoreOutcome {
  enum class Kind { kDone, kExists, kChanged, kGone, kClaimed } kind = Kind::kDone;
  int64_t revision = 0;
  std::optional<store::KeyValue> current;    // kExists, kChanged
  std::vector<std::string> taken;            // kClaimed: the keys that others have
};

class Storage {
 public:
  explicit Storage(Core& core) : core_(core) {}
  // kDone, kExists or kClaimed.
  awaitable<Result<StoreOutcome>> create(std::string key, std::string stored, int64_t ttl_seconds, Claims claims);
  // kDone, kChanged, kGone or kClaimed.
  awaitable<Result<StoreOutcome>> update(std::string key, std::string stored, int64_t expected_revision, Claims claims);
  awaitable<Result<StoreOutcome>> remove(std::string key, int64_t expected_revision, Claims claims);

 private:
  awaitable<Result<StoreOutcome>> run(std::string key, store::TxnRequest txn, Claims claims, int64_t expected_revision);
  awaitable<Result<store::LeaseId>> lease(int64_t ttl_seconds);

  Core& core_;
  // Objects that expire (events) share a lease per minute, as in upstream: fewer leases, at most a minute longer.
  store::LeaseId lease_ = 0;
  MonoTime lease_until_{};
};

}  // namespace rs::server
