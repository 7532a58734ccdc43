// The checksum of EmbeddedStore, over a view and in a thread of its own: gigabytes take seconds, and nobody waits for them.
#include "async/event.h"
#include "base/crc32c.h"
#include "store/embedded_store.h"
#include "store/mvcc/errors.h"

namespace rs::store {
namespace {

// compacted: what compaction drops below it is gone already, but for a tombstone kept at it, which etcd's hash skips too.
Result<uint32_t> hash_records(const engine::View& view, Revision at, Revision compacted) {
  auto records = view.cursor(mvcc::record_key('i', 0, 0), mvcc::kRecordsEnd);
  auto values = view.cursor(mvcc::record_key('v', 0, 0), "w");
  uint32_t crc = crc32c(0, "key");
  for (; records->valid(); records->next()) {
    const auto record = mvcc::parse_record(records->key(), records->value());
    if (!record) return fail(Code::kDataLoss, "a stored record cannot be understood");
    if (record->main > at) break;
    if (record->tombstone && record->main <= compacted) continue;
    std::string text(records->key());
    text.append(record->key);
    for (int64_t number : {record->create, record->version, record->lease, int64_t(record->tombstone)})
      text.append(reinterpret_cast<const char*>(&number), sizeof number);
    crc = crc32c(crc, text);
    if (record->value_bytes == 0) continue;
    while (values->valid() && values->key().substr(1) < records->key().substr(1)) values->next();
    if (!values->valid() || values->key().substr(1) != records->key().substr(1)) {
      if (auto status = values->status(); !status) return fail(status.error());
      return fail(Code::kDataLoss, "the value of revision {}/{} is missing or damaged", record->main, record->sub);
    }
    crc = crc32c(crc, values->value());
  }
  if (auto status = records->status(); !status) return fail(status.error());
  return crc;
}

struct Work {
  explicit Work(async::Loop& loop) : ready(loop) {}
  std::unique_ptr<engine::View> view;
  Result<uint32_t> hash = uint32_t(0);  // the thread's, until done
  bool done = false;
  async::Event ready;
};

}  // namespace

awaitable<Result<Embedded::Hash>> EmbeddedStore::hash_kv(Revision revision) {
  // What a compaction under way has not erased yet would count in one store and not in another.
  while (machine_.compacting() || erasing_) {
    if (failed_) co_return fail(errors::timed_out());
    co_await loop_.sleep(std::chrono::milliseconds(5));
  }
  const Revision at = revision == 0 ? machine_.durable() : revision, compacted = machine_.compacted();
  if (at > machine_.durable()) co_return fail(errors::future_revision());
  if (at < compacted) co_return fail(errors::compacted());
  auto work = std::make_shared<Work>(loop_);
  auto view = engine_->view();
  if (!view) co_return fail(view.error());
  work->view = std::move(*view);
  hashing_->run(
      [work, at, compacted] {
        work->hash = hash_records(*work->view, at, compacted);
        work->view.reset();
      },
      [work] {
        work->done = true;
        work->ready.notify();
      });
  while (!work->done) co_await work->ready.wait();
  if (!work->hash) co_return fail(work->hash.error());
  co_return Hash{*work->hash, std::max<Revision>(compacted, -1), at};
}

}  // namespace rs::store
