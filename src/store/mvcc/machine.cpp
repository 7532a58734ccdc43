#include "store/mvcc/machine.h"

#include <algorithm>

#include "base/assert.h"
#include "store/mvcc/errors.h"

namespace rs::store::mvcc {

Result<std::string> Machine::value(const Version& version) const {
  if (version.value_bytes == 0) return std::string();
  if (version.main > head_) return applying_->slots[version.sub].event->kv.value;
  if (Commit* commit = const_cast<History&>(history_).find(version.main))
    return commit->slots[version.sub].event->kv.value;
  auto stored = reader_.value(version.main, version.sub);
  if (!stored) return fail(stored.error());
  if (!stored->has_value() || (*stored)->size() != version.value_bytes)
    return fail(Code::kDataLoss, "the value of revision {}/{} is missing or damaged", version.main, uint32_t(version.sub));
  return std::move(**stored);
}

Result<KeyValue> Machine::key_value(const KeyEntry& entry, const Version& version, bool with_value) const {
  KeyValue kv{entry.key, {}, version.create, version.main, version.version, version.lease};
  if (with_value) {
    auto bytes = value(version);
    if (!bytes) return fail(bytes.error());
    kv.value = std::move(*bytes);
  }
  return kv;
}

int64_t Machine::count_at(KeyRange range, Revision revision) const {
  if (revision >= durable_) {
    int64_t count = index_.live_count(range);
    for (auto it = deltas_.rbegin(); it != deltas_.rend() && it->revision > revision; ++it) {
      if (range.contains(it->entry->key)) count -= it->change;
    }
    return count;
  }
  int64_t count = 0;
  index_.visit(range, [&](const KeyEntry& entry) {
    count += entry.at(revision) != nullptr;
    return true;
  });
  return count;
}

namespace {

struct Candidate {
  const KeyEntry* entry;
  const Version* version;
};

bool filtered(const RangeRequest& request) {
  return request.min_mod_revision != 0 || request.max_mod_revision != 0 || request.min_create_revision != 0 ||
         request.max_create_revision != 0;
}

bool passes(const RangeRequest& request, const Version& version) {
  if (request.max_mod_revision != 0 && version.main > request.max_mod_revision) return false;
  if (request.min_mod_revision != 0 && version.main < request.min_mod_revision) return false;
  if (request.max_create_revision != 0 && version.create > request.max_create_revision) return false;
  return request.min_create_revision == 0 || version.create >= request.min_create_revision;
}

int64_t sort_number(const Version& version, RangeRequest::Target target) {
  switch (target) {
    case RangeRequest::Target::kVersion: return version.version;
    case RangeRequest::Target::kCreate: return version.create;
    default: return version.main;
  }
}

// Orders everything but by value, which is not in the index.
void sort_candidates(std::vector<Candidate>& found, const RangeRequest& request, bool descend) {
  if (request.target == RangeRequest::Target::kKey) {
    if (descend) std::reverse(found.begin(), found.end());
    return;
  }
  std::sort(found.begin(), found.end(), [&](const Candidate& a, const Candidate& b) {
    int64_t x = sort_number(*a.version, request.target), y = sort_number(*b.version, request.target);
    if (x == y) return a.entry->key < b.entry->key;
    return descend ? y < x : x < y;
  });
}

}  // namespace

Result<RangeResponse> Machine::range_at(const RangeRequest& request, Revision current) const {
  ++counters_.ranges;
  RangeResponse out;
  out.revision = current;
  Revision at = request.revision <= 0 ? current : request.revision;
  if (at > current) return fail(errors::future_revision());
  if (request.revision > 0 && at < compacted_) return fail(errors::compacted());

  KeyRange range{request.key, request.range_end};
  bool descend = request.order == RangeRequest::Order::kDescend;
  bool natural = request.target == RangeRequest::Target::kKey && !descend && !filtered(request);
  if (request.count_only) {
    out.count = count_at(range, at);
    return out;
  }
  // etcd looks at all keys only when an order is asked for: a target alone sorts the first of them by key.
  bool first_keys_only = natural || (request.order == RangeRequest::Order::kNone && !filtered(request));
  size_t want = first_keys_only && request.limit > 0 ? size_t(request.limit) + 1 : SIZE_MAX;
  std::vector<Candidate> found;
  int64_t seen = 0;
  bool all = true;
  index_.visit(range, [&](const KeyEntry& entry) {
    const Version* version = entry.at(at);
    if (version == nullptr) return true;
    if (found.size() == want) return all = false;
    ++seen;
    if (passes(request, *version)) found.push_back({&entry, version});
    return true;
  });
  out.count = all ? seen : count_at(range, at);

  bool by_value = request.target == RangeRequest::Target::kValue;
  if (!natural && !by_value) sort_candidates(found, request, descend);
  auto limit = [&](auto& list) {
    if (request.limit <= 0 || list.size() <= size_t(request.limit)) return;
    list.erase(list.begin() + request.limit, list.end());
    out.more = true;
  };
  if (!by_value) limit(found);
  out.kvs.reserve(found.size());
  for (const Candidate& c : found) {
    auto kv = key_value(*c.entry, *c.version, !request.keys_only || by_value);
    if (!kv) return fail(kv.error());
    out.kvs.push_back(std::move(*kv));
  }
  if (by_value) {
    std::sort(out.kvs.begin(), out.kvs.end(), [&](const KeyValue& a, const KeyValue& b) {
      if (a.value == b.value) return a.key < b.key;
      return descend ? b.value < a.value : a.value < b.value;
    });
    limit(out.kvs);
    if (request.keys_only) {
      for (KeyValue& kv : out.kvs) kv.value.clear();
    }
  }
  return out;
}

namespace {
template <class T>
bool compare_values(const T& have, const T& want, Compare::Result how) {
  switch (how) {
    case Compare::Result::kEqual: return have == want;
    case Compare::Result::kGreater: return have > want;
    case Compare::Result::kLess: return have < want;
    case Compare::Result::kNotEqual: return have != want;
  }
  return true;
}

int64_t compare_number(const Version& version, Compare::Target target) {
  switch (target) {
    case Compare::Target::kVersion: return version.version;
    case Compare::Target::kCreate: return version.create;
    case Compare::Target::kLease: return version.lease;
    default: return version.main;
  }
}
}  // namespace

Result<bool> Machine::holds(const Compare& compare, Revision at) const {
  bool any = false, all = true;
  std::optional<Error> error;
  index_.visit({compare.key, compare.range_end}, [&](const KeyEntry& entry) {
    const Version* version = entry.at(at);
    if (version == nullptr) return true;
    any = true;
    if (compare.target == Compare::Target::kValue) {
      auto bytes = value(*version);
      if (!bytes) {
        error = bytes.error();
        return false;
      }
      all = compare_values(*bytes, compare.value, compare.result);
    } else {
      all = compare_values(compare_number(*version, compare.target), compare.number, compare.result);
    }
    return all;
  });
  if (error) return fail(*error);
  if (any) return all;
  // A key that is not there has all numbers 0, and no value that could be compared.
  if (compare.target == Compare::Target::kValue) return false;
  return compare_values(int64_t(0), compare.number, compare.result);
}

// The outcome of every compare, in the order in which the chosen path meets them: all look at the state before.
Result<void> Machine::choose(const TxnRequest& request, Revision at, std::vector<bool>& path) const {
  bool succeeded = true;
  for (const Compare& compare : request.compares) {
    auto held = holds(compare, at);
    if (!held) return fail(held.error());
    if (!*held) {
      succeeded = false;
      break;
    }
  }
  path.push_back(succeeded);
  for (const Op& op : succeeded ? request.success : request.failure) {
    auto* nested = std::get_if<std::shared_ptr<const TxnRequest>>(&op);
    if (nested == nullptr) continue;
    if (auto chosen = choose(**nested, at, path); !chosen) return chosen;
  }
  return {};
}

Result<void> Machine::check_revision_in_txn(const RangeRequest& request, Revision current) const {
  if (request.revision == 0) return {};
  if (request.revision > current) return fail(errors::future_revision());
  if (request.revision < compacted_) return fail(errors::compacted());
  return {};
}

Result<TxnResponse> Machine::read_txn(const TxnRequest& request) const {
  std::vector<bool> path;
  if (auto chosen = choose(request, durable_, path); !chosen) return fail(chosen.error());
  for (const Op& op : path[0] ? request.success : request.failure) {
    if (auto checked = check_revision_in_txn(std::get<RangeRequest>(op), durable_); !checked) return fail(checked.error());
  }
  const uint64_t before = counters_.operations();
  TxnResponse out{durable_, path[0], {}};
  for (const Op& op : path[0] ? request.success : request.failure) {
    auto ranged = range_at(std::get<RangeRequest>(op), durable_);
    if (!ranged) return fail(ranged.error());
    out.responses.emplace_back(std::move(*ranged));
  }
  counters_.txns += counters_.operations() - before > 1;
  return out;
}

Result<void> Machine::compact(Revision revision, engine::Batch& batch) {
  if (revision <= compacted_) return fail(errors::compacted());
  if (revision > durable_) return fail(errors::future_revision());
  compacted_ = revision;
  put_number(batch, "compact", revision);
  compacting_ = true;
  compact_next_.clear();
  return {};
}

bool Machine::compact_step(size_t max_keys, size_t max_versions, std::vector<Dropped>& dropped) {
  // One key's share: dropping from the front of a long list of versions moves the rest, so a large share costs least.
  constexpr size_t kVersionsOfKey = 8192;
  if (!compacting_) return false;
  std::vector<std::string> work;
  size_t looked = 0, expected = 0;
  std::optional<std::string> next;
  index_.visit({compact_next_, kNoEnd}, [&](const KeyEntry& entry) {
    if (looked == max_keys || expected >= max_versions) {
      next = entry.key;
      return false;
    }
    ++looked;
    const Version& oldest = entry.versions.front();
    bool one_live = entry.versions.size() == 1 && !oldest.tombstone;
    if (one_live || oldest.main > compacted_) return true;
    expected += entry.versions.size();
    work.push_back(entry.key);
    return true;
  });
  for (const std::string& key : work) {
    bool all = index_.compact_key(key, compacted_, kVersionsOfKey, [&](const KeyEntry& entry, const Version& version) {
      ++counters_.compacted_versions;
      live_bytes_ -= int64_t(entry.key.size() + version.value_bytes);
      dropped.push_back({version.main, version.sub, version.value_bytes != 0});
    });
    if (all) continue;
    next = key;
    break;
  }
  compacting_ = next.has_value();
  compact_next_ = next.value_or(std::string());
  return compacting_;
}

void Machine::settle(Revision revision) {
  ASSERT(revision >= durable_ && revision <= head_);
  durable_ = revision;
  while (!deltas_.empty() && deltas_.front().revision <= durable_) deltas_.pop_front();
}

namespace {
constexpr size_t kSliceBytes = 4 << 20;
}

const std::shared_ptr<const Event>& Machine::with_previous(EventSlot& slot) const {
  // What was before the compacted revision cannot be read any more, though history may still hold it.
  if (slot.event->kv.mod_revision <= compacted_) {
    slot.with_previous = slot.event;
    slot.wire_with_previous.reset();
    return slot.with_previous;
  }
  if (slot.with_previous != nullptr) return slot.with_previous;
  const Event& event = *slot.event;
  const KeyEntry* entry = slot.previous.main == 0 ? nullptr : index_.find(event.kv.key);
  // A previous version that was compacted is left out, as in etcd.
  if (entry == nullptr || entry->versions.front().main > slot.previous.main) {
    slot.with_previous = slot.event;
    return slot.with_previous;
  }
  auto kv = key_value(*entry, slot.previous, true);
  if (!kv) {
    slot.with_previous = slot.event;
    return slot.with_previous;
  }
  auto full = std::make_shared<Event>(event);
  full->prev_kv = std::move(*kv);
  slot.with_previous = std::move(full);
  return slot.with_previous;
}

Result<Machine::Slice> Machine::read_history(Revision from, KeyRange range, size_t max_events,
                                             size_t max_records) const {
  Slice slice;
  slice.next = std::max<Revision>(from, 2);
  auto& history = const_cast<History&>(history_);
  size_t events = 0, records = 0, bytes_read = 0;
  auto enough = [&] { return events >= max_events || records >= max_records || bytes_read >= kSliceBytes; };
  std::optional<Error> error;
  Revision held = std::min(history.first(durable_ + 1), durable_ + 1);
  // What compaction has not touched is dense: a hole is a table that cannot be read, and no watcher may miss it silently.
  auto lost = [&](Revision found) {
    const Revision due = std::max(slice.next, compacted_ + 1);
    if (found > due) error = Error{Code::kDataLoss, fmt::format("the records of revisions {} to {} are lost", due, found - 1)};
    return error.has_value();
  };
  auto on_disk = [&](const Record& record) {
    if (record.main >= held || lost(record.main)) return false;
    if (record.main != slice.next - 1 && enough()) return false;
    slice.next = record.main + 1;
    ++records;
    if (!range.contains(record.key)) return true;
    auto event = std::make_shared<Event>();
    event->type = record.tombstone ? Event::Type::kDelete : Event::Type::kPut;
    event->kv = {std::string(record.key), {}, record.create, record.main, record.version, record.lease};
    Version version{record.main, record.sub, record.tombstone, record.value_bytes, record.create, record.version, 0};
    auto bytes = value(version);
    if (!bytes) {
      error = bytes.error();
      return false;
    }
    bytes_read += bytes->size();
    event->kv.value = std::move(*bytes);
    EventSlot slot{std::move(event), {}, nullptr, nullptr, nullptr};
    // Nothing is before a key that was created, even when the same transaction deleted it first.
    const bool created = !record.tombstone && record.create == record.main;
    if (const KeyEntry* entry = created ? nullptr : index_.find(record.key)) {
      for (size_t i = entry->versions.size(); i-- > 0;) {
        if (entry->versions[i].main >= record.main) continue;
        if (!entry->versions[i].tombstone) slot.previous = entry->versions[i];
        break;
      }
    }
    if (slice.commits.empty() || slice.commits.back().revision != record.main) slice.commits.push_back({record.main, {}});
    slice.commits.back().slots.push_back(std::move(slot));
    ++events;
    return true;
  };
  if (slice.next < held) {
    bool stopped = false;
    auto read = reader_.records(slice.next, [&](const Record& record) {
      bool go_on = on_disk(record);
      stopped = !go_on && record.main < held;
      return go_on;
    });
    if (!read) return fail(read.error());
    if (!error && stopped) return slice;
    if (error || lost(held)) return fail(*error);
    slice.next = held;
  }
  while (slice.next <= durable_ && !enough()) {
    Commit* commit = history.find(slice.next++);
    ASSERT(commit != nullptr, "history holds every revision from its first to the last durable one");
    records += commit->slots.size();
    Commit match{commit->revision, {}};
    for (const EventSlot& slot : commit->slots) {
      if (range.contains(slot.event->kv.key)) match.slots.push_back(slot);
    }
    events += match.slots.size();
    if (!match.slots.empty()) slice.commits.push_back(std::move(match));
  }
  return slice;
}

void Machine::attach_all() {
  index_.visit({"", kNoEnd}, [&](const KeyEntry& entry) {
    if (entry.live() && entry.latest().lease != 0) lessor_.attach(entry.latest().lease, entry.key);
    return true;
  });
}

void Machine::rewind(const std::map<LeaseId, StoredLease>& leases, MonoTime now) {
  deltas_.clear();
  for (; head_ > durable_; --head_) {
    Commit commit = history_.pop();
    for (size_t i = commit.slots.size(); i-- > 0;) {
      const KeyValue& kv = commit.slots[i].event->kv;
      live_bytes_ -= int64_t(kv.key.size() + kv.value.size());
      index_.retract(kv.key);
    }
  }
  lessor_.reset(leases, now);
  attach_all();
  broken_.reset();
}

void Machine::restore_begin(Head head, Revision compacted) {
  compacted_ = compacted;
  head_ = durable_ = std::max(head.revision, compacted);
  restored_ = Record{.main = std::max<Revision>(1, compacted), .last = true};
}

Result<void> Machine::restore(const Record& record) {
  if (record.main > head_)
    return fail(Code::kDataLoss, "revision {} is stored, but the last commit recorded is {}", record.main, head_);
  // What compaction has not touched is dense: a hole is a lost record.
  if (record.main > compacted_) {
    bool fits = record.main == restored_.main
                    ? record.sub == restored_.sub + 1 && !restored_.last
                    : record.main == restored_.main + 1 && record.sub == 0 && restored_.last;
    if (!fits)
      return fail(Code::kDataLoss, "revision {}/{} follows {}/{}: records between them are lost", record.main, record.sub,
                  restored_.main, restored_.sub);
    restored_.main = record.main;
    restored_.sub = record.sub;
    restored_.last = record.last;
  }
  index_.append(record.key, {record.main, record.sub, record.tombstone, record.value_bytes, record.create,
                             record.version, record.lease});
  live_bytes_ += int64_t(record.key.size() + record.value_bytes);
  return {};
}

Result<void> Machine::restore_finish() {
  if (restored_.main != head_ || !restored_.last)
    return fail(Code::kDataLoss, "the last commit recorded is revision {}, but records end at {}/{}", head_,
                restored_.main, restored_.sub);
  attach_all();
  // A compaction that a crash cut short starts again; one that had ended finds nothing to do.
  compacting_ = compacted_ > 0;
  return {};
}

}  // namespace rs::store::mvcc
