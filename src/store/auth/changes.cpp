#include "store/auth/changes.h"

#include <algorithm>
#include <tuple>

#include "store/auth/errors.h"

namespace rs::store::auth {
namespace {

bool has_role(const User& user, std::string_view role) {
  return std::binary_search(user.roles.begin(), user.roles.end(), role);
}

bool take_role(User& user, std::string_view role) {
  return std::erase(user.roles, role) > 0;
}

// A key alone, a range that holds something, or every key from one on.
bool valid_range(const Permission& permission) {
  if (permission.key.empty()) return false;
  if (permission.range_end.empty() || permission.range_end == std::string_view("\0", 1))
    return true;
  return permission.key < permission.range_end;
}

}  // namespace

Result<void> enable(State& state) {
  if (state.enabled) return {};
  auto root = state.users.find(kRoot);
  if (root == state.users.end()) return fail(errors::root_user_missing());
  if (!has_role(root->second, kRoot)) return fail(errors::root_role_missing());
  state.enabled = true;
  return {};
}

Result<void> disable(State& state) {
  if (!state.enabled) return {};
  state.enabled = false;
  ++state.revision;
  return {};
}

Result<void> add_user(State& state, User user) {
  if (user.name.empty()) return fail(errors::user_empty());
  std::string name = user.name;
  if (!state.users.try_emplace(std::move(name), std::move(user)).second)
    return fail(errors::user_exists());
  ++state.revision;
  return {};
}

Result<void> delete_user(State& state, std::string_view name) {
  // Without root nobody could switch it off again.
  if (state.enabled && name == kRoot) return fail(errors::invalid_auth_management());
  auto it = state.users.find(name);
  if (it == state.users.end()) return fail(errors::user_not_found());
  state.users.erase(it);
  ++state.revision;
  return {};
}

Result<void> set_password(State& state, std::string_view name, std::string hash) {
  auto it = state.users.find(name);
  if (it == state.users.end()) return fail(errors::user_not_found());
  if (!it->second.no_password) it->second.password_hash = std::move(hash);
  ++state.revision;
  return {};
}

Result<void> grant_role(State& state, std::string_view user, std::string_view role) {
  auto it = state.users.find(user);
  if (it == state.users.end()) return fail(errors::user_not_found());
  if (role != kRoot && !state.roles.contains(role)) return fail(errors::role_not_found());
  auto& roles = it->second.roles;
  if (has_role(it->second, role)) return {};
  roles.emplace(std::lower_bound(roles.begin(), roles.end(), role), role);
  ++state.revision;
  return {};
}

Result<void> revoke_role(State& state, std::string_view user, std::string_view role) {
  if (state.enabled && user == kRoot && role == kRoot)
    return fail(errors::invalid_auth_management());
  auto it = state.users.find(user);
  if (it == state.users.end()) return fail(errors::user_not_found());
  if (!take_role(it->second, role)) return fail(errors::role_not_granted());
  ++state.revision;
  return {};
}

Result<void> add_role(State& state, std::string_view name) {
  if (name.empty()) return fail(errors::role_empty());
  if (!state.roles.try_emplace(std::string(name), Role{std::string(name), {}}).second)
    return fail(errors::role_exists());
  ++state.revision;
  return {};
}

Result<void> delete_role(State& state, std::string_view name) {
  if (state.enabled && name == kRoot) return fail(errors::invalid_auth_management());
  auto it = state.roles.find(name);
  if (it == state.roles.end()) return fail(errors::role_not_found());
  state.roles.erase(it);
  for (auto& [user_name, user] : state.users) take_role(user, name);
  ++state.revision;
  return {};
}

Result<void> grant_permission(State& state, std::string_view role, Permission permission) {
  if (!valid_range(permission)) return fail(errors::invalid_auth_management());
  auto it = state.roles.find(role);
  if (it == state.roles.end()) return fail(errors::role_not_found());
  auto& permissions = it->second.permissions;
  auto order = [](const Permission& a, const Permission& b) {
    return std::tie(a.key, a.range_end) < std::tie(b.key, b.range_end);
  };
  auto place = std::lower_bound(permissions.begin(), permissions.end(), permission, order);
  if (place != permissions.end() && !order(permission, *place)) {
    place->type = permission.type;
  } else {
    permissions.insert(place, std::move(permission));
  }
  ++state.revision;
  return {};
}

Result<void> revoke_permission(State& state, std::string_view role, std::string_view key,
                               std::string_view range_end) {
  auto it = state.roles.find(role);
  if (it == state.roles.end()) return fail(errors::role_not_found());
  auto gone = std::erase_if(it->second.permissions, [&](const Permission& p) {
    return p.key == key && p.range_end == range_end;
  });
  if (gone == 0) return fail(errors::permission_not_granted());
  ++state.revision;
  return {};
}

}  // namespace rs::store::auth
