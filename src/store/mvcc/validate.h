// What is wrong with a request by itself, before any state is looked at (etcd v3rpc/key.go). Pure.
#pragma once

#include "store/store.h"

namespace rs::store::mvcc {

inline constexpr size_t kMaxTxnOps = 128;
// Of all levels together (or twice max_ops when that is more): what etcd leaves to the size of a request, and what keeps
// the search for duplicate keys cheap.
inline constexpr size_t kMaxTotalOps = 4096;
inline constexpr size_t kAnyOps = 1 << 16;  // as max_ops: the limit is somebody else's

Result<void> check(const RangeRequest& request);
Result<void> check(const PutRequest& request);
Result<void> check(const DeleteRangeRequest& request);
// Includes: no key put twice, nor put and covered by a delete, on one path through the transaction.
Result<void> check(const TxnRequest& request, size_t max_ops = kMaxTxnOps);

// Whether any path of the transaction can change something (a nested transaction counts as one that can, as in etcd).
bool may_write(const TxnRequest& request);
bool may_put(const TxnRequest& request);
// Bytes that the request may add, as etcd's quota counts them (quota.go: 256 overhead a put).
int64_t cost(const TxnRequest& request);

}  // namespace rs::store::mvcc
