#include "session.h"

#include "store/etcd/client_messages.h"

namespace rs::store::differential {
namespace {
constexpr auto kTimeout = std::chrono::seconds(30);
}  // namespace

Session::Session(async::Loop& loop, Server& server)
    : loop_(loop), server_(server), network_(loop), client_(loop, network_, server.address(), {}) {}

awaitable<Answer> Session::call(const Operation& operation) {
  Answer out;
  auto body = co_await client_.call(operation.method, operation.request, {}, kTimeout, &out.status);
  if (body) out.body = std::move(*body);
  co_return out;
}

awaitable<Answer> Session::keep_alive(LeaseId id) {
  Answer out;
  out.status = {net::grpc::StatusCode::kUnavailable, "no answer"};
  auto stream = co_await client_.open("/etcdserverpb.Lease/LeaseKeepAlive", {});
  if (!stream) co_return out;
  if (auto written = co_await (*stream)->write(etcd::encode_lease_id(id)); !written) co_return out;
  auto answer = co_await (*stream)->read();
  if (!answer || !answer->has_value()) co_return out;
  out.status = {};
  out.body = std::move(**answer);
  co_return out;
}

awaitable<void> Session::call_into(const Operation& operation, Answer& answer) {
  answer = co_await call(operation);
}

awaitable<void> Session::run(std::span<const Operation> operations, std::span<Answer> answers) {
  async::TaskGroup together(loop_);
  for (size_t i = 0; i < operations.size(); ++i) {
    if ((operations[i].oddities & kOnlyOurs) != 0) continue;
    if (!operations[i].changes) {
      together.spawn("read", call_into(operations[i], answers[i]));
      continue;
    }
    if (together.size() > 0) co_await together.join();
    answers[i] = co_await call(operations[i]);
  }
  co_await together.join();
}

awaitable<Answers> run_both(async::Loop& loop, Session& etcd, Session& ours,
                            std::span<const Operation> operations) {
  Answers out;
  out.etcd.resize(operations.size());
  out.ours.resize(operations.size());
  async::TaskGroup both(loop);
  both.spawn("etcd", etcd.run(operations, out.etcd));
  both.spawn("ours", ours.run(operations, out.ours));
  co_await both.join();
  for (size_t i = 0; i < operations.size(); ++i) {
    if ((operations[i].oddities & kOnlyOurs) == 0) continue;
    Session& peer = etcd.server().ours() ? etcd : ours;
    out.etcd[i] = co_await peer.call(operations[i]);
    out.ours[i] = co_await ours.call(operations[i]);
  }
  co_return out;
}

}  // namespace rs::store::differential
