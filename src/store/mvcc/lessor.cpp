#include "store/mvcc/lessor.h"

#include <algorithm>

#include "base/assert.h"

namespace rs::store::mvcc {

Lease* Lessor::find(LeaseId id) {
  auto it = leases_.find(id);
  return it == leases_.end() ? nullptr : &it->second;
}
const Lease* Lessor::find(LeaseId id) const { return const_cast<Lessor*>(this)->find(id); }

int64_t Lessor::granted_ttl(int64_t ttl_seconds) { return std::max(ttl_seconds, kMinTtlSeconds); }

void Lessor::schedule(Lease& lease, MonoTime expiry) {
  by_expiry_.erase({lease.expiry, lease.id});
  lease.expiry = expiry;
  by_expiry_.insert({expiry, lease.id});
}

namespace {
// Far enough away for any clock, near enough not to overflow one.
MonoTime end_of(MonoTime now, int64_t ttl_seconds) {
  constexpr int64_t kFarSeconds = 4'000'000'000;
  return now + std::chrono::seconds(std::min(ttl_seconds, kFarSeconds));
}
}  // namespace

void Lessor::grant(LeaseId id, int64_t ttl_seconds, MonoTime now) {
  Lease& lease = leases_[id];
  lease.id = id;
  lease.ttl_seconds = ttl_seconds;
  schedule(lease, end_of(now, ttl_seconds));
  schedule_checkpoint(lease, now);
}

void Lessor::restore(const StoredLease& stored, MonoTime now) {
  grant(stored.id, stored.ttl_seconds, now);
  if (stored.remaining_seconds == 0) return;
  Lease& lease = leases_.at(stored.id);
  lease.checkpoint_seconds = stored.remaining_seconds;
  schedule(lease, end_of(now, stored.remaining_seconds));
}

void Lessor::schedule_checkpoint(Lease& lease, MonoTime now) {
  by_checkpoint_.erase({lease.checkpoint_due, lease.id});
  if (lease.expiry - now <= kCheckpointInterval) return;
  lease.checkpoint_due = now + kCheckpointInterval;
  by_checkpoint_.insert({lease.checkpoint_due, lease.id});
}

std::vector<StoredLease> Lessor::checkpoints(MonoTime now, size_t limit) {
  std::vector<StoredLease> out;
  while (out.size() < limit && !by_checkpoint_.empty() && by_checkpoint_.begin()->first <= now) {
    Lease& lease = leases_.at(by_checkpoint_.begin()->second);
    schedule_checkpoint(lease, now);
    const int64_t remaining = remaining_seconds(lease, now);
    if (remaining == 0 || lease.revoking) continue;
    lease.checkpoint_seconds = remaining;
    out.push_back({lease.id, lease.ttl_seconds, remaining});
  }
  return out;
}

void Lessor::forget(LeaseId id) {
  auto it = leases_.find(id);
  if (it == leases_.end()) return;
  by_expiry_.erase({it->second.expiry, id});
  by_checkpoint_.erase({it->second.checkpoint_due, id});
  leases_.erase(it);
}

void Lessor::attach(LeaseId id, std::string_view key) {
  if (Lease* lease = find(id)) lease->keys.emplace(key);
}
void Lessor::detach(LeaseId id, std::string_view key) {
  Lease* lease = find(id);
  if (lease == nullptr) return;
  if (auto it = lease->keys.find(key); it != lease->keys.end()) lease->keys.erase(it);
}

void Lessor::renew(Lease& lease, MonoTime now) {
  schedule(lease, end_of(now, lease.ttl_seconds));
  if (!by_checkpoint_.contains({lease.checkpoint_due, lease.id})) schedule_checkpoint(lease, now);
}

int64_t Lessor::remaining_seconds(const Lease& lease, MonoTime now) {
  return std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(lease.expiry - now).count());
}

std::vector<LeaseId> Lessor::due(MonoTime now, size_t limit) const {
  std::vector<LeaseId> ids;
  for (const auto& [expiry, id] : by_expiry_) {
    if (expiry > now || ids.size() >= limit) break;
    if (!leases_.at(id).revoking) ids.push_back(id);
  }
  return ids;
}

void Lessor::reset(const std::map<LeaseId, StoredLease>& kept, MonoTime now) {
  for (LeaseId id : ids()) {
    if (!kept.contains(id)) forget(id);
  }
  for (const auto& [id, stored] : kept) {
    Lease* lease = find(id);
    if (lease == nullptr) {
      restore(stored, now);
    } else {
      lease->keys.clear();
      lease->revoking = false;
      lease->checkpoint_seconds = stored.remaining_seconds;
    }
  }
}

std::vector<LeaseId> Lessor::ids() const {
  std::vector<std::pair<MonoTime, LeaseId>> order(by_expiry_.begin(), by_expiry_.end());
  std::vector<LeaseId> out;
  for (const auto& [expiry, id] : order) out.push_back(id);
  return out;
}

}  // namespace rs::store::mvcc
