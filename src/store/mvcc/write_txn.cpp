// The writing half of Machine.
#include "base/assert.h"
#include "store/mvcc/errors.h"
#include "store/mvcc/machine.h"

namespace rs::store::mvcc {

// One transaction being applied at head() + 1. Everything that can refuse it was checked before the first change.
class WriteTxn {
 public:
  WriteTxn(Machine& machine, engine::Batch& batch) : m_(machine), batch_(batch), begin_(machine.head_) {
    m_.applying_ = &commit_;
  }
  ~WriteTxn() { m_.applying_ = nullptr; }

  // Where reads inside the transaction look.
  Revision current() const { return commit_.slots.empty() ? begin_ : begin_ + 1; }

  Result<void> check_lease(const PutRequest& request) const {
    if (request.lease != 0 && m_.lessor_.find(request.lease) == nullptr) return fail(errors::lease_not_found());
    return {};
  }
  Result<void> check_previous(const PutRequest& request) const {
    if (!request.ignore_value && !request.ignore_lease) return {};
    const KeyEntry* entry = m_.index_.find(request.key);
    if (entry == nullptr || !entry->live()) return fail(errors::key_not_found());
    return {};
  }
  // The order of these two is etcd's inside a transaction; a put of its own is asked for its lease first.
  Result<void> check(const PutRequest& request) const {
    if (auto checked = check_previous(request); !checked) return checked;
    return check_lease(request);
  }

  Result<PutResponse> put(const PutRequest& request) {
    const KeyEntry* entry = m_.index_.find(request.key);
    const Version* previous = entry != nullptr && entry->live() ? &entry->latest() : nullptr;
    PutResponse out{begin_ + 1, std::nullopt};
    auto event = std::make_shared<Event>();
    event->kv = {request.key, request.value, begin_ + 1, begin_ + 1, 1, request.lease};
    EventSlot slot;
    if (previous != nullptr) {
      if (request.prev_kv || request.ignore_value) {
        auto kv = m_.key_value(*entry, *previous, true);
        if (!kv) return fail(kv.error());
        if (request.ignore_value) event->kv.value = kv->value;
        if (request.prev_kv) out.prev_kv = std::move(*kv);
      }
      if (request.ignore_lease) event->kv.lease = previous->lease;
      event->kv.create_revision = previous->create;
      event->kv.version = previous->version + 1;
      slot.previous = *previous;
    }
    LeaseId old_lease = previous != nullptr ? previous->lease : 0;
    if (old_lease != event->kv.lease) {
      if (old_lease != 0) m_.lessor_.detach(old_lease, request.key);
      if (event->kv.lease != 0) m_.lessor_.attach(event->kv.lease, request.key);
    }
    ++m_.counters_.puts;
    m_.counters_.put_bytes += event->kv.key.size() + event->kv.value.size();
    change(std::move(slot), std::move(event), previous == nullptr ? 1 : 0);
    return out;
  }

  Result<DeleteRangeResponse> delete_range(const DeleteRangeRequest& request) {
    DeleteRangeResponse out;
    std::vector<const KeyEntry*> doomed;
    std::optional<Error> error;
    m_.index_.visit({request.key, request.range_end}, [&](const KeyEntry& entry) {
      if (!entry.live()) return true;
      doomed.push_back(&entry);
      if (!request.prev_kv) return true;
      auto kv = m_.key_value(entry, entry.latest(), true);
      if (!kv) {
        error = kv.error();
        return false;
      }
      out.prev_kvs.push_back(std::move(*kv));
      return true;
    });
    if (error) return fail(*error);
    for (const KeyEntry* entry : doomed) erase(*entry);
    out.deleted = int64_t(doomed.size());
    out.revision = current();
    return out;
  }

  Result<TxnResponse> run(const TxnRequest& request) {
    std::vector<bool> path;
    if (auto chosen = m_.choose(request, begin_, path); !chosen) return fail(chosen.error());
    for (Checked what : {Checked::kPuts, Checked::kRanges}) {
      auto from = path.cbegin();
      if (auto checked = check_path(request, from, what); !checked) return fail(checked.error());
    }
    auto position = path.cbegin();
    const uint64_t before = m_.counters_.operations();
    auto out = apply(request, position);
    m_.counters_.txns += m_.counters_.operations() - before > 1;
    if (out) out->revision = current();
    return out;
  }

  // Makes the changes part of the state.
  Revision finish() {
    if (commit_.slots.empty()) return begin_;
    for (size_t i = 0; i < commit_.slots.size(); ++i) {
      const KeyValue& kv = commit_.slots[i].event->kv;
      Record record{.main = begin_ + 1, .sub = uint32_t(i)};
      record.tombstone = commit_.slots[i].event->type == Event::Type::kDelete;
      record.last = i + 1 == commit_.slots.size();
      record.create = kv.create_revision;
      record.version = kv.version;
      record.lease = kv.lease;
      record.key = kv.key;
      put_record(batch_, record, kv.value);
    }
    commit_.revision = ++m_.head_;
    m_.history_.append(std::move(commit_));
    return m_.head_;
  }

 private:
  void change(EventSlot slot, std::shared_ptr<Event> event, int live_change) {
    const KeyValue& kv = event->kv;
    bool tombstone = event->type == Event::Type::kDelete;
    Version version{begin_ + 1,         uint32_t(commit_.slots.size()), tombstone, uint32_t(kv.value.size()),
                    kv.create_revision, kv.version,                     kv.lease};
    const KeyEntry& entry = m_.index_.append(kv.key, version);
    m_.live_bytes_ += int64_t(kv.key.size() + kv.value.size());
    if (live_change != 0) m_.deltas_.push_back({begin_ + 1, &entry, live_change});
    slot.event = std::move(event);
    commit_.slots.push_back(std::move(slot));
  }

  void erase(const KeyEntry& entry) {
    ++m_.counters_.deletes;
    EventSlot slot;
    if (entry.latest().lease != 0) m_.lessor_.detach(entry.latest().lease, entry.key);
    // Of watchers: what was there before the transaction, which may have put the key itself.
    if (const Version* before = entry.at(begin_)) slot.previous = *before;
    auto event = std::make_shared<Event>();
    event->type = Event::Type::kDelete;
    event->kv.key = entry.key;
    event->kv.mod_revision = begin_ + 1;
    change(std::move(slot), std::move(event), -1);
  }

  // Of the chosen path only: every put first, then every range, as etcd's checkRequests goes twice.
  enum class Checked { kPuts, kRanges };
  Result<void> check_path(const TxnRequest& request, std::vector<bool>::const_iterator& position, Checked what) const {
    for (const Op& op : *position++ ? request.success : request.failure) {
      Result<void> checked;
      if (auto* nested = std::get_if<std::shared_ptr<const TxnRequest>>(&op)) {
        checked = check_path(**nested, position, what);
      } else if (auto* put = std::get_if<PutRequest>(&op); put != nullptr && what == Checked::kPuts) {
        checked = check(*put);
      } else if (auto* range = std::get_if<RangeRequest>(&op); range != nullptr && what == Checked::kRanges) {
        checked = m_.check_revision_in_txn(*range, begin_);
      }
      if (!checked) return checked;
    }
    return {};
  }

  Result<TxnResponse> apply(const TxnRequest& request, std::vector<bool>::const_iterator& position) {
    TxnResponse out;
    out.succeeded = *position++;
    const auto& ops = out.succeeded ? request.success : request.failure;
    out.responses.reserve(ops.size());
    auto add = [&](auto result) -> Result<void> {
      if (!result) return fail(result.error());
      out.responses.emplace_back(std::move(*result));
      return {};
    };
    for (const Op& op : ops) {
      Result<void> done;
      if (auto* range = std::get_if<RangeRequest>(&op)) {
        done = add(m_.range_at(*range, current()));
      } else if (auto* put_request = std::get_if<PutRequest>(&op)) {
        done = add(put(*put_request));
      } else if (auto* del = std::get_if<DeleteRangeRequest>(&op)) {
        done = add(delete_range(*del));
      } else {
        auto nested = apply(*std::get<std::shared_ptr<const TxnRequest>>(op), position);
        if (!nested) return fail(nested.error());
        out.responses.emplace_back(std::make_shared<const TxnResponse>(std::move(*nested)));
      }
      if (!done) return fail(done.error());
    }
    return out;
  }

  Machine& m_;
  engine::Batch& batch_;
  const Revision begin_;
  Commit commit_;
};



Result<PutResponse> Machine::put(const PutRequest& request, engine::Batch& batch) {
  WriteTxn txn(*this, batch);
  if (auto checked = txn.check_lease(request); !checked) return fail(checked.error());
  if (auto checked = txn.check_previous(request); !checked) return fail(checked.error());
  auto out = txn.put(request);
  if (out) txn.finish();
  return out;
}

Result<DeleteRangeResponse> Machine::delete_range(const DeleteRangeRequest& request, engine::Batch& batch) {
  WriteTxn txn(*this, batch);
  auto out = txn.delete_range(request);
  if (out) txn.finish();
  return out;
}

Result<TxnResponse> Machine::txn(const TxnRequest& request, engine::Batch& batch) {
  WriteTxn txn(*this, batch);
  auto out = txn.run(request);
  if (out) {
    txn.finish();
  } else if (txn.current() != head_) {
    // A read that failed half-way leaves changes that nobody asked for: only the disk knows the truth now.
    broken_ = out.error();
  }
  return out;
}

Result<LeaseGrant> Machine::grant(LeaseId id, int64_t ttl_seconds, MonoTime now, engine::Batch& batch) {
  if (ttl_seconds > Lessor::kMaxTtlSeconds) return fail(errors::lease_ttl_too_large());
  if (lessor_.find(id) != nullptr) return fail(errors::lease_exists());
  int64_t ttl = Lessor::granted_ttl(ttl_seconds);
  lessor_.grant(id, ttl, now);
  ++counters_.leases_granted;
  put_lease(batch, {.id = id, .ttl_seconds = ttl});
  return LeaseGrant{id, ttl};
}

Result<void> Machine::revoke(LeaseId id, engine::Batch& batch) {
  Lease* lease = lessor_.find(id);
  if (lease == nullptr) return fail(errors::lease_not_found());
  std::vector<std::string> keys(lease->keys.begin(), lease->keys.end());
  WriteTxn txn(*this, batch);
  for (std::string& key : keys) {
    auto deleted = txn.delete_range({std::move(key), {}, false});
    ASSERT(deleted.has_value(), "a delete that returns nothing reads nothing");
  }
  lessor_.forget(id);
  ++counters_.leases_revoked;
  batch.erase(lease_key(id));
  txn.finish();
  return {};
}

}  // namespace rs::store::mvcc
