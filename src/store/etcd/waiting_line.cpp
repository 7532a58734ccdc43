#include "store/etcd/waiting_line.h"

#include "store/etcd/service.h"
#include "store/mvcc/errors.h"
#include "store/mvcc/watch_hub.h"

namespace rs::store::etcd {

using net::grpc::StatusCode;

namespace {

// Notices that one of a few keys is deleted.
class DeletionWatch final : public mvcc::WatchSink {
 public:
  DeletionWatch(Embedded& store, WaitingCall& call) : store_(store), call_(call) {}
  ~DeletionWatch() override {
    for (mvcc::Watcher* watcher : watchers_) store_.hub().remove(watcher);
  }
  DeletionWatch(const DeletionWatch&) = delete;
  DeletionWatch& operator=(const DeletionWatch&) = delete;

  // From what is durable now on: what a read has just seen.
  void add(std::string key) {
    mvcc::Watcher watcher;
    watcher.key = std::move(key);
    watcher.no_put = true;
    watcher.sink = this;
    watchers_.push_back(store_.hub().add(std::move(watcher)));
  }
  bool seen() const { return seen_; }

  bool deliver(mvcc::Watcher&, Revision, std::span<mvcc::EventSlot* const>) override {
    notice();
    return true;
  }
  void ended(mvcc::Watcher& watcher, const Error&) override {
    std::erase(watchers_, &watcher);
    notice();
  }

 private:
  void notice() {
    seen_ = true;
    call_.changed();
  }
  Embedded& store_;
  WaitingCall& call_;
  std::vector<mvcc::Watcher*> watchers_;
  bool seen_ = false;
};

}  // namespace

net::grpc::Status to_recipe_status(const Error& error) {
  if (error.code == Code::kCancelled || error.code == Code::kTimeout) return to_status(error);
  return {StatusCode::kUnknown, error.message};
}

WaitingCall::WaitingCall(async::Loop& loop, auth::Identity caller, std::optional<MonoTime> deadline,
                         Responder responder)
    : who(std::move(caller)),
      loop_(loop),
      deadline_(deadline),
      changed_(std::make_shared<async::Event>(loop)),
      responder_(std::move(responder)) {
  responder_->on_drained([event = changed_] { event->notify(); });
}

std::optional<Error> WaitingCall::over(MonoTime now) const {
  if (responder_->cancelled()) return Error{Code::kCancelled, "context canceled"};
  if (deadline_ && *deadline_ <= now) return Error{Code::kTimeout, "context deadline exceeded"};
  return std::nullopt;
}

awaitable<void> WaitingCall::wait(std::optional<MonoTime> limit) {
  if (deadline_ && (!limit || *deadline_ < *limit)) limit = deadline_;
  if (!limit) co_return co_await changed_->wait();
  co_await async::sleep_or_event(loop_, std::max<Duration>(*limit - loop_.now(), Duration(1)),
                                 *changed_);
}

void WaitingCall::fail(const Error& error) {
  responder_->fail(to_recipe_status(error));
}

WaitingLine::WaitingLine(async::Loop& loop, Embedded& store, Guard& guard, size_t request_bytes_max)
    : loop_(loop),
      store_(store),
      guard_(guard),
      request_bytes_max_(request_bytes_max),
      tasks_(loop) {}

void WaitingLine::spawn(const net::grpc::CallInfo& info, size_t request_bytes, Responder responder,
                        Work work) {
  // The transactions made of it carry its name and its value.
  if (request_bytes > request_bytes_max_)
    return responder->fail(to_recipe_status(errors::request_too_large()));
  auto who = Caller(guard_, info).identity();
  if (!who) return responder->fail(to_recipe_status(who.error()));
  // Before a lease is granted for nobody.
  if (auto refused = guard_.auth().check_anybody(*who))
    return responder->fail(to_recipe_status(*refused));
  if (tasks_.size() >= kWaitersMax)
    return responder->fail(to_recipe_status(errors::too_many_requests()));
  auto call =
      std::make_shared<WaitingCall>(loop_, std::move(*who), info.deadline, std::move(responder));
  tasks_.spawn("waiting call", run(std::move(call), std::move(work)));
}

awaitable<void> WaitingLine::run(std::shared_ptr<WaitingCall> call, Work work) {
  co_await work(*call);
}

awaitable<Result<LeaseId>> WaitingLine::session(LeaseId lease) {
  if (lease != 0) co_return lease;
  auto grant = co_await store_.lease_grant(kSessionTtlSeconds);
  if (!grant) co_return fail(grant.error());
  co_return grant->id;
}

awaitable<Result<Place>> WaitingLine::enter(const WaitingCall& call, std::string_view name,
                                            LeaseId lease, std::string value) {
  auto session_lease = co_await session(lease);
  if (!session_lease) co_return fail(session_lease.error());
  Place place;
  place.prefix = std::string(name) + '/';
  place.key = fmt::format("{}{:x}", place.prefix, *session_lease);
  place.lease = *session_lease;
  place.own_lease = lease == 0;
  TxnRequest request;
  request.compares.push_back({.target = Compare::Target::kCreate, .key = place.key});
  request.success.emplace_back(
      PutRequest{.key = place.key, .value = std::move(value), .lease = place.lease});
  request.failure.emplace_back(RangeRequest{.key = place.key});
  auto entered = co_await txn(call.who, std::move(request));
  if (!entered) {
    if (place.own_lease) store_.submit_revoke(place.lease, [](Result<Revision>) {});
    co_return fail(entered.error());
  }
  place.entered = place.revision = entered->revision;
  if (!entered->succeeded) {
    const KeyValue& held = std::get<RangeResponse>(entered->responses.at(0)).kvs.at(0);
    place.revision = held.create_revision;
    place.value_before = held.value;
  }
  co_return place;
}

// The key that is next before place in line, if any; now: the store's revision.
Result<std::optional<std::string>> WaitingLine::before(const WaitingCall& call, const Place& place,
                                                       Revision& now) {
  auto own = range(call.who, {.key = place.key, .keys_only = true});
  if (!own) return fail(own.error());
  now = own->revision;
  if (own->kvs.empty() || own->kvs.front().create_revision != place.revision)
    return fail(Code::kConflict, "the place in line is lost");
  auto older = range(call.who, {.key = place.prefix,
                                .range_end = prefix_end(place.prefix),
                                .limit = 1,
                                .order = RangeRequest::Order::kDescend,
                                .target = RangeRequest::Target::kCreate,
                                .keys_only = true,
                                .max_create_revision = place.revision - 1});
  if (!older) return fail(older.error());
  if (older->kvs.empty()) return std::optional<std::string>();
  return std::optional(std::move(older->kvs.front().key));
}

awaitable<Result<Revision>> WaitingLine::turn(WaitingCall& call, const Place& place) {
  constexpr auto kRenewEvery = std::chrono::seconds(kSessionTtlSeconds / 3);
  std::optional<MonoTime> renew_at;
  if (place.own_lease) renew_at = loop_.now() + kRenewEvery;
  Revision reached = place.entered;
  for (bool waited = false;; waited = true) {
    Revision now = 0;
    auto predecessor = before(call, place, now);
    if (!predecessor) co_return fail(predecessor.error());
    if (auto over = call.over(loop_.now())) co_return fail(*over);
    if (waited) reached = now;
    if (!*predecessor) co_return reached;
    DeletionWatch watch(store_, call);
    watch.add(std::move(**predecessor));
    watch.add(place.key);
    while (!watch.seen()) {
      co_await call.wait(renew_at);
      if (auto over = call.over(loop_.now())) co_return fail(*over);
      if (renew_at && *renew_at <= loop_.now()) {
        (void)store_.try_keep_alive(place.lease);
        renew_at = loop_.now() + kRenewEvery;
      }
    }
  }
}

void WaitingLine::leave(const Place& place) {
  if (place.own_lease) return store_.submit_revoke(place.lease, [](Result<Revision>) {});
  TxnRequest request;
  request.compares.push_back(
      {.target = Compare::Target::kCreate, .key = place.key, .number = place.revision});
  request.success.emplace_back(DeleteRangeRequest{.key = place.key});
  store_.submit(std::move(request), [](Result<TxnResponse>) {});
}

awaitable<Result<TxnResponse>> WaitingLine::txn(const auth::Identity& who, TxnRequest request) {
  if (guard_.enabled()) {
    if (auto refused = guard_.auth().check(who, request)) co_return fail(*refused);
  }
  co_return co_await store_.txn(std::move(request));
}

Result<RangeResponse> WaitingLine::range(const auth::Identity& who, const RangeRequest& request) {
  if (guard_.enabled()) {
    // A call may wait while rights change: those of now count.
    auto today = who.revision == 0 ? who : guard_.auth().identity_of(who.user);
    if (auto refused = guard_.auth().check(today, request)) return fail(*refused);
  }
  return store_.try_range(request);
}

Result<RangeResponse> WaitingLine::first(const auth::Identity& who, std::string_view prefix) {
  return range(who, {.key = std::string(prefix),
                     .range_end = prefix_end(prefix),
                     .limit = 1,
                     .order = RangeRequest::Order::kAscend,
                     .target = RangeRequest::Target::kCreate});
}

}  // namespace rs::store::etcd
