// ElectionService: v3electionpb.Election (reference etcd-api.md A.1, A.10; etcd
// server/etcdserver/api/v3election). The leader of a name is the oldest key under `name/`; its
// value is what the leader proclaims. One loop.
#pragma once

#include "store/etcd/messages.h"
#include "store/etcd/waiting_line.h"

namespace rs::store::etcd {

class ElectionService {
 public:
  // Adds its methods; all of it outlives the methods' last call.
  ElectionService(async::Loop& loop, Embedded& store, Guard& guard, WaitingLine& line, Ids ids,
                  Methods& methods);

 private:
  // LeaderKey.
  struct Leader {
    std::string name, key;
    Revision revision = 0;
    LeaseId lease = 0;
  };
  static Result<Leader> decode_leader(const Fields& fields);
  void method(std::string_view name,
              awaitable<void> (ElectionService::*method)(WaitingCall& call, std::string message),
              Methods& methods);

  awaitable<void> campaign(WaitingCall& call, std::string message);
  awaitable<void> proclaim(WaitingCall& call, std::string message);
  awaitable<void> leader(WaitingCall& call, std::string message);
  awaitable<void> resign(WaitingCall& call, std::string message);
  awaitable<net::grpc::Status> observe(net::grpc::ServerStream& stream);

  // The revision of the change, or an error when the key is no longer the one of revision.
  awaitable<Result<Revision>> proclaim_value(const auth::Identity& who, Leader leader,
                                             std::string value);
  std::string leader_answer(Revision revision, const KeyValue& kv) const;

  async::Loop& loop_;
  Embedded& store_;
  Guard& guard_;
  WaitingLine& line_;
  const Ids ids_;
};

}  // namespace rs::store::etcd
