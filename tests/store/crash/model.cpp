#include "model.h"

#include "base/assert.h"

namespace rs::store::crash {
namespace {

constexpr std::string_view kCompacted = "etcdserver: mvcc: required revision has been compacted";
constexpr std::string_view kFuture = "etcdserver: mvcc: required revision is a future revision";
constexpr std::string_view kLeaseNotFound = "etcdserver: requested lease not found";
constexpr std::string_view kLeaseExists = "etcdserver: lease already exists";

bool within(std::string_view key, std::string_view from, std::string_view end) {
  if (end.empty()) return key == from;
  return key >= from && (end == std::string_view("\0", 1) || key < end);
}

void mix(uint64_t& hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
  hash ^= hash >> 29;
}
void mix(uint64_t& hash, std::string_view text) {
  mix(hash, std::hash<std::string_view>()(text));
}

// A transaction at work: the state before it, and what it has done so far.
class Work {
 public:
  explicit Work(const State& state) : before_(state), keys_(state.now->keys) {}

  Revision current() const { return events_.empty() ? before_.revision() : before_.revision() + 1; }

  PutResponse put(const PutRequest& request) {
    const Revision revision = before_.revision() + 1;
    PutResponse out{revision, std::nullopt};
    auto kv = std::make_shared<KeyValue>(
        KeyValue{request.key, request.value, revision, revision, 1, request.lease});
    if (auto it = keys_.find(request.key); it != keys_.end()) {
      kv->create_revision = it->second->create_revision;
      kv->version = it->second->version + 1;
      if (request.prev_kv) out.prev_kv = *it->second;
    }
    add({Event::Type::kPut, *kv, std::nullopt});
    keys_[request.key] = std::move(kv);
    return out;
  }

  DeleteRangeResponse erase(const DeleteRangeRequest& request) {
    DeleteRangeResponse out;
    for (auto it = keys_.begin(); it != keys_.end();) {
      if (!within(it->first, request.key, request.range_end)) {
        ++it;
        continue;
      }
      ++out.deleted;
      if (request.prev_kv) out.prev_kvs.push_back(*it->second);
      add({Event::Type::kDelete,
           {.key = it->first, .mod_revision = before_.revision() + 1},
           std::nullopt});
      it = keys_.erase(it);
    }
    out.revision = current();
    return out;
  }

  RangeResponse range(const RangeRequest& request) const {
    RangeResponse out{.revision = current()};
    const bool past = request.revision > 0 && request.revision <= before_.revision();
    for (const auto& [key, kv] : past ? before_.at(request.revision)->keys : keys_) {
      if (!within(key, request.key, request.range_end)) continue;
      ++out.count;
      if (request.count_only) continue;
      if (request.limit > 0 && int64_t(out.kvs.size()) == request.limit) {
        out.more = true;
        continue;
      }
      out.kvs.push_back(*kv);
    }
    return out;
  }

  State finish() {
    if (events_.empty()) return before_;
    auto past = std::make_shared<Past>();
    past->revision = before_.revision() + 1;
    past->fingerprint = before_.now->fingerprint;
    for (const Event& event : events_) {
      mix(past->fingerprint, event.kv.key);
      mix(past->fingerprint, event.kv.value);
      mix(past->fingerprint,
          uint64_t(event.type) ^ uint64_t(event.kv.version) << 1 ^ uint64_t(event.kv.lease) << 20);
    }
    past->keys = std::move(keys_);
    past->events = std::move(events_);
    past->before = before_.now;
    State after = before_;
    after.now = std::move(past);
    return after;
  }

 private:
  void add(Event event) {
    // What a watcher hears of is the key as it was before the transaction.
    const Keys& keys = before_.now->keys;
    const bool created =
        event.type == Event::Type::kPut && event.kv.create_revision == event.kv.mod_revision;
    if (auto it = keys.find(event.kv.key); it != keys.end() && !created)
      event.prev_kv = *it->second;
    events_.push_back(std::move(event));
  }

  const State& before_;
  Keys keys_;
  std::vector<Event> events_;
};

template <class T>
bool compared(const T& have, const T& want, Compare::Result how) {
  switch (how) {
    case Compare::Result::kEqual:
      return have == want;
    case Compare::Result::kGreater:
      return have > want;
    case Compare::Result::kLess:
      return have < want;
    case Compare::Result::kNotEqual:
      return have != want;
  }
  return false;
}

bool holds(const State& state, const Compare& compare) {
  ASSERT(compare.range_end.empty(), "the model compares single keys");
  auto it = state.now->keys.find(compare.key);
  const KeyValue absent;
  const KeyValue& kv = it != state.now->keys.end() ? *it->second : absent;
  if (compare.target == Compare::Target::kValue)
    return it != state.now->keys.end() && compared(kv.value, compare.value, compare.result);
  int64_t number = kv.mod_revision;
  if (compare.target == Compare::Target::kVersion) number = kv.version;
  if (compare.target == Compare::Target::kCreate) number = kv.create_revision;
  if (compare.target == Compare::Target::kLease) number = kv.lease;
  return compared(number, compare.number, compare.result);
}

std::string_view refused(const State& state, const Op& op) {
  if (auto* put = std::get_if<PutRequest>(&op); put != nullptr && put->lease != 0)
    return state.ttl_by_lease.contains(put->lease) ? "" : kLeaseNotFound;
  auto* range = std::get_if<RangeRequest>(&op);
  if (range == nullptr || range->revision <= 0) return "";
  return range->revision > state.revision()  ? kFuture
         : range->revision < state.compacted ? kCompacted
                                             : "";
}

Applied refuse(const State& state, std::string_view error) {
  return {state, {}, std::string(error)};
}

Applied apply_txn(const State& state, const TxnRequest& request) {
  TxnResponse out;
  out.succeeded =
      std::ranges::all_of(request.compares, [&](const Compare& c) { return holds(state, c); });
  const auto& ops = out.succeeded ? request.success : request.failure;
  for (const Op& op : ops) {
    if (auto error = refused(state, op); !error.empty()) return refuse(state, error);
  }
  Work work(state);
  for (const Op& op : ops) {
    if (auto* range = std::get_if<RangeRequest>(&op)) {
      out.responses.emplace_back(work.range(*range));
    } else if (auto* put = std::get_if<PutRequest>(&op)) {
      out.responses.emplace_back(work.put(*put));
    } else {
      ASSERT(std::holds_alternative<DeleteRangeRequest>(op),
             "the model knows no transactions inside others");
      out.responses.emplace_back(work.erase(std::get<DeleteRangeRequest>(op)));
    }
  }
  out.revision = work.current();
  return {work.finish(), std::move(out), {}};
}

Applied apply_lease(const State& state, const GrantRequest& request) {
  if (state.ttl_by_lease.contains(request.id)) return refuse(state, kLeaseExists);
  State after = state;
  after.ttl_by_lease.emplace(request.id, request.ttl_seconds);
  return {std::move(after),
          etcd::LeaseAnswer{state.revision(), request.id, request.ttl_seconds, 0, {}},
          {}};
}

Applied apply_lease(const State& state, const RevokeRequest& request) {
  if (!state.ttl_by_lease.contains(request.id)) return refuse(state, kLeaseNotFound);
  Work work(state);
  for (const auto& [key, kv] : state.now->keys) {
    if (kv->lease == request.id) work.erase({.key = key});
  }
  State after = work.finish();
  after.ttl_by_lease.erase(request.id);
  return {after, HeaderOnly{after.revision()}, {}};
}

Applied apply_lease(const State& state, const TimeToLiveRequest& request) {
  etcd::LeaseAnswer out{.revision = state.revision(), .id = request.id};
  auto it = state.ttl_by_lease.find(request.id);
  if (it == state.ttl_by_lease.end()) return {state, std::move(out), {}};
  out.granted_ttl_seconds = it->second;
  for (const auto& [key, kv] : state.now->keys) {
    if (kv->lease == request.id) out.keys.push_back(key);
  }
  return {state, std::move(out), {}};
}

bool same(const std::vector<KeyValue>& a, const std::vector<KeyValue>& b) {
  return std::ranges::equal(a, b,
                            [](const KeyValue& x, const KeyValue& y) { return crash::same(x, y); });
}
bool same(const std::optional<KeyValue>& a, const std::optional<KeyValue>& b) {
  return a.has_value() == b.has_value() && (!a || crash::same(*a, *b));
}

bool agree(const RangeResponse& a, const RangeResponse& b) {
  return a.revision == b.revision && a.count == b.count && a.more == b.more && same(a.kvs, b.kvs);
}
bool agree(const PutResponse& a, const PutResponse& b) {
  return a.revision == b.revision && same(a.prev_kv, b.prev_kv);
}
bool agree(const DeleteRangeResponse& a, const DeleteRangeResponse& b) {
  return a.revision == b.revision && a.deleted == b.deleted && same(a.prev_kvs, b.prev_kvs);
}
bool agree(const HeaderOnly& a, const HeaderOnly& b) {
  return a.revision == b.revision;
}
bool agree(const std::monostate&, const std::monostate&) {
  return true;
}
// The revision of an answer about leases is of the moment it was written: not before what it says
// was true. That it is not too old is for check_headers() to see.
bool agree(const etcd::LeaseAnswer& a, const etcd::LeaseAnswer& b) {
  return a.revision <= b.revision && a.id == b.id &&
         a.granted_ttl_seconds == b.granted_ttl_seconds && a.keys == b.keys;
}
bool agree(const TxnResponse& a, const TxnResponse& b) {
  if (a.revision != b.revision || a.succeeded != b.succeeded ||
      a.responses.size() != b.responses.size())
    return false;
  for (size_t i = 0; i < a.responses.size(); ++i) {
    if (a.responses[i].index() != b.responses[i].index()) return false;
    const bool alike = std::visit(
        [&]<class T>(const T& x) {
          const T& y = std::get<T>(b.responses[i]);
          if constexpr (std::is_same_v<T, std::shared_ptr<const TxnResponse>>) return agree(*x, *y);
          // Inside a transaction only its own header counts.
          else if constexpr (std::is_same_v<T, RangeResponse>)
            return x.count == y.count && same(x.kvs, y.kvs);
          else if constexpr (std::is_same_v<T, PutResponse>)
            return same(x.prev_kv, y.prev_kv);
          else
            return x.deleted == y.deleted && same(x.prev_kvs, y.prev_kvs);
        },
        a.responses[i]);
    if (!alike) return false;
  }
  return true;
}

}  // namespace

const Past* State::at(Revision wanted) const {
  if (wanted > revision()) return nullptr;
  const Past* past = now.get();
  while (past->revision > wanted) past = past->before.get();
  return past;
}

uint64_t State::fingerprint() const {
  uint64_t hash = now->fingerprint;
  mix(hash, uint64_t(revision()));
  mix(hash, uint64_t(compacted));
  for (const auto& [id, ttl] : ttl_by_lease) mix(hash, uint64_t(id));
  return hash;
}

Applied apply(const State& state, const Request& request) {
  if (auto* txn = std::get_if<TxnRequest>(&request)) return apply_txn(state, *txn);
  if (auto* grant = std::get_if<GrantRequest>(&request)) return apply_lease(state, *grant);
  if (auto* revoke = std::get_if<RevokeRequest>(&request)) return apply_lease(state, *revoke);
  if (auto* lease = std::get_if<TimeToLiveRequest>(&request)) return apply_lease(state, *lease);
  if (auto* compact = std::get_if<CompactRequest>(&request)) {
    if (compact->revision <= state.compacted) return refuse(state, kCompacted);
    if (compact->revision > state.revision()) return refuse(state, kFuture);
    State after = state;
    after.compacted = compact->revision;
    return {std::move(after), HeaderOnly{state.revision()}, {}};
  }
  Work work(state);
  if (auto* put = std::get_if<PutRequest>(&request)) {
    if (auto error = refused(state, *put); !error.empty()) return refuse(state, error);
    auto response = work.put(*put);
    return {work.finish(), std::move(response), {}};
  }
  if (auto* erase = std::get_if<DeleteRangeRequest>(&request)) {
    auto response = work.erase(*erase);
    return {work.finish(), std::move(response), {}};
  }
  const auto& range = std::get<RangeRequest>(request);
  if (auto error = refused(state, range); !error.empty()) return refuse(state, error);
  return {state, work.range(range), {}};
}

bool always_allowed(std::string_view error) {
  return error == "etcdserver: mvcc: database space exceeded" ||
         error == "etcdserver: corrupt cluster" || error == "etcdserver: too many requests";
}

std::optional<State> step(const State& state, const Call& call) {
  if (call.outcome == Call::Outcome::kRefused && always_allowed(call.error)) return state;
  Applied applied = apply(state, call.request);
  if (call.outcome == Call::Outcome::kUnknown) {
    if (!applied.error.empty()) return std::nullopt;  // as if it had not been done
    return std::move(applied.state);
  }
  if (call.outcome == Call::Outcome::kRefused) {
    if (applied.error != call.error) return std::nullopt;
    return std::move(applied.state);
  }
  if (!applied.error.empty() || applied.response.index() != call.response.index())
    return std::nullopt;
  const bool alike = std::visit(
      [&]<class T>(const T& a) { return agree(a, std::get<T>(call.response)); }, applied.response);
  if (!alike) return std::nullopt;
  return std::move(applied.state);
}

}  // namespace rs::store::crash
