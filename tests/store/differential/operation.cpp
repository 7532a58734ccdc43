#include "operation.h"

#include <fmt/format.h>

#include "store/etcd/client_messages.h"
#include "store/etcd/messages.h"

namespace rs::store::differential {

std::string to_text(const Operation& operation) {
  return fmt::format("{} {}", operation.method, print(*operation.request_type, operation.request));
}

Operation make_put(const PutRequest& request) {
  return {"/etcdserverpb.KV/Put", etcd::encode(request), &types::put_request, &types::put_response,
          true};
}
Operation make_range(const RangeRequest& request) {
  return {"/etcdserverpb.KV/Range", etcd::encode(request), &types::range_request,
          &types::range_response, false};
}
Operation make_delete(const DeleteRangeRequest& request) {
  return {"/etcdserverpb.KV/DeleteRange", etcd::encode(request), &types::delete_request,
          &types::delete_response, true};
}
Operation make_txn(const TxnRequest& request) {
  return {"/etcdserverpb.KV/Txn", etcd::encode(request), &types::txn_request, &types::txn_response,
          true};
}
Operation make_compaction(Revision revision, bool physical) {
  return {"/etcdserverpb.KV/Compact", etcd::encode_compaction(revision, physical),
          &types::compaction_request, &types::header_only, true};
}
Operation make_grant(int64_t ttl_seconds, LeaseId id) {
  return {"/etcdserverpb.Lease/LeaseGrant", etcd::encode_lease_grant(ttl_seconds, id),
          &types::grant_request, &types::grant_response, true};
}
Operation make_revoke(LeaseId id) {
  return {"/etcdserverpb.Lease/LeaseRevoke", etcd::encode_lease_id(id), &types::lease_request,
          &types::header_only, true};
}
Operation make_time_to_live(LeaseId id, bool keys) {
  return {"/etcdserverpb.Lease/LeaseTimeToLive", etcd::encode_lease_time_to_live(id, keys),
          &types::time_to_live_request, &types::time_to_live_response, false};
}
Operation make_leases() {
  return {"/etcdserverpb.Lease/LeaseLeases", "", &types::empty_request, &types::leases_response,
          false};
}
Operation make_hash_kv(Revision revision) {
  etcd::Writer out;
  out.number(1, uint64_t(revision));
  return {"/etcdserverpb.Maintenance/HashKV", out.take(), &types::hash_kv_request,
          &types::hash_kv_response,           false,      kOnlyOurs};
}

namespace {
// Prefixes of each other, the least and the greatest byte, and a zero in the middle.
const std::string kKeys[] = {
    "a",    "b",     "c",   "ab", "ba", std::string("a\0", 2), std::string("\0", 1),
    "\xff", "b\xff", "abc", "cb"};
constexpr int64_t kTtlStep =
    100'000;  // seconds: nothing ends, and the order of expiry is the order of these
}  // namespace

Generator::Generator(uint64_t seed, GeneratorOptions options) : random_(seed), options_(options) {
  keys_.assign(std::begin(kKeys), std::end(kKeys));
  for (size_t i = keys_.size(); i < options_.keys; ++i) keys_.push_back(fmt::format("k{:03}", i));
}

void Generator::learn(Revision current, Revision compacted) {
  current_ = std::max(current_, current);
  compacted_ = std::max(compacted_, compacted);
}

std::string Generator::any_key() {
  return percent(1) ? std::string() : keys_[random_.below(keys_.size())];
}

std::string Generator::any_range_end(const std::string& key) {
  switch (random_.below(10)) {
    case 0:
    case 1:
    case 2:
      return "";
    case 3:
    case 4:
      return std::string(1, '\0');
    case 5:
    case 6:
      return prefix_end(key.empty() ? "a" : key);
    case 7:
      return key;  // an empty range
    default:
      return keys_[random_.below(keys_.size())];  // half of them before the key
  }
}

std::string Generator::any_value() {
  if (percent(15)) return "";
  if (percent(2)) return std::string(1000 + random_.below(3000), char('A' + random_.below(26)));
  if (percent(5)) return std::string("\0\xff", 2);
  return std::string(1 + random_.below(2), char('0' + random_.below(6)));
}

Revision Generator::any_revision() {
  switch (random_.below(20)) {
    case 0:
      return compacted_;
    case 1:
      return compacted_ - 1;
    case 2:
      return compacted_ + 1;
    case 3:
      return current_ + 100 + Revision(random_.below(3));
    case 4:
      return -Revision(random_.below(3)) - 1;
    case 5:
    case 6:
      return random_.between(1, current_);
    case 7:
    case 8:
    case 9:
      return std::max<Revision>(0, current_ - Revision(random_.below(12)));
    default:
      return 0;
  }
}

LeaseId Generator::any_lease() {
  if (percent(60)) return 0;
  return percent(8) ? 999 : percent(5) ? -7 : LeaseId(1 + random_.below(6));
}

RangeRequest Generator::any_range(bool in_txn) {
  RangeRequest out;
  out.key = any_key();
  out.range_end = any_range_end(out.key);
  if (percent(30)) out.limit = percent(5) ? -1 : percent(5) ? INT64_MAX : int64_t(random_.below(6));
  out.revision = any_revision();
  if (percent(30)) out.order = RangeRequest::Order(random_.below(3));
  if (options_.sorts && percent(30)) out.target = RangeRequest::Target(random_.below(5));
  out.serializable = percent(in_txn ? 50 : 20);
  out.keys_only = percent(10);
  out.count_only = percent(10);
  for (Revision* bound : {&out.min_mod_revision, &out.max_mod_revision, &out.min_create_revision,
                          &out.max_create_revision}) {
    if (percent(5))
      *bound =
          percent(10) ? -1 : random_.between(std::max<Revision>(1, current_ - 40), current_ + 2);
  }
  return out;
}

PutRequest Generator::any_put() {
  PutRequest out{.key = any_key(), .value = any_value(), .lease = any_lease()};
  out.prev_kv = percent(30);
  if (percent(8)) out.ignore_value = true;
  if (percent(8)) out.ignore_lease = true;
  if (out.ignore_value && percent(85)) out.value.clear();
  if (out.ignore_lease && percent(85)) out.lease = 0;
  return out;
}

DeleteRangeRequest Generator::any_delete() {
  DeleteRangeRequest out{.key = any_key()};
  if (percent(40)) out.range_end = any_range_end(out.key);
  out.prev_kv = percent(40);
  return out;
}

Compare Generator::any_compare() {
  Compare out;
  out.result = Compare::Result(random_.below(4));
  out.target = Compare::Target(random_.below(5));
  out.key = any_key();
  if (percent(25)) out.range_end = any_range_end(out.key);
  if (out.target == Compare::Target::kValue) {
    out.value = any_value();
  } else if (out.target == Compare::Target::kVersion) {
    out.number = int64_t(random_.below(4));
  } else if (out.target == Compare::Target::kLease) {
    out.number = any_lease();
  } else {
    out.number =
        percent(30) ? 0 : random_.between(std::max<Revision>(0, current_ - 20), current_ + 1);
  }
  return out;
}

Op Generator::any_op(int depth, std::vector<std::string>* unused) {
  uint64_t kind = random_.below(depth < 3 ? 11 : 10);
  if (kind == 10) return std::make_shared<const TxnRequest>(any_txn(depth + 1, unused));
  if (kind < 4) return any_range(true);
  if (unused == nullptr) {
    if (kind < 8) return any_put();
    return any_delete();
  }
  // Careful: no key is written twice.
  if (unused->empty()) return any_range(true);
  std::string key = unused->back();
  unused->pop_back();
  if (kind < 8) {
    PutRequest out = any_put();
    out.key = std::move(key);
    return out;
  }
  return DeleteRangeRequest{std::move(key), {}, percent(40)};
}

TxnRequest Generator::any_txn(int depth, std::vector<std::string>* unused) {
  TxnRequest out;
  for (uint64_t n = random_.below(3); n > 0; --n) out.compares.push_back(any_compare());
  for (uint64_t n = random_.below(4); n > 0; --n) out.success.push_back(any_op(depth, unused));
  for (uint64_t n = random_.below(3); n > 0; --n) out.failure.push_back(any_op(depth, unused));
  return out;
}

Operation Generator::range() {
  return make_range(any_range(false));
}
Operation Generator::put() {
  return make_put(any_put());
}
Operation Generator::erase() {
  return make_delete(any_delete());
}

Operation Generator::txn() {
  if (percent(25)) return make_txn(any_txn(0, nullptr));
  std::vector<std::string> unused = keys_;
  for (size_t i = unused.size(); i > 1; --i) std::swap(unused[i - 1], unused[random_.below(i)]);
  return make_txn(any_txn(0, &unused));
}

// Around the limits of operations in a transaction.
Operation Generator::huge() {
  TxnRequest out;
  size_t outer = 120 + random_.below(12);
  auto nested = std::make_shared<TxnRequest>();
  for (uint64_t n = random_.below(14); n > 0; --n) nested->failure.push_back(any_range(true));
  for (size_t i = 0; i < outer; ++i)
    out.success.push_back(RangeRequest{.key = "a", .serializable = true});
  if (percent(70)) out.success.back() = std::shared_ptr<const TxnRequest>(std::move(nested));
  if (percent(20)) out.compares.assign(127 + random_.below(4), any_compare());
  return make_txn(out);
}

Operation Generator::lease() {
  LeaseId id = percent(5) ? 999 : percent(5) ? -7 : LeaseId(1 + random_.below(6));
  switch (random_.below(10)) {
    case 0:
    case 1:
    case 2:
      return make_grant(percent(5) ? 9'000'000'001 : kTtlStep * int64_t(1 + random_.below(9)), id);
    case 3:
    case 4:
      return make_revoke(percent(5) ? 0 : id);
    case 5:
      return make_leases();
    default:
      return make_time_to_live(percent(3) ? 0 : id, percent(60));
  }
}

bool Generator::known(const std::string& key) const {
  return std::find(keys_.begin(), keys_.end(), key) != keys_.end();
}

bool Generator::known_keys(const TxnRequest& request) const {
  for (const auto* list : {&request.success, &request.failure}) {
    for (const Op& op : *list) {
      if (auto* put = std::get_if<PutRequest>(&op); put != nullptr && !known(put->key))
        return false;
      if (auto* nested = std::get_if<std::shared_ptr<const TxnRequest>>(&op)) {
        if (*nested != nullptr && !known_keys(**nested)) return false;
      }
    }
  }
  return true;
}

namespace {
// Requests that etcd 3.4 takes another way than it should, with consequences:
// - An unknown sort target with a known order makes it dereference a null sorter, and end.
// - An unknown order inside a transaction is allowed to differ, so the transaction must not write.
// - A range_end that is there but empty (no encoder of proto3 writes one) is a nil check's other
// branch in Go: it means
//   "every key from this one on", also to a delete. We take it for what it is, no range_end.
// - A put that keeps its key's value, after a delete of every key in the same transaction, makes it
// panic.
bool misread_by_etcd(const Node& root) {
  bool found = false, deletes_all = false, keeps = false;
  visit_messages(const_cast<Node&>(root), [&](Node& message) {
    if (message.type == &types::range_request) {
      found |= uint32_t(message.signed_of(6)) > 4 ||
               (&message != &root && uint32_t(message.signed_of(5)) > 2);
    }
    bool ranged = message.type == &types::range_request || message.type == &types::delete_request;
    const std::string* end = message.text_of(ranged ? 2 : message.type == &types::compare ? 64 : 0);
    found |= end != nullptr && end->empty();
    deletes_all |=
        message.type == &types::delete_request && end != nullptr && *end == std::string(1, '\0');
    keeps |= message.type == &types::put_request &&
             (message.signed_of(5) != 0 || message.signed_of(6) != 0);
  });
  return found || (deletes_all && keeps);
}
}  // namespace

bool Generator::harmless(const Operation& operation) const {
  Node root;
  bool parsed = parse(*operation.request_type, operation.request, root);
  if (parsed && misread_by_etcd(root)) return false;
  if (operation.request_type == &types::put_request) {
    auto put = etcd::decode_put(operation.request);
    return !put || known(put->key);
  }
  if (operation.request_type == &types::txn_request) {
    auto txn = etcd::decode_txn(operation.request);
    return !txn || known_keys(*txn);
  }
  return true;
}

std::string Generator::damaged(std::string message) {
  for (uint64_t n = 1 + random_.below(3); n > 0; --n) {
    size_t at = random_.below(message.size() + 1);
    switch (random_.below(5)) {
      case 0:
        message.resize(at);
        break;
      case 1:
        message.insert(at, 1, char(random_.below(256)));
        break;
      case 2:
        if (at < message.size()) message[at] = char(random_.below(256));
        break;
      case 3:
        if (at < message.size()) message.erase(at, 1);
        break;
      default:
        message.append(1 + random_.below(4), char(random_.below(256)));
    }
  }
  return message;
}

namespace {
// Fields of numbers that the messages do not have, of every wire type; a group too.
void append_unknown_fields(std::string& message, Random& random) {
  etcd::Writer out;
  for (uint64_t n = 1 + random.below(3); n > 0; --n) {
    auto field = uint32_t(100 + random.below(5000));
    switch (random.below(5)) {
      case 0:
        out.number(field, random.next());
        break;
      case 1:
        out.element(field, "unknown");
        break;
      case 2:
        out.tag(field, 5);
        out.append("1234");
        break;
      case 3:
        out.tag(field, 1);
        out.append("12345678");
        break;
      default:
        out.tag(field, 3);
        out.number(1, 7);
        out.tag(field, 4);
    }
  }
  message += out.take();
}
}  // namespace

Operation Generator::odd() {
  switch (random_.below(6)) {
    case 0: {
      RangeRequest request = any_range(false);
      request.order = RangeRequest::Order(3 + random_.below(4));
      Operation out = make_range(request);
      out.oddities |= kUnknownSortOrder;
      return out;
    }
    case 1: {
      // A compare with a result or a target that the API does not have, or a value of another
      // target.
      Operation out = txn();
      etcd::Writer writer;
      writer.message(1, [&](etcd::Writer& w) {
        w.number(1, random_.below(6));
        w.number(2, random_.below(7));
        w.bytes(3, any_key());
        if (percent(70)) w.number(uint32_t(4 + random_.below(3)), random_.below(4));
        if (percent(20)) w.bytes(7, "1");
        if (percent(20)) w.bytes(64, std::string(1, '\0'));
      });
      out.request += writer.take();
      return out;
    }
    case 2: {
      // An operation without a request, or with two.
      Operation out = txn();
      etcd::Writer writer;
      writer.message(uint32_t(2 + random_.below(2)), [&](etcd::Writer& w) {
        if (percent(50)) w.message(2, [&](etcd::Writer& p) { p.append(etcd::encode(any_put())); });
        if (percent(50))
          w.message(1, [&](etcd::Writer& p) { p.append(etcd::encode(any_range(true))); });
      });
      out.request += writer.take();
      return out;
    }
    case 3: {
      Operation out = percent(50) ? put() : percent(50) ? range() : percent(50) ? erase() : txn();
      append_unknown_fields(out.request, random_);
      return out;
    }
    default: {
      LeaseId id = LeaseId(1 + random_.below(6));
      Operation out = percent(25)   ? put()
                      : percent(30) ? range()
                      : percent(20) ? erase()
                      : percent(15) ? make_revoke(id)
                      : percent(15) ? make_time_to_live(id, true)
                                    : txn();
      out.request = damaged(std::move(out.request));
      out.oddities |= kDamaged;
      out.changes = true;
      return out;
    }
  }
}

Operation Generator::next() {
  while (true) {
    Operation out = candidate();
    if (harmless(out)) return out;
  }
}

Operation Generator::candidate() {
  uint64_t kind = random_.below(1000);
  if (kind < 420) return range();
  if (kind < 600) return put();
  if (kind < 680) return erase();
  if (kind < 860) return txn();
  if (kind < 955) return lease();
  if (kind < 958) return huge();
  if (kind < 960) return make_hash_kv(any_revision());
  return odd();
}

Operation Generator::compaction() {
  Revision revision =
      percent(15) ? any_revision() : random_.between(compacted_, std::max(compacted_, current_));
  if (revision > current_) revision = current_ + 100;
  return make_compaction(revision, percent(30));
}

}  // namespace rs::store::differential
