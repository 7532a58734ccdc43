// Any bytes as what the store finds on its disk: records, leases, notes. What was understood is
// written back the same.
#include "base/assert.h"
#include "store/mvcc/record.h"

namespace {
using namespace rs::store;

void check_record(std::string_view key, std::string_view value) {
  auto record = mvcc::parse_record(key, value);
  if (!record) return;
  engine::Batch batch;
  mvcc::put_record(batch, *record, std::string(record->value_bytes % 1024, 'v'));
  auto again = mvcc::parse_record(batch.op(0).key, batch.op(0).value);
  ASSERT(again && again->main == record->main && again->sub == record->sub &&
         again->key == record->key);
  ASSERT(again->create == record->create && again->version == record->version &&
         again->lease == record->lease);
  ASSERT(again->tombstone == record->tombstone && again->last == record->last);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  for (size_t key : {size_t(13), size_t(9), size_t(0)}) {
    if (size < key) continue;
    check_record(input.substr(0, key), input.substr(key));
    if (auto lease = mvcc::parse_lease(input.substr(0, key), input.substr(key)))
      ASSERT(mvcc::lease_key(lease->id).size() == 9);
  }
  check_record(mvcc::record_key('i', 7, 3), input);
  if (auto head = mvcc::parse_head(input)) {
    engine::Batch batch;
    mvcc::put_head(batch, *head);
    ASSERT(batch.op(0).value == input);
  }
  (void)mvcc::parse_number(input);
  return 0;
}
