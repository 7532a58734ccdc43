// LockService: v3lockpb.Lock (reference etcd-api.md A.1, A.10; etcd server/etcdserver/api/v3lock).
// Locks are advisory: who must be sure compares the lock key's create_revision in the transaction
// that relies on it. One loop.
#pragma once

#include "store/etcd/messages.h"
#include "store/etcd/waiting_line.h"

namespace rs::store::etcd {

class LockService {
 public:
  // Adds its methods; all of it outlives the methods' last call.
  LockService(WaitingLine& line, Ids ids, Methods& methods);

 private:
  awaitable<void> lock(WaitingCall& call, std::string name, LeaseId lease);
  awaitable<void> unlock(WaitingCall& call, std::string key);

  WaitingLine& line_;
  const Ids ids_;
};

}  // namespace rs::store::etcd
