#include "store/watch_queue.h"

#include "store/mvcc/errors.h"

namespace rs::store {
namespace {
size_t bytes_of(const WatchBatch& batch) {
  size_t bytes = 0;
  for (const auto& event : batch.events) bytes += 64 + event->kv.key.size() + event->kv.value.size();
  return bytes;
}
}  // namespace

WatchQueue::WatchQueue(async::Loop& loop, EmbeddedStore& store, const WatchRequest& request)
    : changed_(loop), store_(&store) {
  mvcc::Watcher watcher;
  watcher.key = request.key.empty() ? std::string(1, '\0') : request.key;
  watcher.range_end = request.range_end;
  watcher.start = request.start_revision;
  watcher.prev_kv = request.prev_kv;
  watcher.no_put = request.no_put;
  watcher.no_delete = request.no_delete;
  watcher.sink = this;
  watcher_ = store.hub_.add(std::move(watcher));
  store.queues_.insert(this);
  store.wake_watchers();
}

WatchQueue::~WatchQueue() {
  if (store_ == nullptr) return;
  store_->queues_.erase(this);
  if (watcher_ != nullptr) store_->hub_.remove(watcher_);
}

bool WatchQueue::deliver(mvcc::Watcher&, Revision revision, std::span<mvcc::EventSlot* const> slots) {
  if (events_ > 0 && (events_ >= kMaxEvents || bytes_ >= kMaxBytes)) return false;
  WatchBatch batch{revision, {}};
  batch.events.reserve(slots.size());
  bool previous = watcher_ == nullptr || watcher_->prev_kv;
  for (mvcc::EventSlot* slot : slots) batch.events.push_back(previous ? slot->with_previous : slot->event);
  events_ += batch.events.size();
  bytes_ += bytes_of(batch);
  batches_.push_back(std::move(batch));
  quiet_ = false;
  changed_.notify();
  return true;
}

void WatchQueue::ended(mvcc::Watcher&, const Error& error) {
  watcher_ = nullptr;
  error_ = error;
  changed_.notify();
}

void WatchQueue::tick(Revision durable) {
  bool idle = std::exchange(quiet_, true);
  if (!idle || !batches_.empty() || watcher_ == nullptr || !store_->hub_.current(*watcher_)) return;
  batches_.push_back({durable, {}});
  changed_.notify();
}

void WatchQueue::store_closed() {
  store_ = nullptr;
  watcher_ = nullptr;
  if (!error_) error_ = errors::stopped();
  changed_.notify();
}

awaitable<Result<WatchBatch>> WatchQueue::next() {
  while (batches_.empty() && !error_) co_await changed_.wait();
  if (batches_.empty()) co_return fail(*error_);
  WatchBatch batch = std::move(batches_.front());
  batches_.pop_front();
  events_ -= batch.events.size();
  bytes_ -= bytes_of(batch);
  if (watcher_ != nullptr && watcher_->blocked && events_ <= kMaxEvents / 2 && bytes_ <= kMaxBytes / 2) {
    store_->hub_.resume(watcher_);
    store_->wake_watchers();
  }
  co_return batch;
}

}  // namespace rs::store
