// Every change that etcd's Auth service can make to auth::State (server/auth/store.go). Pure. A
// change that succeeds raises the revision, except enable() and what was so already; one that fails
// leaves the state as it was.
#pragma once

#include "store/auth/state.h"

namespace rs::store::auth {

inline constexpr std::string_view kRoot = "root";  // the user, and the role that may do everything

Result<void> enable(State& state);  // needs the user root with the role root
Result<void> disable(State& state);
Result<void> add_user(State& state, User user);
Result<void> delete_user(State& state, std::string_view name);
// Of a user made without a password there is none to change: only the revision rises.
Result<void> set_password(State& state, std::string_view name, std::string hash);
Result<void> grant_role(State& state, std::string_view user, std::string_view role);
Result<void> revoke_role(State& state, std::string_view user, std::string_view role);
Result<void> add_role(State& state, std::string_view name);
Result<void> delete_role(State& state, std::string_view name);  // and takes it from every user
Result<void> grant_permission(State& state, std::string_view role, Permission permission);
Result<void> revoke_permission(State& state, std::string_view role, std::string_view key,
                               std::string_view range_end);

}  // namespace rs::store::auth
