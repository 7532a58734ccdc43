// Compaction of EmbeddedStore, in slices: of the index, then of the records on disk.
#include "store/embedded_store.h"
#include "store/mvcc/errors.h"

namespace rs::store {
namespace {

// Of the index in one turn of the loop (some tenths of a millisecond); records named before they are erased; and erased
// with one group of writes, which that must not slow down much.
constexpr size_t kCompactKeysPerStep = 1000, kCompactVersionsPerStep = 1000;
constexpr size_t kDroppedRecords = 512 << 10, kErasedPerCommit = 120;

// How long a compaction took, and the pieces of it that others wait for. Null: nobody wants to know.
struct CompactionTimes {
  metrics::Histogram *total_ms = nullptr, *index_step_ms = nullptr, *erase_ms = nullptr;

  explicit CompactionTimes(metrics::Registry* registry) {
    if (registry == nullptr) return;
    auto find = [&](std::string_view what, std::string_view help, double first, int count) {
      std::vector<double> bounds;
      for (double bound = first; count-- > 0; bound *= 2) bounds.push_back(bound);
      return &registry->histogram(fmt::format("etcd_debugging_mvcc_{}_duration_milliseconds", what), help, bounds);
    };
    total_ms = find("db_compaction_total", "Bucketed histogram of db compaction total duration.", 100, 14);
    index_step_ms = find("index_compaction_pause", "Bucketed histogram of index compaction pause duration.", 0.5, 14);
    erase_ms = find("db_compaction_pause", "Bucketed histogram of db compaction pause duration.", 1, 13);
  }
  static void note(metrics::Histogram* histogram, Duration took) {
    if (histogram != nullptr) histogram->observe(std::chrono::duration<double, std::milli>(took).count());
  }
};

}  // namespace

awaitable<void> EmbeddedStore::compact_slowly() {
  const CompactionTimes times(options_.metrics);
  std::optional<MonoTime> began;
  std::vector<mvcc::Dropped> dropped;
  while (true) {
    while ((!machine_.compacting() && dropped.empty()) || failed_) co_await compaction_wanted_.wait();
    if (!began) began = loop_.now();
    while (!pins_->empty() && *pins_->begin() < machine_.compacted()) co_await loop_.sleep(std::chrono::milliseconds(5));
    Revision goal = machine_.compacted();
    erasing_ = true;  // until all that it drops is erased
    const MonoTime step_began = loop_.now();
    bool more = machine_.compact_step(kCompactKeysPerStep, kCompactVersionsPerStep, dropped);
    CompactionTimes::note(times.index_step_ms, loop_.now() - step_began);
    if (more && dropped.size() < kDroppedRecords) {
      co_await loop_.sleep(std::chrono::nanoseconds(0));
      continue;
    }
    // What the disk did not take stays ours to erase: the index has forgotten it, and a later compaction would erase
    // what hides it (the deletion of a key, say) and leave it.
    dropped = co_await erase_slowly(std::move(dropped));
    if (!dropped.empty()) {
      Error error = errors::timed_out();
      for (auto& waiter : std::exchange(compaction_waiters_, {})) waiter.second(&error);
      continue;
    }
    if (more) continue;
    erasing_ = false;
    mvcc::put_number(open_.batch, "compacted", goal);
    schedule_flush();
    engine_->tidy();
    CompactionTimes::note(times.total_ms, loop_.now() - *began);
    began.reset();
    if (alarms_.contains(Alarm::kNoSpace) && !failed_ && machine_.live_bytes() < options_.quota_bytes / 10 * 9) {
      alarms_.erase(Alarm::kNoSpace);
      put_alarms();
      schedule_flush();
    }
    while (!compaction_waiters_.empty() && compaction_waiters_.front().first <= goal) {
      auto waiter = std::move(compaction_waiters_.front().second);
      compaction_waiters_.pop_front();
      open_.waiters.push_back({std::move(waiter)});
      schedule_flush();
    }
  }
}

// In the order of the disk: neighbours are erased together, which costs an engine of sorted tables least by far. Returns
// what is not known to be erased, when the disk failed.
awaitable<std::vector<mvcc::Dropped>> EmbeddedStore::erase_slowly(std::vector<mvcc::Dropped> given) {
  auto dropped = std::make_shared<std::vector<mvcc::Dropped>>(std::move(given));
  auto done = std::make_shared<bool>(false);
  auto sorted = std::make_shared<async::Event>(loop_);
  reading_->run([dropped] { std::sort(dropped->begin(), dropped->end()); },
                [done, sorted] {
                  *done = true;
                  sorted->notify();
                });
  while (!*done) co_await sorted->wait();
  const CompactionTimes times(options_.metrics);
  const uint64_t failures = failures_;
  size_t erased = 0;
  for (size_t i = 0; i < dropped->size() && !failed_; erased = i) {
    const size_t end = std::min(i + kErasedPerCommit, dropped->size());
    for (; i < end; ++i) {
      const mvcc::Dropped& record = (*dropped)[i];
      mvcc::erase_record(open_.batch, record.main, record.sub, record.has_value);
    }
    const uint64_t commit = commits_ + 1;  // that takes it to disk
    const MonoTime began = loop_.now();
    schedule_flush();
    do co_await loop_.sleep(std::chrono::milliseconds(1));
    while (durable_commits_ < commit && failures == failures_);
    if (failures != failures_) break;
    CompactionTimes::note(times.erase_ms, loop_.now() - began);
  }
  dropped->erase(dropped->begin(), dropped->begin() + ptrdiff_t(erased));
  co_return std::move(*dropped);
}

}  // namespace rs::store
