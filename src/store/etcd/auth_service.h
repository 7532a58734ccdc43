// AuthService: the seventeen methods of etcdserverpb.Auth (reference etcd-api.md A.1, A.9). One
// loop.
#pragma once

#include "store/etcd/caller.h"
#include "store/etcd/messages.h"
#include "store/etcd/methods.h"

namespace rs::store::etcd {

class AuthService {
 public:
  // Adds its methods; all of it outlives the methods' last call.
  AuthService(Guard& guard, Embedded& store, Ids ids, Methods& methods, size_t request_bytes_max);

 private:
  using Parse = Result<Guard::Change> (*)(const Fields& fields);
  using Method = void (AuthService::*)(const Caller& caller, const Fields& fields,
                                       Responder responder);

  // A call's fields; nothing when it was refused.
  std::optional<Fields> open(std::string_view message, Responder& responder) const;
  void change(std::string_view name, Parse parse);
  void method(std::string_view name, Method method);

  void authenticate(const Caller& caller, const Fields& fields, Responder responder);
  void status(const Caller& caller, const Fields& fields, Responder responder);
  void user_add(const Caller& caller, const Fields& fields, Responder responder);
  void user_get(const Caller& caller, const Fields& fields, Responder responder);
  void user_list(const Caller& caller, const Fields& fields, Responder responder);
  void user_change_password(const Caller& caller, const Fields& fields, Responder responder);
  void role_get(const Caller& caller, const Fields& fields, Responder responder);
  void role_list(const Caller& caller, const Fields& fields, Responder responder);

  void check_password(std::string name, std::string password, Responder responder);
  // change with the hash of password, by who, once that is computed.
  void submit_hashed(auth::Identity who, std::string password,
                     std::function<Result<void>(auth::State& state, std::string hash)> change,
                     Responder responder);
  void submit(const Guard::Change& change, Responder responder);

  Guard& guard_;
  Embedded& store_;
  const Ids ids_;
  Methods& methods_;
  const size_t request_bytes_max_;
};

}  // namespace rs::store::etcd
