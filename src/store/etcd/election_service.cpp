#include "store/etcd/election_service.h"

#include <deque>

#include "store/etcd/service.h"
#include "store/mvcc/watch_hub.h"

namespace rs::store::etcd {

namespace {

Error not_leader() {
  return {Code::kConflict, "election: not leader"};
}
Error closed_early() {
  return {Code::kInternalError, "election: observe closed early"};
}

// The events of one key, or of a prefix, in their order. Bounded: beyond kEventsMax the hub reads
// them again from history.
class EventFeed final : public mvcc::WatchSink {
 public:
  static constexpr size_t kEventsMax = 64;

  EventFeed(async::Loop& loop, Embedded& store, std::string key, std::string range_end,
            Revision from)
      : store_(store), changed_(loop) {
    mvcc::Watcher watcher;
    watcher.key = std::move(key);
    watcher.range_end = std::move(range_end);
    watcher.start = from;
    watcher.sink = this;
    watcher_ = store_.hub().add(std::move(watcher));
    store_.wake_watchers();
  }
  ~EventFeed() override {
    if (watcher_ != nullptr) store_.hub().remove(watcher_);
  }
  EventFeed(const EventFeed&) = delete;
  EventFeed& operator=(const EventFeed&) = delete;

  // nullptr: there is no more to be had.
  awaitable<std::shared_ptr<const Event>> next() {
    while (events_.empty() && watcher_ != nullptr) co_await changed_.wait();
    if (events_.empty()) co_return nullptr;
    auto event = std::move(events_.front());
    events_.pop_front();
    if (watcher_ != nullptr && watcher_->blocked && events_.empty()) {
      store_.hub().resume(watcher_);
      store_.wake_watchers();
    }
    co_return event;
  }

  bool deliver(mvcc::Watcher&, Revision, std::span<mvcc::EventSlot* const> slots) override {
    if (events_.size() >= kEventsMax) return false;
    for (mvcc::EventSlot* slot : slots) events_.push_back(slot->event);
    changed_.notify();
    return true;
  }
  void ended(mvcc::Watcher&, const Error&) override {
    watcher_ = nullptr;
    changed_.notify();
  }

 private:
  Embedded& store_;
  async::Event changed_;
  mvcc::Watcher* watcher_ = nullptr;
  std::deque<std::shared_ptr<const Event>> events_;
};

}  // namespace

ElectionService::ElectionService(async::Loop& loop, Embedded& store, Guard& guard,
                                 WaitingLine& line, Ids ids, Methods& methods)
    : loop_(loop), store_(store), guard_(guard), line_(line), ids_(ids) {
  method("Campaign", &ElectionService::campaign, methods);
  method("Proclaim", &ElectionService::proclaim, methods);
  method("Leader", &ElectionService::leader, methods);
  method("Resign", &ElectionService::resign, methods);
  methods.streaming("/v3electionpb.Election/Observe",
                    [this](net::grpc::ServerStream& stream) { return observe(stream); });
}

void ElectionService::method(std::string_view name,
                             awaitable<void> (ElectionService::*method)(WaitingCall& call,
                                                                        std::string message),
                             Methods& methods) {
  methods.unary("/v3electionpb.Election/" + std::string(name),
                [this, method](const net::grpc::CallInfo& info, std::string_view message,
                               Responder responder) {
                  if (auto fields = decode_fields(message); !fields)
                    return responder->fail(to_status(fields.error()));
                  line_.spawn(info, message.size(), std::move(responder),
                              [this, method, message = std::string(message)](WaitingCall& call) {
                                return (this->*method)(call, message);
                              });
                });
}

Result<ElectionService::Leader> ElectionService::decode_leader(const Fields& fields) {
  if (!fields.has_text(1)) return fail(Code::kBadRequest, "\"leader\" field must be provided");
  auto leader = decode_fields(fields.text(1));
  if (!leader) return fail(leader.error());
  return Leader{std::string(leader->text(1)), std::string(leader->text(2)), leader->number(3),
                leader->number(4)};
}

awaitable<void> ElectionService::campaign(WaitingCall& call, std::string message) {
  auto fields = decode_fields(message);
  const std::string name(fields->text(1)), value(fields->text(3));
  auto place = co_await line_.enter(call, name, fields->number(2), value);
  if (!place) co_return call.fail(place.error());
  if (place->value_before && *place->value_before != value) {
    Leader own{name, place->key, place->revision, place->lease};
    auto proclaimed = co_await proclaim_value(call.who, std::move(own), value);
    if (!proclaimed) {
      line_.leave(*place);
      co_return call.fail(proclaimed.error());
    }
  }
  auto turn = co_await line_.turn(call, *place);
  if (!turn) {
    line_.leave(*place);
    // etcd tells a campaigner that it leads even when its key is gone; Proclaim would then answer
    // with this.
    co_return call.fail(turn.error().code == Code::kConflict ? not_leader() : turn.error());
  }
  Writer out;
  write_header(out, ids_, place->entered);
  out.message(2, [&](Writer& w) {
    w.bytes(1, name);
    w.bytes(2, place->key);
    w.number(3, uint64_t(place->revision));
    w.number(4, uint64_t(place->lease));
  });
  call.reply(out.take());
}

awaitable<Result<Revision>> ElectionService::proclaim_value(const auth::Identity& who,
                                                            Leader leader, std::string value) {
  TxnRequest request;
  request.compares.push_back(
      {.target = Compare::Target::kCreate, .key = leader.key, .number = leader.revision});
  request.success.emplace_back(
      PutRequest{.key = leader.key, .value = std::move(value), .lease = leader.lease});
  auto result = co_await line_.txn(who, std::move(request));
  if (!result) co_return fail(result.error());
  if (!result->succeeded) co_return fail(not_leader());
  co_return result->revision;
}

awaitable<void> ElectionService::proclaim(WaitingCall& call, std::string message) {
  auto fields = decode_fields(message);
  auto leader = decode_leader(*fields);
  if (!leader) co_return call.fail(leader.error());
  auto lease = co_await line_.session(leader->lease);
  if (!lease) co_return call.fail(lease.error());
  leader->lease = *lease;
  auto revision =
      co_await proclaim_value(call.who, std::move(*leader), std::string(fields->text(2)));
  if (!revision) co_return call.fail(revision.error());
  call.reply(encode_header_only(ids_, *revision));
}

awaitable<void> ElectionService::resign(WaitingCall& call, std::string message) {
  auto fields = decode_fields(message);
  auto leader = decode_leader(*fields);
  if (!leader) co_return call.fail(leader.error());
  TxnRequest request;
  request.compares.push_back(
      {.target = Compare::Target::kCreate, .key = leader->key, .number = leader->revision});
  request.success.emplace_back(DeleteRangeRequest{.key = leader->key});
  auto result = co_await line_.txn(call.who, std::move(request));
  if (!result) co_return call.fail(result.error());
  call.reply(encode_header_only(ids_, result->revision));
}

std::string ElectionService::leader_answer(Revision revision, const KeyValue& kv) const {
  Writer out;
  write_header(out, ids_, revision);
  write_key_value(out, 2, kv);
  return out.take();
}

awaitable<void> ElectionService::leader(WaitingCall& call, std::string message) {
  auto fields = decode_fields(message);
  auto first = line_.first(call.who, std::string(fields->text(1)) + '/');
  if (!first) co_return call.fail(first.error());
  if (first->kvs.empty()) co_return call.fail({Code::kNotFound, "election: no leader"});
  call.reply(leader_answer(first->revision, first->kvs.front()));
}

// Each leader, and each value it proclaims, in their order; between leaders, silence.
awaitable<net::grpc::Status> ElectionService::observe(net::grpc::ServerStream& stream) {
  auto who = Caller(guard_, stream.info()).identity();
  if (!who) co_return to_recipe_status(who.error());
  auto message = co_await stream.read();
  if (!message) co_return to_status(message.error());
  auto fields =
      decode_fields(message->has_value() ? std::string_view(**message) : std::string_view());
  if (!fields) co_return to_status(fields.error());
  const std::string prefix = std::string(fields->text(1)) + '/';
  while (true) {
    auto first = line_.first(*who, prefix);
    if (!first) co_return to_recipe_status(closed_early());
    KeyValue kv;
    Revision revision = first->revision;
    if (!first->kvs.empty()) {
      kv = std::move(first->kvs.front());
    } else {
      EventFeed feed(loop_, store_, prefix, prefix_end(prefix), revision + 1);
      std::shared_ptr<const Event> event;
      do {
        event = co_await feed.next();
        if (event == nullptr) co_return to_recipe_status(closed_early());
      } while (event->type != Event::Type::kPut);
      kv = event->kv;
      revision = kv.mod_revision;
    }
    auto sent =
        co_await stream.write(std::make_shared<const std::string>(leader_answer(revision, kv)));
    if (!sent) co_return to_status(sent.error());
    EventFeed feed(loop_, store_, kv.key, "", revision + 1);
    while (true) {
      auto event = co_await feed.next();
      if (event == nullptr) co_return to_recipe_status(closed_early());
      if (event->type == Event::Type::kDelete) break;
      auto answer = leader_answer(event->kv.mod_revision, event->kv);
      auto written = co_await stream.write(std::make_shared<const std::string>(std::move(answer)));
      if (!written) co_return to_status(written.error());
    }
  }
}

}  // namespace rs::store::etcd
