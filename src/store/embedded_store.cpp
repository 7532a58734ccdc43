#include "store/embedded_store.h"

#include "base/assert.h"
#include "base/log.h"
#include "store/mvcc/errors.h"
#include "store/mvcc/validate.h"
#include "store/watch_queue.h"

namespace rs::store {
namespace {

// Recent commits kept in memory: what reads of fresh keys and watchers that lag a little need.
constexpr size_t kHistoryBytes = 4 << 20;
// Requests waiting for the disk; beyond it new ones are told to come back later (etcd's gap of 5000).
constexpr size_t kMaxWaiters = 20'000;
constexpr size_t kMaxWaitingBytes = 64 << 20;
constexpr Duration kSlowGroup = std::chrono::milliseconds(100);  // etcd's --warning-apply-duration
constexpr size_t kRevokesPerTick = 500, kCheckpointsPerTick = 500;
constexpr size_t kFeedWatchersPerTurn = 4;

// etcd's buckets (powers of two from a millisecond), and finer ones below.
std::vector<double> disk_bounds() {
  std::vector<double> bounds = {0.0001, 0.0002, 0.0003, 0.0005};
  for (double bound = 0.001; bound < 9; bound *= 2) bounds.push_back(bound);
  return bounds;
}

engine::CommitTimes commit_times(const EmbeddedOptions& options) {
  if (options.metrics == nullptr) return {};
  metrics::Registry& registry = *options.metrics;
  return {.write_seconds = &registry.histogram("etcd_disk_backend_commit_duration_seconds",
                                               "The latency distributions of writing a group of commits.", disk_bounds()),
          .sync_seconds = &registry.histogram("etcd_disk_wal_fsync_duration_seconds",
                                              "The latency distributions of writing a group with its one fsync.",
                                              disk_bounds())};
}

}  // namespace

Result<std::optional<std::string>> EngineReader::value(Revision main, uint32_t sub) const {
  return engine_.get(mvcc::record_key('v', main, sub));
}

Result<void> EngineReader::records(Revision from, const std::function<bool(const mvcc::Record&)>& visit) const {
  std::optional<Error> damaged;
  auto scanned = engine_.scan(mvcc::record_key('i', from, 0), mvcc::kRecordsEnd, [&](auto key, auto value) {
    auto record = mvcc::parse_record(key, value);
    if (record) return visit(*record);
    damaged = Error{Code::kDataLoss, "a stored record cannot be understood"};
    return false;
  });
  if (!scanned) return scanned;
  if (damaged) return fail(*damaged);
  return {};
}

EmbeddedStore::EmbeddedStore(async::Loop& loop, EmbeddedOptions options, std::unique_ptr<engine::Engine> engine,
                             bool threaded)
    : loop_(loop),
      options_(std::move(options)),
      engine_(std::move(engine)),
      reader_(*engine_),
      machine_(reader_, kHistoryBytes),
      hub_(machine_),
      compaction_wanted_(loop),
      feed_wanted_(loop),
      idle_(loop),
      tasks_(loop),
      reading_(std::make_unique<engine::Worker>(loop, "store-read")),
      hashing_(std::make_unique<engine::Worker>(loop, "store-hash", engine::Worker::Priority::kBackground)),
      committer_(threaded ? engine::make_threaded_committer(loop, *engine_, commit_times(options_))
                          : engine::make_inline_committer(loop, *engine_)) {}

EmbeddedStore::~EmbeddedStore() {
  *alive_ = false;
  for (WatchQueue* queue : queues_) queue->store_closed();
}

Result<std::unique_ptr<EmbeddedStore>> EmbeddedStore::make(async::Loop& loop, EmbeddedOptions options,
                                                           std::unique_ptr<engine::Engine> engine, bool threaded) {
  std::unique_ptr<EmbeddedStore> store(new EmbeddedStore(loop, std::move(options), std::move(engine), threaded));
  if (auto recovered = store->recover(); !recovered) return fail(recovered.error());
  store->start_tasks();
  return store;
}

namespace {
Result<std::map<LeaseId, mvcc::StoredLease>> stored_leases(const engine::Engine& engine) {
  std::map<LeaseId, mvcc::StoredLease> leases;
  bool damaged = false;
  auto scanned = engine.scan(mvcc::kLeasesBegin, mvcc::kLeasesEnd, [&](auto key, auto value) {
    auto lease = mvcc::parse_lease(key, value);
    damaged = !lease;
    if (lease) leases.emplace(lease->id, *lease);
    return !damaged;
  });
  if (!scanned) return fail(scanned.error());
  if (damaged) return fail(Code::kDataLoss, "a stored lease cannot be understood");
  return leases;
}
}  // namespace

Result<void> EmbeddedStore::recover() {
  auto note = [&](std::string_view name) { return engine_->get(mvcc::meta_key(name)); };
  auto ids = note("ids"), head_text = note("head"), compact_text = note("compact"), alarms = note("alarms");
  for (auto* read : {&ids, &head_text, &compact_text, &alarms}) {
    if (!*read) return fail(read->error());
  }
  if (!ids->has_value()) {
    // A new directory: its identity is its first commit.
    bool empty = !head_text->has_value();
    auto looked = reader_.records(0, [&](const mvcc::Record&) { return empty = false; });
    if (!looked) return looked;
    if (!empty) return fail(Code::kDataLoss, "the identity is missing, but there are data");
    identity_ = {loop_.random().next() | 1, loop_.random().next() | 1};
    engine::Batch batch;
    std::string text;
    for (uint64_t id : {identity_.cluster, identity_.member}) text.append(reinterpret_cast<const char*>(&id), sizeof id);
    batch.put(mvcc::meta_key("ids"), text);
    mvcc::put_head(batch, {1, 0});
    return engine_->write(batch, true);
  }
  auto head = head_text->has_value() ? mvcc::parse_head(**head_text) : std::nullopt;
  if ((*ids)->size() != 16 || !head) return fail(Code::kDataLoss, "the record of the last commit is missing or damaged");
  std::memcpy(&identity_.cluster, (*ids)->data(), 8);
  std::memcpy(&identity_.member, (*ids)->data() + 8, 8);
  Revision compacted = -1;
  if (compact_text->has_value()) {
    auto number = mvcc::parse_number(**compact_text);
    if (!number) return fail(Code::kDataLoss, "the record of the last compaction is damaged");
    compacted = *number;
  }
  if (alarms->has_value()) {
    for (char c : **alarms) {
      if (c == 1 || c == 2) alarms_.insert(Alarm(c));
    }
  }
  commits_ = head->commits;
  machine_.restore_begin(*head, compacted);
  Result<void> restored;
  auto scanned = reader_.records(0, [&](const mvcc::Record& record) {
    restored = machine_.restore(record);
    return restored.has_value();
  });
  if (!scanned) return scanned;
  if (!restored) return restored;
  auto leases = stored_leases(*engine_);
  if (!leases) return fail(leases.error());
  for (const auto& [id, lease] : *leases) machine_.restore_lease(lease, loop_.now());
  return machine_.restore_finish();
}

Result<void> EmbeddedStore::rewind() {
  auto leases = stored_leases(*engine_);
  if (!leases) return fail(leases.error());
  machine_.rewind(*leases, loop_.now());
  ahead_of_failed_ = false;
  return {};
}

Result<void> EmbeddedStore::try_resume() {
  if (auto resumed = engine_->resume(); !resumed) {
    log::warning("store", "the disk does not take writes yet", {{"why", to_string(resumed.error())}});
    return resumed;
  }
  if (auto rewound = rewind(); !rewound) return rewound;
  failed_.reset();
  compaction_wanted_.notify();
  log::info("store", "the disk takes writes again", {{"revision", machine_.durable()}});
  return {};
}

void EmbeddedStore::start_tasks() {
  half_second_ = loop_.now();
  tasks_.spawn("store tick", tick());
  tasks_.spawn("store compaction", compact_slowly());
  tasks_.spawn("store watch catch-up", feed_watchers());
}

std::optional<Error> EmbeddedStore::refusal(int64_t cost) {
  if (closing_) return errors::stopped();
  if (alarms_.contains(Alarm::kCorrupt)) return errors::corrupt();
  if (failed_) return failed_->code == Code::kResourceExhausted ? errors::no_space() : errors::corrupt();
  if (open_.waiters.size() >= kMaxWaiters || open_.batch.bytes() >= kMaxWaitingBytes) return errors::too_many_requests();
  if (cost == 0) return std::nullopt;
  if (alarms_.contains(Alarm::kNoSpace)) return errors::no_space();
  if (options_.quota_bytes > 0 && machine_.live_bytes() + cost >= options_.quota_bytes) {
    log::error("store", "quota reached: writes are refused until keys are deleted and compacted",
               {{"quota", options_.quota_bytes}, {"live", machine_.live_bytes()}});
    alarms_.insert(Alarm::kNoSpace);
    put_alarms();
    schedule_flush();
    return errors::no_space();
  }
  return std::nullopt;
}

void EmbeddedStore::put_alarms() {
  std::string text;
  for (Alarm alarm : alarms_) text.push_back(char(alarm));
  open_.batch.put(mvcc::meta_key("alarms"), text);
  open_.sync = true;
}

template <class T>
void EmbeddedStore::answer_when_durable(Result<T> result, Callback<T> done, Patience patience) {
  if (machine_.broken() && !failed_) broke(*machine_.broken());
  if (all_durable()) return done(std::move(result));
  ++activity_.proposals;
  open_.sync = true;
  answer_read_when_durable(std::move(result), std::move(done), patience);
}

template <class T>
void EmbeddedStore::answer_read_when_durable(Result<T> result, Callback<T> done, Patience patience) {
  if (all_durable()) return done(std::move(result));
  auto answer = [result = std::move(result), done = std::move(done)](const Error* error) mutable {
    if (error != nullptr) {
      done(fail(*error));
    } else {
      done(std::move(result));
    }
  };
  open_.waiters.push_back({std::move(answer), half_second_, patience});
  schedule_flush();
}

bool EmbeddedStore::all_durable() const {
  return open_.batch.empty() && open_.waiters.empty() && machine_.head() == machine_.durable() && !in_flight_ &&
         !ahead_of_failed_;
}

void EmbeddedStore::schedule_flush() {
  if (flush_scheduled_ || in_flight_) return;
  flush_scheduled_ = true;
  // At the end of the loop's turn: requests that arrived together share a group.
  loop_.post([this, alive = alive_] {
    if (!*alive) return;
    flush_scheduled_ = false;
    flush();
  });
}

void EmbeddedStore::flush() {
  if (in_flight_) return;
  if (open_.batch.empty() && open_.waiters.empty()) {
    // Leases are read where the last write left them: once that failed, where the disk has them. Whoever reads before
    // the disk can be read is told that nobody knows.
    if (ahead_of_failed_) (void)rewind();
    return idle_.notify();
  }
  flying_ = std::exchange(open_, Group{});
  flying_.revision = machine_.head();
  flying_.began = loop_.now();
  in_flight_ = true;
  if (failed_) return committed(fail(errors::timed_out()));  // nothing more reaches the disk
  if (flying_.batch.empty()) return committed({});
  mvcc::put_head(flying_.batch, {flying_.revision, ++commits_});
  activity_.written_bytes += flying_.batch.bytes();
  committer_->write(std::move(flying_.batch), flying_.sync, [this](Result<void> result) { committed(std::move(result)); });
}

void EmbeddedStore::committed(Result<void> result) {
  Group group = std::exchange(flying_, Group{});
  in_flight_ = false;
  if (!result) {
    if (!failed_) broke(result.error());
    Error error = errors::timed_out();  // nobody knows whether it is on disk
    activity_.proposals_failed += group.waiters.size();
    for (auto& waiter : group.waiters) {
      if (waiter.done) waiter.done(&error);
    }
  } else {
    if (loop_.now() - group.began > kSlowGroup) ++activity_.slow_groups;
    durable_commits_ = commits_;
    Revision from = machine_.durable();
    machine_.settle(group.revision);
    if (group.revision > from) hub_.publish(from);
    machine_.forget();
    for (auto& waiter : group.waiters) {
      if (waiter.done) waiter.done(nullptr);
    }
  }
  flush();
}

// The disk hangs: who asked must not hang with it.
void EmbeddedStore::time_out(Group& group) {
  const Error error = errors::timed_out();
  // By their place: whoever is answered may ask for more, and join the group.
  for (size_t i = 0; i < group.waiters.size(); ++i) {
    Waiter& waiter = group.waiters[i];
    if (!waiter.done || waiter.patience == Patience::kWaits || loop_.now() - waiter.since < options_.write_timeout) continue;
    auto done = std::exchange(waiter.done, nullptr);
    done(&error);
  }
}

void EmbeddedStore::broke(const Error& error) {
  ++failures_;
  failed_ = error;
  ahead_of_failed_ = true;
  alarms_.insert(error.code == Code::kResourceExhausted ? Alarm::kNoSpace : Alarm::kCorrupt);
  log::error("store", "the disk failed: the store is read-only from now on", {{"why", to_string(error)}});
}

Result<RangeResponse> EmbeddedStore::try_range(const RangeRequest& request) {
  if (auto checked = mvcc::check(request); !checked) return fail(checked.error());
  return machine_.range(request);
}

void EmbeddedStore::submit(PutRequest request, Callback<PutResponse> done) {
  if (auto checked = mvcc::check(request); !checked) return done(fail(checked.error()));
  if (auto refused = refusal(256 + int64_t(request.key.size() + request.value.size()))) return done(fail(*refused));
  answer_when_durable(machine_.put(request, open_.batch), std::move(done));
}

void EmbeddedStore::submit(DeleteRangeRequest request, Callback<DeleteRangeResponse> done) {
  if (auto checked = mvcc::check(request); !checked) return done(fail(checked.error()));
  if (auto refused = refusal(0)) return done(fail(*refused));
  answer_when_durable(machine_.delete_range(request, open_.batch), std::move(done));
}

void EmbeddedStore::submit(TxnRequest request, Callback<TxnResponse> done) {
  if (auto checked = mvcc::check(request, mvcc::kAnyOps); !checked) return done(fail(checked.error()));
  if (!mvcc::may_write(request)) return done(machine_.read_txn(request));
  if (auto refused = refusal(mvcc::cost(request))) return done(fail(*refused));
  answer_when_durable(machine_.txn(request, open_.batch), std::move(done));
}

void EmbeddedStore::submit_compact(Revision revision, bool physical, Callback<Revision> done) {
  if (auto refused = refusal(0)) return done(fail(*refused));
  if (revision <= std::max(compacting_to_, machine_.compacted()))
    return answer_when_durable<Revision>(fail(errors::compacted()), std::move(done));
  if (revision > machine_.durable()) return done(fail(errors::future_revision()));
  compacting_to_ = revision;
  mvcc::put_number(open_.batch, "compact", revision);
  auto then = [this, physical, done = std::move(done)](Result<Revision> durable) mutable {
    if (!durable) {
      compacting_to_ = machine_.compacted();
      return done(fail(durable.error()));
    }
    begin_compaction(*durable, physical, std::move(done));
  };
  answer_when_durable<Revision>(revision, std::move(then), Patience::kWaits);
}

// Nobody is refused a revision before the disk knows why.
void EmbeddedStore::begin_compaction(Revision revision, bool physical, Callback<Revision> done) {
  engine::Batch written_already;
  auto begun = machine_.compact(revision, written_already);
  ASSERT(begun.has_value(), "compactions take effect in the order in which they were asked for");
  compaction_wanted_.notify();
  const Revision now = machine_.durable();
  if (!physical) return done(now);
  compaction_waiters_.emplace_back(revision, [done = std::move(done), now](const Error* error) mutable {
    if (error != nullptr) return done(fail(*error));
    done(now);
  });
}

void EmbeddedStore::submit_grant(int64_t ttl_seconds, LeaseId id, Callback<LeaseGrant> done) {
  if (auto refused = refusal(64)) return done(fail(*refused));
  while (id == 0) {
    id = LeaseId(loop_.random().next() >> 1);
    if (machine_.lessor().find(id) != nullptr) id = 0;
  }
  answer_when_durable(machine_.grant(id, ttl_seconds, loop_.now(), open_.batch), std::move(done));
}

void EmbeddedStore::submit_revoke(LeaseId id, Callback<Revision> done) {
  if (auto refused = refusal(0)) return done(fail(*refused));
  auto revoked = machine_.revoke(id, open_.batch);
  Result<Revision> result = machine_.head();
  if (!revoked) result = fail(revoked.error());
  answer_when_durable(std::move(result), std::move(done));
}

Result<int64_t> EmbeddedStore::try_keep_alive(LeaseId id) {
  mvcc::Lease* lease = machine_.lessor().find(id);
  // One past its end is as good as revoked: it must never come back to life.
  if (lease == nullptr || lease->revoking || lease->expiry <= loop_.now()) return fail(errors::lease_not_found());
  machine_.lessor().renew(*lease, loop_.now());
  if (lease->checkpoint_seconds != 0 && !refusal(0)) {
    // A restart must not take back what the renewal gives.
    lease->checkpoint_seconds = 0;
    mvcc::put_lease(open_.batch, {.id = id, .ttl_seconds = lease->ttl_seconds});
    open_.sync = true;
    schedule_flush();
  }
  ++activity_.leases_renewed;
  return lease->ttl_seconds;
}

LeaseInfo EmbeddedStore::try_time_to_live(LeaseId id, bool keys) {
  const mvcc::Lease* lease = machine_.lessor().find(id);
  if (lease == nullptr) return {id, 0, -1, {}};
  LeaseInfo info{id, lease->ttl_seconds, mvcc::Lessor::remaining_seconds(*lease, loop_.now()), {}};
  if (keys) info.keys.assign(lease->keys.begin(), lease->keys.end());
  return info;
}

std::vector<LeaseId> EmbeddedStore::try_leases() { return machine_.lessor().ids(); }

void EmbeddedStore::submit_keep_alive(LeaseId id, Callback<int64_t> done) {
  answer_read_when_durable(try_keep_alive(id), std::move(done));
}

void EmbeddedStore::submit_time_to_live(LeaseId id, bool keys, Callback<LeaseInfo> done) {
  answer_read_when_durable<LeaseInfo>(try_time_to_live(id, keys), std::move(done));
}

void EmbeddedStore::submit_leases(Callback<std::vector<LeaseId>> done) {
  answer_read_when_durable<std::vector<LeaseId>>(try_leases(), std::move(done));
}

Embedded::Activity EmbeddedStore::activity() const {
  Activity out = activity_;
  out.proposals_pending = open_.waiters.size() + flying_.waiters.size();
  if (in_flight_) out.writing = loop_.now() - flying_.began;
  return out;
}

Status EmbeddedStore::try_status() {
  Status status;
  status.revision = machine_.durable();
  status.compact_revision = std::max<Revision>(0, machine_.compacted());
  status.db_size_bytes = engine_->bytes_on_disk();
  status.live_bytes = machine_.live_bytes();
  for (Alarm alarm : alarms_) status.alarms.emplace_back(alarm == Alarm::kNoSpace ? "NOSPACE" : "CORRUPT");
  return status;
}

void EmbeddedStore::submit_alarm(Alarm alarm, bool active, Callback<Revision> done) {
  if (closing_) return done(fail(errors::stopped()));
  if (!active && failed_ && failed_->code == Code::kResourceExhausted && alarm == Alarm::kNoSpace) {
    if (in_flight_ || !open_.waiters.empty() || !try_resume()) return done(fail(errors::no_space()));
  }
  if (active) {
    alarms_.insert(alarm);
  } else {
    alarms_.erase(alarm);
  }
  put_alarms();
  answer_when_durable(Result<Revision>(machine_.durable()), std::move(done));
}

Result<std::optional<std::string>> EmbeddedStore::load_note(std::string_view name) {
  return engine_->get(mvcc::meta_key(name));
}

void EmbeddedStore::submit_note(std::string name, std::string text, Callback<Revision> done) {
  if (auto refused = refusal(0)) return done(fail(*refused));
  open_.batch.put(mvcc::meta_key(name), text);
  answer_when_durable(Result<Revision>(machine_.durable()), std::move(done), Patience::kWaits);
}

std::shared_ptr<const void> EmbeddedStore::pin(Revision revision) {
  auto it = pins_->insert(revision);
  return {static_cast<const void*>(this), [pins = pins_, it](const void*) { pins->erase(it); }};
}

namespace {

Result<std::vector<std::string>> read_in_order_of_disk(const engine::Engine& engine,
                                                       const std::vector<mvcc::Version>& versions) {
  std::vector<uint32_t> order(versions.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::pair(versions[a].main, uint32_t(versions[a].sub)) < std::pair(versions[b].main, uint32_t(versions[b].sub));
  });
  std::vector<std::string> values(versions.size());
  for (uint32_t i : order) {
    const mvcc::Version& version = versions[i];
    if (version.value_bytes == 0) continue;
    auto value = engine.get(mvcc::record_key('v', version.main, version.sub));
    if (!value) return fail(value.error());
    if (!value->has_value() || (*value)->size() != version.value_bytes)
      return fail(Code::kDataLoss, "the value of revision {}/{} is missing or damaged", version.main, uint32_t(version.sub));
    values[i] = std::move(**value);
  }
  return values;
}

}  // namespace

void EmbeddedStore::read_values(std::vector<mvcc::Version> versions, Callback<std::vector<std::string>> done) {
  if (closing_) return done(fail(errors::stopped()));
  auto result = std::make_shared<Result<std::vector<std::string>>>();
  reading_->run([this, versions = std::move(versions), result] { *result = read_in_order_of_disk(*engine_, versions); },
                [result, done = std::move(done)]() mutable { done(std::move(*result)); });
}

void EmbeddedStore::wake_watchers() { feed_wanted_.notify(); }

awaitable<void> EmbeddedStore::tick() {
  for (int half_seconds = 1;; ++half_seconds) {
    half_second_ = loop_.now();
    if (in_flight_ && half_second_ - flying_.began >= options_.write_timeout) {
      time_out(flying_);
      time_out(open_);
    }
    co_await loop_.sleep(std::chrono::milliseconds(500));
    for (LeaseId id : machine_.lessor().due(loop_.now(), kRevokesPerTick)) {
      if (refusal(0)) break;
      machine_.lessor().find(id)->revoking = true;
      ++activity_.leases_expired;
      submit_revoke(id, [](Result<Revision>) {});
    }
    if (!refusal(0)) {
      for (const mvcc::StoredLease& lease : machine_.lessor().checkpoints(loop_.now(), kCheckpointsPerTick)) {
        mvcc::put_lease(open_.batch, lease);
        schedule_flush();
      }
    }
    if (half_seconds % 10 == 0 && failed_ && failed_->code == Code::kResourceExhausted && !in_flight_ &&
        open_.waiters.empty() && try_resume()) {
      alarms_.erase(Alarm::kNoSpace);
      put_alarms();
      schedule_flush();
    }
    if (half_seconds % 2 == 0) {
      for (WatchQueue* queue : queues_) queue->tick(machine_.durable());
    }
  }
}

awaitable<void> EmbeddedStore::feed_watchers() {
  while (true) {
    while (hub_.unsynced() == 0) co_await feed_wanted_.wait();
    hub_.catch_up(kFeedWatchersPerTurn);
    co_await loop_.sleep(std::chrono::nanoseconds(0));
  }
}

awaitable<void> EmbeddedStore::close() {
  closing_ = true;
  for (WatchQueue* queue : queues_) queue->store_closed();
  queues_.clear();
  while (in_flight_ || flush_scheduled_ || !open_.batch.empty() || !open_.waiters.empty()) {
    schedule_flush();
    co_await idle_.wait();
  }
  for (auto& [revision, waiter] : compaction_waiters_) {
    Error error = errors::stopped();
    waiter(&error);
  }
  compaction_waiters_.clear();
  co_await tasks_.stop();
  committer_.reset();
  reading_.reset();
  hashing_.reset();
  engine_->shutdown();
}

}  // namespace rs::store
