#include "control/controllers/expectations.h"

namespace rs::control {

void Expectations::expect_creations(const api::ObjectKey& owner, int64_t count, MonoTime now) {
  Open& open = open_[owner];
  open.creations = count;
  open.since = now;
}

void Expectations::expect_deletions(const api::ObjectKey& owner, std::set<api::ObjectKey> children, MonoTime now) {
  Open& open = open_[owner];
  open.deletions = std::move(children);
  open.since = now;
}

void Expectations::creation_observed(const api::ObjectKey& owner) {
  auto it = open_.find(owner);
  if (it != open_.end() && it->second.creations > 0) --it->second.creations;
}

void Expectations::deletion_observed(const api::ObjectKey& owner, const api::ObjectKey& child) {
  auto it = open_.find(owner);
  if (it != open_.end()) it->second.deletions.erase(child);
}

bool Expectations::satisfied(const api::ObjectKey& owner, MonoTime now) const {
  auto it = open_.find(owner);
  if (it == open_.end()) return true;
  const Open& open = it->second;
  return (open.creations <= 0 && open.deletions.empty()) || now - open.since > kExpiry;
}

}  // namespace rs::control
