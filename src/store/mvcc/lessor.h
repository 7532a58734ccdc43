// Lessor: leases, their keys and their ends (reference etcd-api.md A.7). Pure: time comes in as a value, and expire()
// only names what is due; the caller proposes the revocations, because deleting keys is a transaction.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "store/mvcc/record.h"
#include "store/store.h"

namespace rs::store::mvcc {

struct Lease {
  LeaseId id = 0;
  int64_t ttl_seconds = 0;       // granted
  MonoTime expiry;
  std::set<std::string, std::less<>> keys;
  bool revoking = false;         // a revocation is under way: it can no longer be renewed
  int64_t checkpoint_seconds = 0;  // what the disk says is left; 0: it says nothing, and a restart gives it all again
  MonoTime checkpoint_due{Duration::max()};
};

class Lessor {
 public:
  static constexpr int64_t kMaxTtlSeconds = 9'000'000'000;
  static constexpr int64_t kMinTtlSeconds = 2;
  // Longer leases have their remaining time written down this often (etcd's LeaseCheckpoint), so that no row of restarts
  // keeps one alive for ever.
  static constexpr Duration kCheckpointInterval = std::chrono::minutes(5);

  Lease* find(LeaseId id);
  const Lease* find(LeaseId id) const;
  // The TTL that a grant of ttl_seconds gets.
  static int64_t granted_ttl(int64_t ttl_seconds);
  void grant(LeaseId id, int64_t ttl_seconds, MonoTime now);
  // As the disk has it: its whole time, or what was left at its last checkpoint.
  void restore(const StoredLease& stored, MonoTime now);
  void forget(LeaseId id);
  void attach(LeaseId id, std::string_view key);
  void detach(LeaseId id, std::string_view key);
  void renew(Lease& lease, MonoTime now);
  static int64_t remaining_seconds(const Lease& lease, MonoTime now);
  // Leases past their end that are not being revoked, oldest first, at most limit.
  std::vector<LeaseId> due(MonoTime now, size_t limit) const;
  // The next checkpoints: of leases whose time for one has come, at most limit, as they go to disk. Each is due again
  // after an interval.
  std::vector<StoredLease> checkpoints(MonoTime now, size_t limit);
  // Forgets every lease that kept does not name, and all keys of the rest.
  void reset(const std::map<LeaseId, StoredLease>& kept, MonoTime now);
  std::vector<LeaseId> ids() const;
  size_t size() const { return leases_.size(); }

 private:
  void schedule(Lease& lease, MonoTime expiry);
  void schedule_checkpoint(Lease& lease, MonoTime now);
  std::unordered_map<LeaseId, Lease> leases_;
  std::set<std::pair<MonoTime, LeaseId>> by_expiry_, by_checkpoint_;
};

}  // namespace rs::store::mvcc
