// Session: one client of one server. Batch: operations sent to two servers at once, their answers
// compared.
#pragma once

#include <span>
#include <vector>

#include "async/task_group.h"
#include "compare.h"
#include "servers.h"

namespace rs::store::differential {

class Session {
 public:
  Session(async::Loop& loop, Server& server);
  net::grpc::Client& client() { return client_; }
  Server& server() { return server_; }
  awaitable<Answer> call(const Operation& operation);
  // One request and one answer on a LeaseKeepAlive stream of its own.
  awaitable<Answer> keep_alive(LeaseId id);
  // Operations that change nothing are under way together; the others alone, in order. answers has
  // room for all.
  awaitable<void> run(std::span<const Operation> operations, std::span<Answer> answers);

 private:
  awaitable<void> call_into(const Operation& operation, Answer& answer);

  async::Loop& loop_;
  Server& server_;
  net::TcpNetwork network_;
  net::grpc::Client client_;
};

// Sends operations to both, each in its own time; returns when both have answered all. What only we
// may be asked is asked of us twice, unless both are ours.
struct Answers {
  std::vector<Answer> etcd, ours;
};
awaitable<Answers> run_both(async::Loop& loop, Session& etcd, Session& ours,
                            std::span<const Operation> operations);

}  // namespace rs::store::differential
