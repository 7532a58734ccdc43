// Machine: the store's state and what requests do to it. Pure: no I/O but reading back old records, no clock, no thread.
//
// Writes are evaluated at head(), ahead of the disk, and append what must be made durable to a batch; reads see
// durable(), which the owner moves with settle() once a batch is on disk. So the next group of writes is evaluated while
// the previous one is in fsync, and nobody sees what a crash could take back. One loop.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "store/engine/engine.h"
#include "store/mvcc/counters.h"
#include "store/mvcc/history.h"
#include "store/mvcc/index.h"
#include "store/mvcc/lessor.h"
#include "store/mvcc/record.h"

namespace rs::store::mvcc {

// A record that nobody can read any more.
struct Dropped {
  Revision main;
  uint32_t sub;
  bool has_value;
  friend auto operator<=>(const Dropped&, const Dropped&) = default;
};

// Reads back what batches wrote.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual Result<std::optional<std::string>> value(Revision main, uint32_t sub) const = 0;
  // Records from the first of main revision from, in order, until visit says false.
  virtual Result<void> records(Revision from, const std::function<bool(const Record&)>& visit) const = 0;
};

class Machine {
 public:
  Machine(const Reader& reader, size_t history_bytes) : reader_(reader), history_(history_bytes) {}

  Revision head() const { return head_; }
  Revision durable() const { return durable_; }
  Revision compacted() const { return compacted_; }
  int64_t live_bytes() const { return live_bytes_; }
  const Index& index() const { return index_; }
  Lessor& lessor() { return lessor_; }
  const Lessor& lessor() const { return lessor_; }
  History& history() { return history_; }
  // A read of an old record failed in the middle of a write: head() is not to be trusted, durable() still is.
  const std::optional<Error>& broken() const { return broken_; }
  const Counters& counters() const { return counters_; }

  // Reads, at durable(). Requests have passed check().
  Result<RangeResponse> range(const RangeRequest& request) const { return range_at(request, durable_); }
  Result<TxnResponse> read_txn(const TxnRequest& request) const;  // of ranges only
  // Writes, at head(). An error means: nothing was changed. Their outcome, errors too, may be told once head() as it is
  // after the call is durable.
  Result<PutResponse> put(const PutRequest& request, engine::Batch& batch);
  Result<DeleteRangeResponse> delete_range(const DeleteRangeRequest& request, engine::Batch& batch);
  Result<TxnResponse> txn(const TxnRequest& request, engine::Batch& batch);
  Result<LeaseGrant> grant(LeaseId id, int64_t ttl_seconds, MonoTime now, engine::Batch& batch);
  Result<void> revoke(LeaseId id, engine::Batch& batch);

  // Reads below revision fail from now on; compact_step() then drops what nobody can read any more, a slice of the keys
  // at a time and about max_versions of theirs, and says whether more is to do. The
  // owner erases the records it names, at leisure: a restart finds those still there, and names them again.
  Result<void> compact(Revision revision, engine::Batch& batch);
  bool compact_step(size_t max_keys, size_t max_versions, std::vector<Dropped>& dropped);
  bool compacting() const { return compacting_; }

  // Everything up to revision is on disk; tell the watchers (WatchHub::publish), then forget() what they have read.
  void settle(Revision revision);
  void forget() { history_.trim(durable_); }

  // Takes back everything after durable(), which turned out not to be on disk; leases are what the disk says.
  void rewind(const std::map<LeaseId, StoredLease>& leases, MonoTime now);

  // What watchers read. commits of [from, durable()] that touch range, oldest first, until limits are met; next is the
  // first revision not looked at.
  struct Slice {
    std::vector<Commit> commits;
    Revision next = 0;
  };
  Result<Slice> read_history(Revision from, KeyRange range, size_t max_events, size_t max_records) const;
  // The slot's event with prev_kv (made once).
  const std::shared_ptr<const Event>& with_previous(EventSlot& slot) const;

  // Recovery, in this order: begin, records ascending, leases, finish. kDataLoss says what is missing or does not fit.
  void restore_begin(Head head, Revision compacted);
  Result<void> restore(const Record& record);
  void restore_lease(const StoredLease& lease, MonoTime now) { lessor_.restore(lease, now); }
  Result<void> restore_finish();

 private:
  friend class WriteTxn;
  struct Delta {
    Revision revision;
    const KeyEntry* entry;
    int change;
  };

  Result<RangeResponse> range_at(const RangeRequest& request, Revision current) const;
  // A transaction takes a negative revision for one that was compacted, where a range of its own takes it for 0.
  Result<void> check_revision_in_txn(const RangeRequest& request, Revision current) const;
  int64_t count_at(KeyRange range, Revision revision) const;
  void attach_all();
  Result<std::string> value(const Version& version) const;
  Result<KeyValue> key_value(const KeyEntry& entry, const Version& version, bool with_value) const;
  Result<bool> holds(const Compare& compare, Revision at) const;
  Result<void> choose(const TxnRequest& request, Revision at, std::vector<bool>& path) const;

  const Reader& reader_;
  Index index_;
  Lessor lessor_;
  History history_;
  Revision head_ = 1, durable_ = 1, compacted_ = -1;
  int64_t live_bytes_ = 0;
  std::deque<Delta> deltas_;       // changes of the live set after durable_
  bool compacting_ = false;
  std::string compact_next_;       // first key that compact_step() has not looked at
  std::optional<Error> broken_;
  mutable Counters counters_;      // reads count too
  const Commit* applying_ = nullptr;  // of the transaction under way, which reads its own writes
  Record restored_;                // while restoring: the last record seen (without its key)
};

}  // namespace rs::store::mvcc
