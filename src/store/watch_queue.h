// WatchQueue: between the hub and the coroutine that awaits a Watcher's batches. Bounded: past kMaxEvents it refuses,
// and the hub re-reads from history once half of it is read.
#pragma once

#include <deque>

#include "async/event.h"
#include "store/embedded_store.h"

namespace rs::store {

class WatchQueue final : public Watcher, public mvcc::WatchSink {
 public:
  static constexpr size_t kMaxEvents = 4096;
  static constexpr size_t kMaxBytes = 8 << 20;

  WatchQueue(async::Loop& loop, EmbeddedStore& store, const WatchRequest& request);
  ~WatchQueue() override;
  awaitable<Result<WatchBatch>> next() override;

  bool deliver(mvcc::Watcher& watcher, Revision revision, std::span<mvcc::EventSlot* const> slots) override;
  void ended(mvcc::Watcher& watcher, const Error& error) override;
  void tick(Revision durable);    // every second: a progress mark when there was nothing else
  void store_closed();

 private:
  async::Event changed_;
  EmbeddedStore* store_;          // null once it closed
  mvcc::Watcher* watcher_;        // null once it ended
  std::deque<WatchBatch> batches_;
  size_t events_ = 0, bytes_ = 0;
  bool quiet_ = true;             // nothing since the last tick
  std::optional<Error> error_;
};

}  // namespace rs::store
