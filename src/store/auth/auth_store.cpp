#include "store/auth/auth_store.h"

#include <algorithm>

#include "store/auth/errors.h"

namespace rs::store::auth {

using Type = Permission::Type;

AuthStore::AuthStore(std::shared_ptr<Tokens> tokens, const mvcc::Lessor& lessor)
    : tokens_(std::move(tokens)), lessor_(lessor), state_(std::make_shared<const State>()) {}

void AuthStore::install(std::shared_ptr<const State> state) {
  if (!state->enabled) {
    tokens_->drop_all();
  } else {
    for (const auto& [name, user] : state_->users) {
      auto now = state->users.find(name);
      if (now == state->users.end() || now->second.password_hash != user.password_hash)
        tokens_->drop_user(name);
    }
  }
  state_ = std::move(state);
  enabled_ = state_->enabled;
  access_.clear();
}

Result<Identity> AuthStore::identify(std::string_view token) {
  auto who = tokens_->find(token, state_->revision);
  if (!who) return fail(errors::invalid_auth_token());
  return std::move(*who);
}

const Access* AuthStore::access(std::string_view user) {
  if (auto it = access_.find(user); it != access_.end()) return &it->second;
  auto known = state_->users.find(user);
  if (known == state_->users.end()) return nullptr;
  return &access_.emplace(std::string(user), access_of(*state_, known->second)).first->second;
}

Refusal AuthStore::check(const Identity& who, Type need, std::string_view key,
                         std::string_view range_end) {
  if (!enabled_) return std::nullopt;
  if (who.revision == 0) return errors::user_empty();
  if (who.revision < state_->revision) return errors::auth_old_revision();
  const Access* allowed = access(who.user);
  if (allowed == nullptr) return errors::permission_denied();
  if (allowed->root) return std::nullopt;
  const KeyRanges& ranges = need == Type::kRead ? allowed->read : allowed->write;
  if (!ranges.covers(key, range_end)) return errors::permission_denied();
  return std::nullopt;
}

Refusal AuthStore::check_root(const Identity& who) {
  if (!enabled_) return std::nullopt;
  if (who.user.empty()) return errors::user_empty();
  const Access* allowed = access(who.user);
  if (allowed == nullptr) return errors::user_not_found();
  if (!allowed->root) return errors::permission_denied();
  return std::nullopt;
}

Refusal AuthStore::check_anybody(const Identity& who) const {
  if (enabled_ && who.revision == 0) return errors::user_empty();
  return std::nullopt;
}

bool AuthStore::is_root(const Identity& who) {
  return !check_root(who);
}

bool AuthStore::has_role(const Identity& who, std::string_view role) const {
  auto user = state_->users.find(who.user);
  return user != state_->users.end() &&
         std::binary_search(user->second.roles.begin(), user->second.roles.end(), role);
}

Refusal AuthStore::check(const Identity& who, const RangeRequest& request) {
  return check(who, Type::kRead, request.key, request.range_end);
}

Refusal AuthStore::check(const Identity& who, const PutRequest& request) {
  if (auto refused = check(who, Type::kWrite, request.key, {})) return refused;
  // A lease can be revoked with all its keys: who cannot write them all has no business with it.
  if (request.lease != 0) {
    if (auto refused = check_lease(who, Type::kWrite, request.lease)) return refused;
  }
  if (request.prev_kv) return check(who, Type::kRead, request.key, {});
  return std::nullopt;
}

Refusal AuthStore::check(const Identity& who, const DeleteRangeRequest& request) {
  if (auto refused = check(who, Type::kWrite, request.key, request.range_end)) return refused;
  if (request.prev_kv) return check(who, Type::kRead, request.key, request.range_end);
  return std::nullopt;
}

Refusal AuthStore::check(const Identity& who, const Op& op) {
  if (auto* nested = std::get_if<std::shared_ptr<const TxnRequest>>(&op))
    return *nested == nullptr ? std::nullopt : check(who, **nested);
  if (auto* range = std::get_if<RangeRequest>(&op)) return check(who, *range);
  if (auto* put = std::get_if<PutRequest>(&op)) return check(who, *put);
  return check(who, std::get<DeleteRangeRequest>(op));
}

Refusal AuthStore::check(const Identity& who, const TxnRequest& request) {
  if (!enabled_) return std::nullopt;
  // An empty transaction says nothing of any key; still somebody has to ask for it.
  if (auto refused = check_anybody(who)) return refused;
  for (const Compare& compare : request.compares) {
    if (auto refused = check(who, Type::kRead, compare.key, compare.range_end)) return refused;
  }
  for (const auto* branch : {&request.success, &request.failure}) {
    for (const Op& op : *branch) {
      if (auto refused = check(who, op)) return refused;
    }
  }
  return std::nullopt;
}

Refusal AuthStore::check_keys(const Identity& who, Type need, const mvcc::Lease& lease) {
  for (const std::string& key : lease.keys) {
    if (auto refused = check(who, need, key, {})) return refused;
  }
  return std::nullopt;
}

Refusal AuthStore::check_lease(const Identity& who, Type need, LeaseId id) {
  if (!enabled_) return std::nullopt;
  if (auto refused = check_anybody(who)) return refused;
  const mvcc::Lease* lease = lessor_.find(id);
  if (lease == nullptr || is_root(who)) return std::nullopt;
  return check_keys(who, need, *lease);
}

Refusal AuthStore::check_all_leases(const Identity& who) {
  if (!enabled_) return std::nullopt;
  if (auto refused = check_anybody(who)) return refused;
  if (is_root(who)) return std::nullopt;
  for (LeaseId id : lessor_.ids()) {
    if (auto refused = check_keys(who, Type::kRead, *lessor_.find(id))) return refused;
  }
  return std::nullopt;
}

}  // namespace rs::store::auth
