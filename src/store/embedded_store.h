// EmbeddedStore: Embedded over any Engine. Tests hand it engines of their own; everybody else calls Embedded::open.
#pragma once

#include <deque>
#include <set>

#include "async/event.h"
#include "async/task_group.h"
#include "store/embedded.h"
#include "store/engine/committer.h"
#include "store/engine/engine.h"
#include "store/engine/worker.h"
#include "store/mvcc/machine.h"
#include "store/mvcc/watch_hub.h"

namespace rs::store {

class WatchQueue;

// Machine's way back to its records.
class EngineReader final : public mvcc::Reader {
 public:
  explicit EngineReader(const engine::Engine& engine) : engine_(engine) {}
  Result<std::optional<std::string>> value(Revision main, uint32_t sub) const override;
  Result<void> records(Revision from, const std::function<bool(const mvcc::Record&)>& visit) const override;

 private:
  const engine::Engine& engine_;
};

class EmbeddedStore final : public Embedded {
 public:
  // Recovers what engine holds. threaded: commits in a thread of its own.
  static Result<std::unique_ptr<EmbeddedStore>> make(async::Loop& loop, EmbeddedOptions options,
                                                     std::unique_ptr<engine::Engine> engine, bool threaded);
  ~EmbeddedStore() override;

  awaitable<Result<RangeResponse>> range(RangeRequest request) override;
  awaitable<Result<TxnResponse>> txn(TxnRequest request) override;
  awaitable<Result<std::unique_ptr<Watcher>>> watch(WatchRequest request) override;
  awaitable<Result<void>> compact(Revision revision) override;
  awaitable<Result<LeaseGrant>> lease_grant(int64_t ttl_seconds, LeaseId id) override;
  awaitable<Result<void>> lease_revoke(LeaseId id) override;
  awaitable<Result<int64_t>> lease_keep_alive(LeaseId id) override;
  awaitable<Result<LeaseInfo>> lease_time_to_live(LeaseId id, bool keys) override;
  awaitable<Result<std::vector<LeaseId>>> leases() override;
  awaitable<Result<Status>> status() override;
  awaitable<void> close() override;

  Result<RangeResponse> try_range(const RangeRequest& request) override;
  void submit(PutRequest request, Callback<PutResponse> done) override;
  void submit(DeleteRangeRequest request, Callback<DeleteRangeResponse> done) override;
  void submit(TxnRequest request, Callback<TxnResponse> done) override;
  void submit_compact(Revision revision, bool physical, Callback<Revision> done) override;
  void submit_grant(int64_t ttl_seconds, LeaseId id, Callback<LeaseGrant> done) override;
  void submit_revoke(LeaseId id, Callback<Revision> done) override;
  Result<int64_t> try_keep_alive(LeaseId id) override;
  LeaseInfo try_time_to_live(LeaseId id, bool keys) override;
  std::vector<LeaseId> try_leases() override;
  void submit_keep_alive(LeaseId id, Callback<int64_t> done) override;
  void submit_time_to_live(LeaseId id, bool keys, Callback<LeaseInfo> done) override;
  void submit_leases(Callback<std::vector<LeaseId>> done) override;
  Status try_status() override;
  int64_t quota_bytes() const override { return options_.quota_bytes; }
  awaitable<Result<Hash>> hash_kv(Revision revision) override;
  Revision revision() const override { return machine_.durable(); }
  Activity activity() const override;
  Result<std::unique_ptr<engine::View>> view() const override { return engine_->view(); }
  Identity identity() const override { return identity_; }
  void submit_alarm(Alarm alarm, bool active, Callback<Revision> done) override;
  std::vector<Alarm> alarms() const override { return {alarms_.begin(), alarms_.end()}; }
  Result<std::optional<std::string>> load_note(std::string_view name) override;
  void submit_note(std::string name, std::string text, Callback<Revision> done) override;
  mvcc::WatchHub& hub() override { return hub_; }
  const mvcc::Machine& machine() const override { return machine_; }
  std::shared_ptr<const void> pin(Revision revision) override;
  void read_values(std::vector<mvcc::Version> versions, Callback<std::vector<std::string>> done) override;
  void wake_watchers() override;

 private:
  friend class WatchQueue;
  enum class Patience { kTimesOut, kWaits };
  struct Waiter {
    std::move_only_function<void(const Error*)> done;  // empty: timed out
    MonoTime since{};                                  // to half a second
    Patience patience = Patience::kWaits;
  };
  // What goes to disk together, and who waits for it.
  struct Group {
    engine::Batch batch;
    std::vector<Waiter> waiters;
    Revision revision = 0;
    bool sync = false;
    MonoTime began{};
  };

  EmbeddedStore(async::Loop& loop, EmbeddedOptions options, std::unique_ptr<engine::Engine> engine, bool threaded);
  Result<void> recover();
  // An error when writes are refused now; cost: bytes the request may add.
  std::optional<Error> refusal(int64_t cost);
  // kWaits: for who keeps a copy of what is on disk, and has to know what became of it.
  template <class T>
  void answer_when_durable(Result<T> result, Callback<T> done, Patience patience = Patience::kTimesOut);
  // The same for what was only read, of a state that may be ahead of the disk.
  template <class T>
  void answer_read_when_durable(Result<T> result, Callback<T> done, Patience patience = Patience::kTimesOut);
  bool all_durable() const;
  void time_out(Group& group);
  void schedule_flush();
  void flush();
  void committed(Result<void> result);
  void broke(const Error& error);
  // Takes back what the disk did not take. Only while nothing is queued.
  Result<void> rewind();
  // Goes on after the disk had failed: state is what the disk has. Only while nothing is queued.
  Result<void> try_resume();
  void start_tasks();
  awaitable<void> tick();
  awaitable<void> compact_slowly();
  awaitable<std::vector<mvcc::Dropped>> erase_slowly(std::vector<mvcc::Dropped> given);
  awaitable<void> feed_watchers();
  void put_alarms();
  void begin_compaction(Revision revision, bool physical, Callback<Revision> done);

  async::Loop& loop_;
  const EmbeddedOptions options_;
  std::unique_ptr<engine::Engine> engine_;
  EngineReader reader_;
  mvcc::Machine machine_;
  mvcc::WatchHub hub_;
  Identity identity_;
  uint64_t commits_ = 0, durable_commits_ = 0;
  uint64_t failures_ = 0;          // of the disk
  Revision compacting_to_ = -1;    // of the last compaction asked for; takes effect once it is on disk
  std::set<Alarm> alarms_;
  Activity activity_;
  std::optional<Error> failed_;    // the disk failed: no more writes
  bool ahead_of_failed_ = false;   // and what it did not take is not taken back yet
  bool closing_ = false;
  Group open_, flying_;
  MonoTime half_second_{};         // when the present one began
  bool in_flight_ = false, flush_scheduled_ = false;
  std::deque<std::pair<Revision, std::move_only_function<void(const Error*)>>> compaction_waiters_;
  async::Event compaction_wanted_, feed_wanted_, idle_;
  std::set<WatchQueue*> queues_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::shared_ptr<std::multiset<Revision>> pins_ = std::make_shared<std::multiset<Revision>>();
  async::TaskGroup tasks_;
  bool erasing_ = false;           // what a compaction dropped is on its way out
  std::unique_ptr<engine::Worker> reading_, hashing_;
  std::unique_ptr<engine::Committer> committer_;  // last: stops first
};

}  // namespace rs::store
