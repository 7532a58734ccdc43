// Guard: authentication of the etcd service: the users and roles of a store, who a call comes from,
// and what it may do (reference etcd-api.md A.9). While authentication is off it costs a call one
// branch: enabled().
//
// A change is evaluated on the newest state, and becomes true when it is on disk; changes happen in
// their order. One loop, the store's; before the store is closed.
#pragma once

#include <deque>

#include "net/grpc.h"
#include "store/auth/auth_store.h"
#include "store/auth/password_worker.h"
#include "store/embedded.h"

namespace rs::store::etcd {

struct GuardOptions {
  int bcrypt_cost = 10;
  bool client_cert_auth =
      false;  // the common name of a client's certificate says who it is, when no token does
};

class Guard {
 public:
  Guard(async::Loop& loop, Embedded& store, std::shared_ptr<auth::Tokens> tokens,
        GuardOptions options);
  ~Guard();
  // What the store holds; before the first call. kDataLoss when it is damaged: everything is
  // refused then.
  Result<void> load();

  bool enabled() const { return auth_.enabled(); }
  auth::AuthStore& auth() { return auth_; }
  const auth::State& state() const { return auth_.state(); }
  auth::PasswordWorker& passwords() { return passwords_; }
  const GuardOptions& options() const { return options_; }

  // By the metadata "token", or "authorization" with or without "Bearer ", or the certificate.
  // kUnauthorized for a token that is not good; nobody (revision 0) when there is neither.
  Result<auth::Identity> identify(const net::grpc::CallInfo& info);

  using Change = std::function<Result<void>(auth::State& state)>;
  void submit(const Change& change, Callback<Revision> done);

 private:
  const GuardOptions options_;
  Embedded& store_;
  auth::AuthStore auth_;
  std::deque<std::shared_ptr<const auth::State>>
      pending_;  // on their way to the disk, each built on the one before
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  auth::PasswordWorker passwords_;
};

}  // namespace rs::store::etcd
