// Any bytes as the answer of an etcd server: decoded or refused; requests made of what was decoded
// are understood.
#include "base/assert.h"
#include "store/etcd/client_messages.h"
#include "store/etcd/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rs::store;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  (void)etcd::decode_put_response(input);
  (void)etcd::decode_delete_response(input);
  (void)etcd::decode_txn_response(input);
  (void)etcd::decode_header_revision(input);
  (void)etcd::decode_lease_answer(input);
  (void)etcd::decode_watch_response(input);
  if (auto range = etcd::decode_range_response(input)) {
    auto again = etcd::decode_range_response(etcd::encode({1, 2, 3}, *range));
    ASSERT(again && again->kvs.size() == range->kvs.size() && again->count == range->count);
  }
  if (auto put = etcd::decode_put(input)) {
    auto again = etcd::decode_put(etcd::encode(*put));
    ASSERT(again && again->key == put->key && again->value == put->value &&
           again->lease == put->lease);
  }
  if (auto txn = etcd::decode_txn(input)) {
    auto again = etcd::decode_txn(etcd::encode(*txn));
    ASSERT(again && again->compares.size() == txn->compares.size() &&
           again->success.size() == txn->success.size());
  }
  return 0;
}
