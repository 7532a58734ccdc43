// Embedded: the store inside this process. A committer thread writes groups of transactions with one fsync each; the
// pure state machine (mvcc/) runs on the store's loop.
#pragma once

#include <filesystem>
#include <functional>

#include "base/metrics.h"
#include "store/store.h"

namespace rs::store {

namespace engine {
class View;
}
namespace mvcc {
class Machine;
class WatchHub;
struct Version;
}  // namespace mvcc

struct EmbeddedOptions {
  std::filesystem::path directory;            // made with mode 0700; empty: in memory, for tests
  int64_t quota_bytes = 2ll << 30;            // of live logical bytes; beyond it: NOSPACE alarm, writes refused
  Revision retain_revisions = 0;              // auto compaction by the owner: 0 here means none
  // A write that the disk has not taken after so long is answered with "request timed out": nobody knows what becomes of it.
  // etcd's: 5 s and two election timeouts.
  Duration write_timeout = std::chrono::seconds(7);
  metrics::Registry* metrics = nullptr;       // of the store's own metrics, in etcd's names; outlives the store
};

// Called once, on the store's loop; maybe before the call that took it returns.
template <class T>
using Callback = std::move_only_function<void(Result<T>)>;

enum class Alarm { kNoSpace = 1, kCorrupt = 2 };  // etcdserverpb.AlarmType

class Embedded : public Store {
 public:
  // kAlreadyExists "…is in use by process N" when another process holds the directory; kDataLoss when it is damaged.
  static awaitable<Result<std::unique_ptr<Embedded>>> open(async::Loop& loop, EmbeddedOptions options);
  virtual awaitable<void> close() = 0;        // durable and released; no call after it

  // The same operations without a coroutine each, for servers of many small requests.
  virtual Result<RangeResponse> try_range(const RangeRequest& request) = 0;
  virtual void submit(PutRequest request, Callback<PutResponse> done) = 0;
  virtual void submit(DeleteRangeRequest request, Callback<DeleteRangeResponse> done) = 0;
  virtual void submit(TxnRequest request, Callback<TxnResponse> done) = 0;
  virtual void submit_compact(Revision revision, bool physical, Callback<Revision> done) = 0;
  virtual void submit_grant(int64_t ttl_seconds, LeaseId id, Callback<LeaseGrant> done) = 0;
  virtual void submit_revoke(LeaseId id, Callback<Revision> done) = 0;
  // Leases as the last write left them, which may not be on disk yet: not for clients.
  virtual Result<int64_t> try_keep_alive(LeaseId id) = 0;
  virtual LeaseInfo try_time_to_live(LeaseId id, bool keys) = 0;
  virtual std::vector<LeaseId> try_leases() = 0;
  // The same, told once it is on disk.
  virtual void submit_keep_alive(LeaseId id, Callback<int64_t> done) = 0;
  virtual void submit_time_to_live(LeaseId id, bool keys, Callback<LeaseInfo> done) = 0;
  virtual void submit_leases(Callback<std::vector<LeaseId>> done) = 0;
  virtual Status try_status() = 0;
  virtual int64_t quota_bytes() const = 0;
  // A checksum of every record readable at revision (0: now), the same wherever the same history was written. Reads all
  // of them, off the loop, once no compaction is under way.
  struct Hash {
    uint32_t hash = 0;
    Revision compact_revision = 0, hash_revision = 0;
  };
  virtual awaitable<Result<Hash>> hash_kv(Revision revision) = 0;
  virtual Revision revision() const = 0;
  // What has happened since open(), for metrics; the machine counts operations itself.
  struct Activity {
    uint64_t proposals = 0;           // writes that were asked for; those not failed and not pending are durable
    uint64_t proposals_failed = 0, proposals_pending = 0;
    uint64_t slow_groups = 0;         // took longer than 100 ms to become durable
    uint64_t written_bytes = 0;       // to the log
    uint64_t leases_renewed = 0, leases_expired = 0;
    Duration writing{};               // how long the group that is on its way to the disk has been
  };
  virtual Activity activity() const = 0;
  // The records as they lie on disk (mvcc/record.h), at one moment, for another thread to read; gone before close().
  virtual Result<std::unique_ptr<engine::View>> view() const = 0;

  // Ids that stay the same for the life of the directory.
  struct Identity {
    uint64_t cluster = 0, member = 0;
  };
  virtual Identity identity() const = 0;
  virtual void submit_alarm(Alarm alarm, bool active, Callback<Revision> done) = 0;
  virtual std::vector<Alarm> alarms() const = 0;
  // Small durable texts that belong to the store's owner ("auth").
  virtual Result<std::optional<std::string>> load_note(std::string_view name) = 0;
  virtual void submit_note(std::string name, std::string text, Callback<Revision> done) = 0;

  // For watches by callback: add a WatchSink to the hub, then wake_watchers(), so that one with history gets to read it.
  virtual mvcc::WatchHub& hub() = 0;
  virtual const mvcc::Machine& machine() const = 0;
  // While it is held, compaction keeps what is seen at revision (not compacted yet when called).
  virtual std::shared_ptr<const void> pin(Revision revision) = 0;
  // The values of versions that are durable and kept (pin()), in their order, read in a thread of its own.
  virtual void read_values(std::vector<mvcc::Version> versions, Callback<std::vector<std::string>> done) = 0;
  virtual void wake_watchers() = 0;
};

}  // namespace rs::store
