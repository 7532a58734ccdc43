// Caller: who makes one call, asked only when it matters: the answer is made of the call's metadata
// and certificate when authentication is on, and nobody looks at them when it is off. A value to
// pass on while the call's info lives; whoever goes on after that keeps identity().
#pragma once

#include "store/etcd/guard.h"

namespace rs::store::etcd {

// What a method asks of its caller before it looks at the request.
enum class Needs { kNothing, kUser, kRoot };

class Caller {
 public:
  Caller(Guard& guard, const net::grpc::CallInfo& info) : guard_(&guard), info_(&info) {}

  // Each answers nothing when the caller may, else the error it is to get.
  auth::Refusal refuse(Needs needs) const {
    if (!guard_->enabled()) [[likely]]
      return std::nullopt;
    return needs == Needs::kNothing ? std::nullopt : refuse_level(needs);
  }
  // A RangeRequest, PutRequest, DeleteRangeRequest or TxnRequest.
  template <class Request>
  auth::Refusal refuse(const Request& request) const {
    if (!guard_->enabled()) [[likely]]
      return std::nullopt;
    return refuse_request(request);
  }
  auth::Refusal refuse_keys(auth::Permission::Type need, std::string_view key,
                            std::string_view range_end) const {
    if (!guard_->enabled()) [[likely]]
      return std::nullopt;
    auto who = identity();
    return who ? guard_->auth().check(*who, need, key, range_end) : who.error();
  }
  // need on every key of a lease.
  auth::Refusal refuse_lease(auth::Permission::Type need, LeaseId id) const {
    if (!guard_->enabled()) [[likely]]
      return std::nullopt;
    auto who = identity();
    return who ? guard_->auth().check_lease(*who, need, id) : who.error();
  }
  auth::Refusal refuse_all_leases() const {
    if (!guard_->enabled()) [[likely]]
      return std::nullopt;
    auto who = identity();
    return who ? guard_->auth().check_all_leases(*who) : who.error();
  }
  Result<auth::Identity> identity() const {
    if (!guard_->enabled()) [[likely]]
      return auth::Identity{};
    return guard_->identify(*info_);
  }

 private:
  auth::Refusal refuse_level(Needs needs) const {
    auto who = identity();
    if (!who) return who.error();
    return needs == Needs::kRoot ? guard_->auth().check_root(*who)
                                 : guard_->auth().check_anybody(*who);
  }
  template <class Request>
  auth::Refusal refuse_request(const Request& request) const {
    auto who = identity();
    return who ? guard_->auth().check(*who, request) : who.error();
  }

  Guard* guard_;
  const net::grpc::CallInfo* info_;
};

}  // namespace rs::store::etcd
