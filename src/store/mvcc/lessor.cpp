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
}

void Lessor::forget(LeaseId id) {
  auto it = leases_.find(id);
  if (it == leases_.end()) return;
  by_expiry_.erase({it->second.expiry, id});
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

void Lessor::renew(Lease& lease, MonoTime now) { schedule(lease, end_of(now, lease.ttl_seconds)); }

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

void Lessor::reset(const std::map<LeaseId, int64_t>& ttl_by_kept_id, MonoTime now) {
  for (LeaseId id : ids()) {
    if (!ttl_by_kept_id.contains(id)) forget(id);
  }
  for (const auto& [id, ttl] : ttl_by_kept_id) {
    Lease* lease = find(id);
    if (lease == nullptr) {
      grant(id, ttl, now);
    } else {
      lease->keys.clear();
      lease->revoking = false;
    }
  }
}

void Lessor::extend_all(MonoTime now) {
  for (auto& [id, lease] : leases_) renew(lease, now);
}

std::vector<LeaseId> Lessor::ids() const {
  std::vector<std::pair<MonoTime, LeaseId>> order(by_expiry_.begin(), by_expiry_.end());
  std::vector<LeaseId> out;
  for (const auto& [expiry, id] : order) out.push_back(id);
  return out;
}

}  // namespace rs::store::mvcc
