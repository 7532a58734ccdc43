#include "store/auth/state.h"

#include <algorithm>
#include <tuple>

#include "store/etcd/wire.h"

namespace rs::store::auth {
namespace {

using etcd::Reader;
using etcd::Writer;

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Code::kDataLoss, "a stored {} of the authentication cannot be understood", what);
}

}  // namespace

std::string encode(const Permission& permission) {
  Writer out;
  out.number(1, uint64_t(permission.type));
  out.bytes(2, permission.key);
  out.bytes(3, permission.range_end);
  return out.take();
}

std::string encode(const Role& role) {
  Writer out;
  out.bytes(1, role.name);
  for (const Permission& permission : role.permissions) out.element(2, encode(permission));
  return out.take();
}

std::string encode(const User& user) {
  Writer out;
  out.bytes(1, user.name);
  out.bytes(2, user.password_hash);
  for (const std::string& role : user.roles) out.element(3, role);
  // Always there: etcd reads its fields without looking whether it is.
  out.message(4, [&](Writer& w) { w.boolean(1, user.no_password); });
  return out.take();
}

std::string encode(const State& state) {
  Writer out;
  out.boolean(1, state.enabled);
  out.number(2, state.revision);
  for (const auto& [name, user] : state.users) out.element(3, encode(user));
  for (const auto& [name, role] : state.roles) out.element(4, encode(role));
  return out.take();
}

Result<Permission> decode_permission(std::string_view message) {
  Permission out;
  uint64_t type = 0;
  Reader in(message);
  while (in.next()) {
    switch (in.field()) {
      case 1:
        type = in.number();
        break;
      case 2:
        out.key = in.text();
        break;
      case 3:
        out.range_end = in.text();
        break;
      default:
        break;
    }
  }
  if (!in.ok() || type > 2) return damaged("permission");
  out.type = Permission::Type(type);
  return out;
}

Result<Role> decode_role(std::string_view message) {
  Role out;
  Reader in(message);
  while (in.next()) {
    if (in.field() == 1) out.name = in.text();
    if (in.field() != 2) continue;
    auto permission = decode_permission(in.text());
    if (!permission) return fail(permission.error());
    out.permissions.push_back(std::move(*permission));
  }
  if (!in.ok()) return damaged("role");
  // In order of their keys, as etcd keeps them: who reads searches.
  std::sort(out.permissions.begin(), out.permissions.end(),
            [](const Permission& a, const Permission& b) {
              return std::tie(a.key, a.range_end) < std::tie(b.key, b.range_end);
            });
  return out;
}

Result<User> decode_user(std::string_view message) {
  User out;
  Reader in(message);
  while (in.next()) {
    switch (in.field()) {
      case 1:
        out.name = in.text();
        break;
      case 2:
        out.password_hash = in.text();
        break;
      case 3:
        out.roles.emplace_back(in.text());
        break;
      case 4: {
        Reader options(in.text());
        while (options.next()) {
          if (options.field() == 1) out.no_password = options.boolean();
        }
        if (!options.ok()) return damaged("user");
        break;
      }
      default:
        break;
    }
  }
  if (!in.ok()) return damaged("user");
  std::sort(out.roles.begin(), out.roles.end());
  out.roles.erase(std::unique(out.roles.begin(), out.roles.end()), out.roles.end());
  return out;
}

Result<State> decode_state(std::string_view note) {
  State out;
  out.revision = 0;
  Reader in(note);
  while (in.next()) {
    switch (in.field()) {
      case 1:
        out.enabled = in.boolean();
        break;
      case 2:
        out.revision = in.number();
        break;
      case 3: {
        auto user = decode_user(in.text());
        if (!user) return fail(user.error());
        std::string name = user->name;
        out.users.insert_or_assign(std::move(name), std::move(*user));
        break;
      }
      case 4: {
        auto role = decode_role(in.text());
        if (!role) return fail(role.error());
        std::string name = role->name;
        out.roles.insert_or_assign(std::move(name), std::move(*role));
        break;
      }
      default:
        break;
    }
  }
  if (!in.ok() || out.revision == 0) return damaged("state");
  return out;
}

}  // namespace rs::store::auth
