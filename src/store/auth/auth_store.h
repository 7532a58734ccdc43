// AuthStore: decides, from auth::State, who a caller is and what it may do (etcd's
// server/auth/store.go and apply_auth.go). Everything is allowed while it is not enabled. Pure but
// for the tokens' clock; one loop.
//
// Checks answer nothing when the request is allowed, and the error for the client when it is not.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "store/auth/access.h"
#include "store/auth/state.h"
#include "store/auth/tokens.h"
#include "store/mvcc/lessor.h"
#include "store/store.h"

namespace rs::store::auth {

using Refusal = std::optional<Error>;

class AuthStore {
 public:
  // lessor: whose leases have which keys; both outlive this.
  AuthStore(std::shared_ptr<Tokens> tokens, const mvcc::Lessor& lessor);

  bool enabled() const { return enabled_; }
  const State& state() const { return *state_; }
  std::shared_ptr<const State> snapshot() const { return state_; }
  // From now on. Tokens of users who are gone, or have another password, are good no more.
  void install(std::shared_ptr<const State> state);

  // kUnauthorized when it is nobody's.
  Result<Identity> identify(std::string_view token);
  // Who has proved its name otherwise: with a certificate.
  Identity identity_of(std::string_view user) const {
    return {std::string(user), state_->revision};
  }
  Result<std::string> issue_token(std::string_view user) {
    return tokens_->issue(user, state_->revision);
  }

  Refusal check(const Identity& who, Permission::Type need, std::string_view key,
                std::string_view range_end);
  Refusal check_root(const Identity& who);
  Refusal check_anybody(const Identity& who) const;
  Refusal check(const Identity& who, const RangeRequest& request);
  Refusal check(const Identity& who, const PutRequest& request);
  Refusal check(const Identity& who, const DeleteRangeRequest& request);
  // Every compare and every operation of both branches, at any depth.
  Refusal check(const Identity& who, const TxnRequest& request);
  // need on every key of the lease; an unknown lease has none.
  Refusal check_lease(const Identity& who, Permission::Type need, LeaseId id);
  Refusal check_all_leases(const Identity& who);
  bool has_role(const Identity& who, std::string_view role) const;

 private:
  const Access* access(std::string_view user);
  bool is_root(const Identity& who);
  Refusal check_keys(const Identity& who, Permission::Type need, const mvcc::Lease& lease);
  Refusal check(const Identity& who, const Op& op);

  std::shared_ptr<Tokens> tokens_;
  const mvcc::Lessor& lessor_;
  std::shared_ptr<const State> state_;
  bool enabled_ = false;
  std::map<std::string, Access, std::less<>> access_;  // of users who called since the last change
};

}  // namespace rs::store::auth
