#include "store/etcd/range_answer.h"

#include "async/event.h"
#include "store/mvcc/machine.h"
#include "store/mvcc/validate.h"

namespace rs::store::etcd {
namespace {

constexpr int64_t kKeysAtOnce = 32;             // so many are answered without a slice
constexpr size_t kBytesAtOnce = 256 << 10;      // unless their values are more than this
constexpr size_t kMeasureKeys = 8192;           // of the index in one turn of the loop: about a millisecond
constexpr size_t kSliceKeys = 1024, kSliceBytes = 256 << 10;

KeyValue of(std::string key, const mvcc::Version& version) {
  return {std::move(key), {}, version.create, version.main, version.version, version.lease};
}

// Where a callback leaves its result for a coroutine that may be cancelled first.
struct Slot {
  explicit Slot(async::Loop& loop) : ready(loop) {}
  std::optional<Result<std::vector<std::string>>> values;
  async::Event ready;
};

awaitable<Result<std::vector<std::string>>> read_values(async::Loop& loop, Embedded& store,
                                                        std::vector<mvcc::Version> versions) {
  auto slot = std::make_shared<Slot>(loop);
  store.read_values(std::move(versions), [slot](Result<std::vector<std::string>> values) {
    slot->values.emplace(std::move(values));
    slot->ready.notify();
  });
  while (!slot->values) co_await slot->ready.wait();
  co_return std::move(*slot->values);
}

}  // namespace

bool RangeAnswer::suits(const RangeRequest& request, Embedded& store) {
  if (request.range_end.empty() || request.count_only) return false;
  if (request.order == RangeRequest::Order::kDescend || request.target != RangeRequest::Target::kKey) return false;
  if (request.min_mod_revision != 0 || request.max_mod_revision != 0 || request.min_create_revision != 0 ||
      request.max_create_revision != 0)
    return false;
  const mvcc::Index& index = store.machine().index();
  const mvcc::KeyRange range{request.key, request.range_end};
  // Of an older revision there may be more; that many are still fit to be read at once.
  const bool few = request.limit > 0 && request.limit <= kKeysAtOnce;
  if (!few && index.live_count(range) > kKeysAtOnce) return true;
  if (request.keys_only) return false;
  int64_t left = few ? request.limit : kKeysAtOnce;
  size_t bytes = 0;
  index.visit(range, [&](const mvcc::KeyEntry& entry) {
    if (entry.live()) bytes += entry.latest().value_bytes;
    return --left > 0 && bytes <= kBytesAtOnce;
  });
  return bytes > kBytesAtOnce;
}

RangeAnswer::RangeAnswer(async::Loop& loop, Embedded& store, RangeRequest request)
    : loop_(loop), store_(store), request_(std::move(request)) {}

Result<std::unique_ptr<RangeAnswer>> RangeAnswer::begin(async::Loop& loop, Embedded& store, RangeRequest request) {
  RangeRequest counting = request;
  counting.count_only = true;
  auto counted = store.try_range(counting);
  if (!counted) return fail(counted.error());
  std::unique_ptr<RangeAnswer> answer(new RangeAnswer(loop, store, std::move(request)));
  answer->revision_ = counted->revision;
  answer->at_ = answer->request_.revision > 0 ? answer->request_.revision : counted->revision;
  answer->count_ = answer->left_ = counted->count;
  if (int64_t limit = answer->request_.limit; limit > 0 && limit < answer->left_) {
    answer->left_ = limit;
    answer->more_ = true;
  }
  answer->pin_ = store.pin(answer->at_);
  return answer;
}

std::vector<RangeAnswer::Entry> RangeAnswer::slice(std::string& key, int64_t& left, size_t keys, size_t bytes) const {
  std::vector<Entry> entries;
  size_t looked = 0, gathered = 0;
  bool end = true;
  store_.machine().index().visit({key, request_.range_end}, [&](const mvcc::KeyEntry& entry) {
    if (left == 0) return false;
    if (looked++ == keys || gathered >= bytes) {
      key = entry.key;
      return end = false;
    }
    const mvcc::Version* version = entry.at(at_);
    if (version == nullptr) return true;
    --left;
    gathered += entry.key.size() + (request_.keys_only ? 0 : version->value_bytes);
    entries.push_back({entry.key, *version});
    return true;
  });
  if (end) left = 0;
  return entries;
}

awaitable<size_t> RangeAnswer::measure() {
  size_t total = 0;
  std::string key = request_.key;
  for (int64_t left = left_; left > 0;) {
    for (const Entry& entry : slice(key, left, kMeasureKeys, SIZE_MAX))
      total += key_value_bytes(of(entry.key, entry.version), request_.keys_only ? 0 : entry.version.value_bytes);
    if (left > 0) co_await loop_.sleep(std::chrono::nanoseconds(0));
  }
  co_return total;
}

awaitable<Result<std::string>> RangeAnswer::next() {
  std::vector<Entry> entries;
  while (entries.empty() && left_ > 0) {
    entries = slice(request_.key, left_, kSliceKeys, kSliceBytes);
    if (entries.empty() && left_ > 0) co_await loop_.sleep(std::chrono::nanoseconds(0));
  }
  std::vector<std::string> values(entries.size());
  if (!request_.keys_only && !entries.empty()) {
    std::vector<mvcc::Version> versions;
    versions.reserve(entries.size());
    for (const Entry& entry : entries) versions.push_back(entry.version);
    auto read = co_await read_values(loop_, store_, std::move(versions));
    if (!read) co_return fail(read.error());
    values = std::move(*read);
  }
  Writer out;
  size_t bytes = 0;
  for (size_t i = 0; i < entries.size(); ++i) bytes += entries[i].key.size() + values[i].size() + 64;
  out.reserve(bytes);
  for (size_t i = 0; i < entries.size(); ++i) {
    KeyValue kv = of(std::move(entries[i].key), entries[i].version);
    kv.value = std::move(values[i]);
    write_key_value(out, 2, kv);
  }
  co_return out.take();
}

}  // namespace rs::store::etcd
