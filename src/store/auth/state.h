// auth::State: who may do what, as etcd keeps it (reference etcd-api.md A.9): users, roles, whether
// it is enforced, and the revision that every change of them raises. A value; pure.
//
// The store keeps it as one note, so that it changes whole or not at all. A snapshot in etcd's file
// format has the same facts in three buckets (server/storage/schema/auth.go):
//   auth       "authEnabled" -> one byte, 1 or 0; "authRevision" -> eight bytes, big-endian
//   authUsers  name -> authpb.User
//   authRoles  name -> authpb.Role
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rs::store::auth {

// Of Embedded::load_note and submit_note.
inline constexpr std::string_view kNote = "auth";

struct Permission {
  enum class Type {
    kRead = 0,
    kWrite = 1,
    kReadWrite = 2
  } type = Type::kRead;  // authpb.Permission.Type
  std::string key;
  std::string range_end;  // as in a RangeRequest: empty: the one key; "\0": every key >= key
  friend bool operator==(const Permission&, const Permission&) = default;
};
struct Role {
  std::string name;
  std::vector<Permission> permissions;  // by key, then range_end
  friend bool operator==(const Role&, const Role&) = default;
};
struct User {
  std::string name;
  std::string password_hash;       // bcrypt ("$2a$10$…"); empty: no password is right
  std::vector<std::string> roles;  // sorted
  bool no_password = false;        // made without one: only a client certificate proves who it is
  friend bool operator==(const User&, const User&) = default;
};
struct State {
  bool enabled = false;
  uint64_t revision = 1;
  std::map<std::string, User, std::less<>> users;
  std::map<std::string, Role, std::less<>> roles;
  friend bool operator==(const State&, const State&) = default;
};

// The note. kDataLoss when it is none.
std::string encode(const State& state);
Result<State> decode_state(std::string_view note);

// authpb.User and authpb.Role, byte for byte as etcd writes them. kDataLoss when they are not
// understood.
std::string encode(const User& user);
std::string encode(const Role& role);
std::string encode(const Permission& permission);
Result<User> decode_user(std::string_view message);
Result<Role> decode_role(std::string_view message);
Result<Permission> decode_permission(std::string_view message);

}  // namespace rs::store::auth
