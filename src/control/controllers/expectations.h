// Expectations: what a controller has asked for and not yet seen in its informer (client-go
// UIDTrackingControllerExpectations). While any is open the view is known to be stale, so that nothing is created or
// deleted twice. Pure: times are given. One loop.
#pragma once

#include <map>
#include <set>

#include "api/meta.h"
#include "base/clock.h"

namespace rs::control {

class Expectations {
 public:
  // A lost event must not stop a controller for ever.
  static constexpr Duration kExpiry = std::chrono::minutes(5);

  void expect_creations(const api::ObjectKey& owner, int64_t count, MonoTime now);
  void expect_deletions(const api::ObjectKey& owner, std::set<api::ObjectKey> children, MonoTime now);
  void creation_observed(const api::ObjectKey& owner);   // also: the creation failed
  void deletion_observed(const api::ObjectKey& owner, const api::ObjectKey& child);  // also: it failed
  bool satisfied(const api::ObjectKey& owner, MonoTime now) const;
  void forget(const api::ObjectKey& owner) { open_.erase(owner); }

 private:
  struct Open {
    int64_t creations = 0;
    std::set<api::ObjectKey> deletions;
    MonoTime since{};
  };
  std::map<api::ObjectKey, Open> open_;
};

}  // namespace rs::control
