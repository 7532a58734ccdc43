// Bytes as a sequence of operations on the state machine, which must agree with a map of maps
// (reference: etcd-api.md A.4, A.5), also after what was not yet on disk is taken back, and after a
// restart.
#include "base/assert.h"
#include "store/mvcc/machine_testing.h"

namespace {
using namespace rs::store;
using namespace rs::store::mvcc;

using Snapshot = std::map<std::string, KeyValue>;

class Run {
 public:
  Run(const uint8_t* data, size_t size) : data_(data), end_(data + size) {}

  void all() {
    for (int i = 0; i < 300 && data_ != end_; ++i) step();
    settle();
    restart();
    compare_all();
  }

 private:
  uint8_t byte() { return data_ == end_ ? 0 : *data_++; }
  std::string key() { return std::string(1 + byte() % 2, char('a' + byte() % 6)); }
  std::string end_of(const std::string& from) {
    switch (byte() % 4) {
      case 0:
        return "";
      case 1:
        return std::string(kNoEnd);
      case 2:
        return prefix_end(from);
      default:
        return key();
    }
  }
  Revision head() const { return at_.rbegin()->first; }
  const Snapshot& latest() const { return at_.rbegin()->second; }

  static void put_into(Snapshot& state, Revision main, const PutRequest& request) {
    auto [it, added] = state.try_emplace(request.key);
    if (added) it->second = {request.key, "", main, 0, 0, 0};
    KeyValue& kv = it->second;
    kv.value = request.value;
    kv.lease = request.lease;
    kv.mod_revision = main;
    ++kv.version;
  }
  static std::vector<KeyValue> within(const Snapshot& state, KeyRange range) {
    std::vector<KeyValue> out;
    for (const auto& [k, kv] : state) {
      if (range.contains(k)) out.push_back(kv);
    }
    return out;
  }
  static bool same(const KeyValue& a, const KeyValue& b) {
    return a.key == b.key && a.value == b.value && a.create_revision == b.create_revision &&
           a.mod_revision == b.mod_revision && a.version == b.version && a.lease == b.lease;
  }

  void step() {
    switch (byte() % 10) {
      case 0:
      case 1:
        return put();
      case 2:
        return erase();
      case 3:
        return txn();
      case 4:
        return settle();
      case 5:
        return compact();
      case 6:
        return lease();
      case 7:
        return rewind();
      default:
        return range();
    }
  }
  void put() {
    PutRequest request{.key = key(),
                       .value = std::string(byte() % 4, 'v'),
                       .lease = byte() % 4 == 0 ? byte() % 4 : 0};
    auto done = test_.machine.put(request, test_.batch);
    ASSERT(done.has_value() == (request.lease == 0 || leases_.contains(request.lease)));
    if (!done) return;
    Snapshot state = latest();
    const Revision main = head() + 1;
    put_into(state, main, request);
    at_[main] = std::move(state);
    ASSERT(done->revision == main);
  }
  void erase() {
    const std::string from = key(), to = end_of(from);
    auto done = test_.machine.delete_range({from, to, true}, test_.batch);
    auto doomed = within(latest(), {from, to});
    ASSERT(done && done->deleted == int64_t(doomed.size()) &&
           done->prev_kvs.size() == doomed.size());
    for (size_t i = 0; i < doomed.size(); ++i) ASSERT(same(done->prev_kvs[i], doomed[i]));
    if (!doomed.empty()) {
      Snapshot state = latest();
      for (const KeyValue& kv : doomed) state.erase(kv.key);
      at_[head() + 1] = std::move(state);
    }
    ASSERT(done->revision == head());
  }
  // If a key's version is as said: delete a range and put; read what is then there.
  void txn() {
    const std::string a = key(), from = key(), to = end_of(from);
    const int64_t version = byte() % 3;
    PutRequest put{.key = "z" + key(), .value = "txn"};
    TxnRequest inner;
    inner.success = {RangeRequest{.key = "\1", .range_end = std::string(kNoEnd)}};
    TxnRequest request;
    request.compares.push_back(
        {Compare::Result::kEqual, Compare::Target::kVersion, a, "", version, ""});
    request.success = {DeleteRangeRequest{from, to, false}, put,
                       std::make_shared<const TxnRequest>(inner)};
    const bool collides = KeyRange{from, to}.contains(put.key);
    if (collides) request.success.erase(request.success.begin());
    auto found = latest().find(a);
    const bool holds = (found == latest().end() ? 0 : found->second.version) == version;
    auto done = test_.machine.txn(request, test_.batch);
    ASSERT(done && done->succeeded == holds);
    if (!holds) return;
    Snapshot state = latest();
    const Revision main = head() + 1;
    if (!collides) {
      for (const KeyValue& kv : within(state, {from, to})) state.erase(kv.key);
    }
    put_into(state, main, put);
    const auto& nested = *std::get<std::shared_ptr<const TxnResponse>>(done->responses.back());
    ASSERT(std::get<RangeResponse>(nested.responses.at(0)).kvs.size() == state.size(),
           "a txn reads its own writes");
    at_[main] = std::move(state);
    ASSERT(done->revision == main);
  }
  void settle() {
    test_.settle();
    durable_ = head();
    durable_leases_ = leases_;
  }
  void compact() {
    settle();
    const Revision revision = Revision(byte()) % (durable_ + 2);
    auto done = test_.machine.compact(revision, test_.batch);
    ASSERT(done.has_value() == (revision > compacted_ && revision <= durable_));
    if (!done) return;
    compacted_ = revision;
    if (byte() % 2 == 0) test_.compact_to_end(1 + byte() % 8, 1 + byte() % 8);
    settle();
  }
  void lease() {
    const LeaseId id = 1 + byte() % 3;
    if (byte() % 2 == 0) {
      auto granted = test_.machine.grant(id, 60, rs::MonoTime{}, test_.batch);
      ASSERT(granted.has_value() == leases_.insert(id).second);
      return;
    }
    auto revoked = test_.machine.revoke(id, test_.batch);
    ASSERT(revoked.has_value() == (leases_.erase(id) == 1));
    Snapshot state = latest();
    if (revoked &&
        std::erase_if(state, [&](const auto& entry) { return entry.second.lease == id; }) > 0)
      at_[head() + 1] = std::move(state);
    ASSERT(test_.machine.head() == head());
  }
  // The disk failed: only what was settled ever happened.
  void rewind() {
    test_.batch.clear();
    std::map<LeaseId, mvcc::StoredLease> kept;
    for (LeaseId id : durable_leases_) kept[id] = {.id = id, .ttl_seconds = 60};
    test_.machine.rewind(kept, rs::MonoTime{});
    at_.erase(at_.upper_bound(durable_), at_.end());
    leases_ = durable_leases_;
    ASSERT(test_.machine.head() == head());
  }
  void range() {
    RangeRequest request{.key = key()};
    request.range_end = end_of(request.key);
    request.revision = byte() % 3 == 0 ? Revision(byte()) % (durable_ + 2) : 0;
    request.limit = byte() % 4;
    request.count_only = byte() % 8 == 0;
    request.order = RangeRequest::Order(byte() % 3);
    auto done = test_.machine.range(request);
    const Revision at = request.revision == 0 ? durable_ : request.revision;
    ASSERT(done.has_value() == (at <= durable_ && (request.revision == 0 || at >= compacted_)));
    if (!done) return;
    auto expected = within(at_.at(at), {request.key, request.range_end});
    ASSERT(done->revision == durable_ && done->count == int64_t(expected.size()));
    if (request.count_only) return;
    if (request.order == RangeRequest::Order::kDescend)
      std::reverse(expected.begin(), expected.end());
    const bool more = request.limit > 0 && expected.size() > size_t(request.limit);
    if (more) expected.resize(size_t(request.limit));
    ASSERT(done->more == more && done->kvs.size() == expected.size());
    for (size_t i = 0; i < expected.size(); ++i) ASSERT(same(done->kvs[i], expected[i]));
  }
  void restart() {
    TestMachine again;
    again.engine = std::move(test_.engine);
    again.machine.restore_begin({head(), 0}, test_.machine.compacted());
    rs::Result<void> restored;
    (void)again.records(0, [&](const Record& record) {
      restored = again.machine.restore(record);
      return restored.has_value();
    });
    ASSERT(restored.has_value());
    ASSERT(again.machine.restore_finish().has_value());
    auto all = again.machine.range({.key = std::string(1, '\0'), .range_end = std::string(kNoEnd)});
    compare(*all);
    test_.engine = std::move(again.engine);
  }
  void compare_all() {
    compare(*test_.machine.range({.key = std::string(1, '\0'), .range_end = std::string(kNoEnd)}));
  }
  void compare(const RangeResponse& all) {
    auto expected = within(latest(), {"", kNoEnd});
    ASSERT(all.kvs.size() == expected.size() && all.count == int64_t(expected.size()));
    for (size_t i = 0; i < expected.size(); ++i) ASSERT(same(all.kvs[i], expected[i]));
  }

  const uint8_t *data_, *end_;
  TestMachine test_{512};
  std::map<Revision, Snapshot> at_{{1, {}}};
  std::set<LeaseId> leases_, durable_leases_;
  Revision durable_ = 1, compacted_ = -1;
};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Run(data, size).all();
  return 0;
}
