// WaitingLine: what Lock and Campaign have in common (etcd client/v3/concurrency: key.go, mutex.go,
// election.go; reference etcd-api.md A.10). Who wants a name puts the key `name/lease` and is
// served when no key with that prefix was created earlier. All keys that the two services read and
// write pass through here, with the rights of the caller.
//
// One loop. A waiter costs its coroutine and two watchers of single keys: the one before it in
// line, and its own.
#pragma once

#include "async/event.h"
#include "async/task_group.h"
#include "store/etcd/caller.h"
#include "store/etcd/methods.h"

namespace rs::store::etcd {

// One unary call that may wait. A resource: it must not move while it waits.
class WaitingCall {
 public:
  WaitingCall(async::Loop& loop, auth::Identity who, std::optional<MonoTime> deadline,
              Responder responder);

  // The client is gone, or waits no longer.
  std::optional<Error> over(MonoTime now) const;
  // Until changed(), the deadline, or limit.
  awaitable<void> wait(std::optional<MonoTime> limit);
  void changed() { changed_->notify(); }
  void reply(std::string message) { responder_->reply(std::move(message)); }
  // As etcd: an error of its recipes has no code of its own.
  void fail(const Error& error);

  const auth::Identity who;

 private:
  async::Loop& loop_;
  const std::optional<MonoTime> deadline_;
  std::shared_ptr<async::Event> changed_;  // the responder's callback holds it too
  Responder responder_;
};

// The status of an error, as the two services give it: kUnknown, but for calls that were given up.
net::grpc::Status to_recipe_status(const Error& error);

// Where a caller stands.
struct Place {
  std::string prefix, key;
  LeaseId lease = 0;
  bool own_lease = false;  // granted here: nobody else keeps it alive while the call waits
  Revision revision = 0;   // the key's creation: the place in line
  Revision entered = 0;    // of the store then
  std::optional<std::string> value_before;  // the key was there already
};

class WaitingLine {
 public:
  static constexpr int64_t kSessionTtlSeconds = 60;
  static constexpr size_t kWaitersMax = 100'000;

  WaitingLine(async::Loop& loop, Embedded& store, Guard& guard, size_t request_bytes_max);

  // Makes info and responder one call, and runs work(call) as a task; refuses it beyond
  // kWaitersMax, and when the request is too large.
  using Work = std::function<awaitable<void>(WaitingCall& call)>;
  void spawn(const net::grpc::CallInfo& info, size_t request_bytes, Responder responder, Work work);
  awaitable<void> stop() { return tasks_.stop(); }

  // The lease, or when it is 0 a new one.
  awaitable<Result<LeaseId>> session(LeaseId lease);
  // Stands in line for name, unless the lease's key already does.
  awaitable<Result<Place>> enter(const WaitingCall& call, std::string_view name, LeaseId lease,
                                 std::string value);
  // Waits until nobody is before place; the store's revision then. kConflict: the key is gone, and
  // the place with it.
  awaitable<Result<Revision>> turn(WaitingCall& call, const Place& place);
  // Gives the place up.
  void leave(const Place& place);

  awaitable<Result<TxnResponse>> txn(const auth::Identity& who, TxnRequest request);
  Result<RangeResponse> range(const auth::Identity& who, const RangeRequest& request);
  // The key with this prefix that was created first, if any.
  Result<RangeResponse> first(const auth::Identity& who, std::string_view prefix);

 private:
  awaitable<void> run(std::shared_ptr<WaitingCall> call, Work work);
  Result<std::optional<std::string>> before(const WaitingCall& call, const Place& place,
                                            Revision& now);

  async::Loop& loop_;
  Embedded& store_;
  Guard& guard_;
  const size_t request_bytes_max_;
  async::TaskGroup tasks_;
};

}  // namespace rs::store::etcd
