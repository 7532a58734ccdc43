#include "store/etcd/auth_service.h"

#include "base/log.h"
#include "store/auth/base64.h"
#include "store/auth/changes.h"
#include "store/auth/errors.h"
#include "store/auth/password.h"
#include "store/etcd/service.h"
#include "store/mvcc/errors.h"

namespace rs::store::etcd {
namespace {

std::string text(const Fields& fields, uint32_t field) {
  return std::string(fields.text(field));
}

bool wants_no_password(const Fields& fields) {
  Reader options(fields.text(3));
  bool no_password = false;
  while (options.next()) {
    if (options.field() == 1) no_password = options.boolean();
  }
  return no_password;
}

// What a client that hashes by itself sends (hashedPassword): base64 of bcrypt's text.
Result<std::string> given_hash(std::string_view encoded) {
  auto hash = auth::base64_decode(encoded);
  if (!hash || !auth::is_bcrypt_hash(*hash)) return fail(errors::password_for_no_password_user());
  return std::move(*hash);
}

Result<Guard::Change> parse_enable(const Fields&) {
  return auth::enable;
}
Result<Guard::Change> parse_disable(const Fields&) {
  return auth::disable;
}

Result<Guard::Change> parse_user_delete(const Fields& fields) {
  return [name = text(fields, 1)](auth::State& state) { return auth::delete_user(state, name); };
}
Result<Guard::Change> parse_grant_role(const Fields& fields) {
  return [user = text(fields, 1), role = text(fields, 2)](auth::State& state) {
    return auth::grant_role(state, user, role);
  };
}
Result<Guard::Change> parse_revoke_role(const Fields& fields) {
  return [user = text(fields, 1), role = text(fields, 2)](auth::State& state) {
    return auth::revoke_role(state, user, role);
  };
}
Result<Guard::Change> parse_role_add(const Fields& fields) {
  return [name = text(fields, 1)](auth::State& state) { return auth::add_role(state, name); };
}
Result<Guard::Change> parse_role_delete(const Fields& fields) {
  return [name = text(fields, 1)](auth::State& state) { return auth::delete_role(state, name); };
}
Result<Guard::Change> parse_grant_permission(const Fields& fields) {
  if (!fields.has_text(2)) return fail(errors::permission_not_given());
  auto permission = auth::decode_permission(fields.text(2));
  if (!permission) return fail(errors::permission_not_given());
  return [role = text(fields, 1), permission = std::move(*permission)](auth::State& state) {
    return auth::grant_permission(state, role, permission);
  };
}
Result<Guard::Change> parse_revoke_permission(const Fields& fields) {
  return [role = text(fields, 1), key = text(fields, 2), range_end = text(fields, 3)](
             auth::State& state) { return auth::revoke_permission(state, role, key, range_end); };
}

}  // namespace

AuthService::AuthService(Guard& guard, Embedded& store, Ids ids, Methods& methods,
                         size_t request_bytes_max)
    : guard_(guard),
      store_(store),
      ids_(ids),
      methods_(methods),
      request_bytes_max_(request_bytes_max) {
  change("AuthEnable", parse_enable);
  change("AuthDisable", parse_disable);
  method("AuthStatus", &AuthService::status);
  method("Authenticate", &AuthService::authenticate);
  method("UserAdd", &AuthService::user_add);
  method("UserGet", &AuthService::user_get);
  method("UserList", &AuthService::user_list);
  change("UserDelete", parse_user_delete);
  method("UserChangePassword", &AuthService::user_change_password);
  change("UserGrantRole", parse_grant_role);
  change("UserRevokeRole", parse_revoke_role);
  change("RoleAdd", parse_role_add);
  method("RoleGet", &AuthService::role_get);
  method("RoleList", &AuthService::role_list);
  change("RoleDelete", parse_role_delete);
  change("RoleGrantPermission", parse_grant_permission);
  change("RoleRevokePermission", parse_revoke_permission);
}

std::optional<Fields> AuthService::open(std::string_view message, Responder& responder) const {
  auto fields = decode_fields(message);
  if (!fields) {
    responder->fail(to_status(fields.error()));
  } else if (measured_bytes(message) > request_bytes_max_) {
    responder->fail(to_status(errors::request_too_large()));
  } else {
    return std::move(*fields);
  }
  return std::nullopt;
}

void AuthService::method(std::string_view name, Method method) {
  methods_.unary(fmt::format("/etcdserverpb.Auth/{}", name),
                 [this, method](const net::grpc::CallInfo& info, std::string_view message,
                                Responder responder) {
                   auto fields = open(message, responder);
                   if (!fields) return;
                   (this->*method)(Caller(guard_, info), *fields, std::move(responder));
                 });
}

void AuthService::change(std::string_view name, Parse parse) {
  methods_.unary(fmt::format("/etcdserverpb.Auth/{}", name),
                 [this, parse](const net::grpc::CallInfo& info, std::string_view message,
                               Responder responder) {
                   auto fields = open(message, responder);
                   if (!fields) return;
                   if (auto refused = Caller(guard_, info).refuse(Needs::kRoot))
                     return responder->fail(to_status(*refused));
                   auto change = parse(*fields);
                   if (!change) return responder->fail(to_status(change.error()));
                   submit(*change, std::move(responder));
                 });
}

void AuthService::submit(const Guard::Change& change, Responder responder) {
  guard_.submit(change, [ids = ids_, responder = std::move(responder)](Result<Revision> revision) {
    if (!revision) return responder->fail(to_status(revision.error()));
    responder->reply(encode_header_only(ids, *revision));
  });
}

void AuthService::submit_hashed(
    auth::Identity who, std::string password,
    std::function<Result<void>(auth::State& state, std::string hash)> change, Responder responder) {
  guard_.passwords().hash(std::move(password), guard_.options().bcrypt_cost,
                          [this, who = std::move(who), change = std::move(change),
                           responder = std::move(responder)](Result<std::string> hash) mutable {
                            if (!hash) return responder->fail(to_status(hash.error()));
                            // Whoever asked may have lost the right to meanwhile.
                            if (auto refused = guard_.auth().check_root(who))
                              return responder->fail(to_status(*refused));
                            submit([&](auth::State& state) { return change(state, *hash); },
                                   std::move(responder));
                          });
}

void AuthService::authenticate(const Caller&, const Fields& fields, Responder responder) {
  check_password(text(fields, 1), text(fields, 2), std::move(responder));
}

void AuthService::check_password(std::string name, std::string password, Responder responder) {
  if (!guard_.enabled()) return responder->fail(to_status(errors::auth_not_enabled()));
  auto user = guard_.state().users.find(name);
  if (user == guard_.state().users.end()) return responder->fail(to_status(errors::auth_failed()));
  if (user->second.no_password)
    return responder->fail(to_status(errors::password_for_no_password_user()));
  const std::string& hash = user->second.password_hash;
  guard_.passwords().check(
      password, hash,
      [this, name = std::move(name), password, hash,
       responder = std::move(responder)](Result<bool> right) mutable {
        if (!right) return responder->fail(to_status(right.error()));
        // The password may have been changed meanwhile, or the user deleted: then the answer was
        // about the past.
        auto now = guard_.state().users.find(name);
        bool same = now != guard_.state().users.end() && now->second.password_hash == hash;
        if (!guard_.enabled() || !same)
          return check_password(std::move(name), std::move(password), std::move(responder));
        if (!*right) {
          log::info("auth", "wrong password", {{"user", name}});
          return responder->fail(to_status(errors::auth_failed()));
        }
        auto token = guard_.auth().issue_token(name);
        if (!token) return responder->fail(to_status(token.error()));
        Writer out;
        write_header(out, ids_, store_.revision());
        out.bytes(2, *token);
        responder->reply(out.take());
      });
}

void AuthService::status(const Caller& caller, const Fields&, Responder responder) {
  if (auto refused = caller.refuse(Needs::kRoot)) return responder->fail(to_status(*refused));
  Writer out;
  write_header(out, ids_, store_.revision());
  out.boolean(2, guard_.enabled());
  out.number(3, guard_.state().revision);
  responder->reply(out.take());
}

void AuthService::user_add(const Caller& caller, const Fields& fields, Responder responder) {
  if (auto refused = caller.refuse(Needs::kRoot)) return responder->fail(to_status(*refused));
  auth::User user{.name = text(fields, 1), .no_password = wants_no_password(fields)};
  if (user.name.empty()) return responder->fail(to_status(errors::user_empty()));
  if (guard_.state().users.contains(user.name))
    return responder->fail(to_status(errors::user_exists()));
  std::string password = text(fields, 2);
  if (!user.no_password && password.empty() && fields.has_text(4)) {
    auto hash = given_hash(fields.text(4));
    if (!hash) return responder->fail(to_status(hash.error()));
    user.password_hash = std::move(*hash);
  } else if (!user.no_password) {
    auto add = [user = std::move(user)](auth::State& state, std::string hash) {
      auth::User hashed = user;
      hashed.password_hash = std::move(hash);
      return auth::add_user(state, std::move(hashed));
    };
    auto who = caller.identity();
    return submit_hashed(who ? std::move(*who) : auth::Identity{}, std::move(password),
                         std::move(add), std::move(responder));
  }
  submit([&](auth::State& state) { return auth::add_user(state, user); }, std::move(responder));
}

void AuthService::user_change_password(const Caller& caller, const Fields& fields,
                                       Responder responder) {
  if (auto refused = caller.refuse(Needs::kRoot)) return responder->fail(to_status(*refused));
  std::string name = text(fields, 1), password = text(fields, 2), hash;
  auto user = guard_.state().users.find(name);
  if (user == guard_.state().users.end())
    return responder->fail(to_status(errors::user_not_found()));
  if (!password.empty() && !user->second.no_password) {
    auto set = [name = std::move(name)](auth::State& state, std::string hashed) {
      return auth::set_password(state, name, std::move(hashed));
    };
    auto who = caller.identity();
    return submit_hashed(who ? std::move(*who) : auth::Identity{}, std::move(password),
                         std::move(set), std::move(responder));
  }
  // Neither a password nor a hash: as in etcd, no password is right from now on.
  if (fields.has_text(3) && !fields.text(3).empty()) {
    auto given = given_hash(fields.text(3));
    if (!given) return responder->fail(to_status(given.error()));
    hash = std::move(*given);
  }
  submit([&](auth::State& state) { return auth::set_password(state, name, hash); },
         std::move(responder));
}

void AuthService::user_get(const Caller& caller, const Fields& fields, Responder responder) {
  std::string_view name = fields.text(1);
  auto who = caller.identity();
  if (!who) return responder->fail(to_status(who.error()));
  // Everybody may look at their own roles.
  auto refused = guard_.auth().check_root(*who);
  if (refused && (who->user.empty() || who->user != name))
    return responder->fail(to_status(*refused));
  auto user = guard_.state().users.find(name);
  if (user == guard_.state().users.end())
    return responder->fail(to_status(errors::user_not_found()));
  Writer out;
  write_header(out, ids_, store_.revision());
  for (const std::string& role : user->second.roles) out.element(2, role);
  responder->reply(out.take());
}

void AuthService::user_list(const Caller& caller, const Fields&, Responder responder) {
  if (auto refused = caller.refuse(Needs::kRoot)) return responder->fail(to_status(*refused));
  Writer out;
  write_header(out, ids_, store_.revision());
  for (const auto& [name, user] : guard_.state().users) out.element(2, name);
  responder->reply(out.take());
}

void AuthService::role_get(const Caller& caller, const Fields& fields, Responder responder) {
  std::string_view name = fields.text(1);
  auto who = caller.identity();
  if (!who) return responder->fail(to_status(who.error()));
  auto refused = guard_.auth().check_root(*who);
  if (refused && !guard_.auth().has_role(*who, name)) return responder->fail(to_status(*refused));
  auto role = guard_.state().roles.find(name);
  if (role == guard_.state().roles.end())
    return responder->fail(to_status(errors::role_not_found()));
  Writer out;
  write_header(out, ids_, store_.revision());
  if (name == auth::kRoot) {
    out.element(2, auth::encode(auth::Permission{auth::Permission::Type::kReadWrite, "",
                                                 std::string(1, '\0')}));
  } else {
    for (const auth::Permission& permission : role->second.permissions)
      out.element(2, auth::encode(permission));
  }
  responder->reply(out.take());
}

void AuthService::role_list(const Caller& caller, const Fields&, Responder responder) {
  if (auto refused = caller.refuse(Needs::kRoot)) return responder->fail(to_status(*refused));
  Writer out;
  write_header(out, ids_, store_.revision());
  for (const auto& [name, role] : guard_.state().roles) out.element(2, name);
  responder->reply(out.take());
}

}  // namespace rs::store::etcd
