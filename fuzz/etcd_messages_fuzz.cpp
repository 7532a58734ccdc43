// Every decoder of the etcd v3 service, and the store's records.
#include <cstddef>
#include <cstdint>

#include "store/etcd/messages.h"
#include "store/mvcc/record.h"
#include "store/mvcc/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rs::store;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  (void)etcd::decode_range(input);
  (void)etcd::decode_put(input);
  (void)etcd::decode_delete(input);
  if (auto txn = etcd::decode_txn(input)) (void)mvcc::check(*txn);
  (void)etcd::decode_watch(input);
  (void)etcd::decode_fields(input);
  (void)mvcc::parse_record("i00000000000", input);
  (void)mvcc::parse_record(input, input);
  (void)mvcc::parse_lease(input, input);
  (void)mvcc::parse_head(input);
  return 0;
}
