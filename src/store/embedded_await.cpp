// The coroutine face of EmbeddedStore: thin wrappers over its callbacks.
#include "store/engine/rocks_engine.h"
#include "store/mvcc/errors.h"
#include "store/watch_queue.h"

namespace rs::store {
namespace {

// Where a callback leaves its result for a coroutine; shared, because the coroutine may be cancelled first.
template <class T>
struct Slot {
  explicit Slot(async::Loop& loop) : ready(loop) {}
  std::optional<Result<T>> result;
  async::Event ready;
};

template <class T>
Callback<T> into(std::shared_ptr<Slot<T>> slot) {
  return [slot = std::move(slot)](Result<T> result) {
    slot->result.emplace(std::move(result));
    slot->ready.notify();
  };
}

template <class T>
awaitable<Result<T>> taken(std::shared_ptr<Slot<T>> slot) {
  while (!slot->result) co_await slot->ready.wait();
  co_return std::move(*slot->result);
}

Result<void> only_errors(const Result<Revision>& result) {
  if (!result) return fail(result.error());
  return {};
}

}  // namespace

awaitable<Result<RangeResponse>> EmbeddedStore::range(RangeRequest request) { co_return try_range(request); }

awaitable<Result<TxnResponse>> EmbeddedStore::txn(TxnRequest request) {
  auto slot = std::make_shared<Slot<TxnResponse>>(loop_);
  submit(std::move(request), into(slot));
  co_return co_await taken(slot);
}

awaitable<Result<std::unique_ptr<Watcher>>> EmbeddedStore::watch(WatchRequest request) {
  if (closing_) co_return fail(errors::stopped());
  co_return std::unique_ptr<Watcher>(new WatchQueue(loop_, *this, request));
}

awaitable<Result<void>> EmbeddedStore::compact(Revision revision) {
  auto slot = std::make_shared<Slot<Revision>>(loop_);
  submit_compact(revision, false, into(slot));
  co_return only_errors(co_await taken(slot));
}

awaitable<Result<LeaseGrant>> EmbeddedStore::lease_grant(int64_t ttl_seconds, LeaseId id) {
  auto slot = std::make_shared<Slot<LeaseGrant>>(loop_);
  submit_grant(ttl_seconds, id, into(slot));
  co_return co_await taken(slot);
}

awaitable<Result<void>> EmbeddedStore::lease_revoke(LeaseId id) {
  auto slot = std::make_shared<Slot<Revision>>(loop_);
  submit_revoke(id, into(slot));
  co_return only_errors(co_await taken(slot));
}

awaitable<Result<int64_t>> EmbeddedStore::lease_keep_alive(LeaseId id) {
  auto slot = std::make_shared<Slot<int64_t>>(loop_);
  submit_keep_alive(id, into(slot));
  co_return co_await taken(slot);
}

awaitable<Result<LeaseInfo>> EmbeddedStore::lease_time_to_live(LeaseId id, bool keys) {
  auto slot = std::make_shared<Slot<LeaseInfo>>(loop_);
  submit_time_to_live(id, keys, into(slot));
  co_return co_await taken(slot);
}

awaitable<Result<std::vector<LeaseId>>> EmbeddedStore::leases() {
  auto slot = std::make_shared<Slot<std::vector<LeaseId>>>(loop_);
  submit_leases(into(slot));
  co_return co_await taken(slot);
}

awaitable<Result<Status>> EmbeddedStore::status() { co_return try_status(); }

awaitable<Result<std::unique_ptr<Embedded>>> Embedded::open(async::Loop& loop, EmbeddedOptions options) {
  bool on_disk = !options.directory.empty();
  std::unique_ptr<engine::Engine> engine;
  if (on_disk) {
    auto opened = engine::open_rocks_engine(options.directory);
    if (!opened) co_return fail(opened.error());
    engine = std::move(*opened);
  } else {
    engine = engine::make_memory_engine();
  }
  auto store = EmbeddedStore::make(loop, options, std::move(engine), on_disk);
  if (!store) co_return fail_at(options.directory.string(), store.error());
  co_return std::unique_ptr<Embedded>(std::move(*store));
}

}  // namespace rs::store
