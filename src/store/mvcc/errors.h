// The errors of the store, in etcd's exact words: clients compare strings (reference etcd-api.md A.11).
#pragma once

#include "base/result.h"

namespace rs::store::errors {

#define RS_STORE_ERROR(name, code, text) \
  inline Error name() { return Error{code, "etcdserver: " text}; }

RS_STORE_ERROR(empty_key, Code::kBadRequest, "key is not provided")
RS_STORE_ERROR(key_not_found, Code::kBadRequest, "key not found")
RS_STORE_ERROR(value_provided, Code::kBadRequest, "value is provided")
RS_STORE_ERROR(lease_provided, Code::kBadRequest, "lease is provided")
RS_STORE_ERROR(too_many_ops, Code::kBadRequest, "too many operations in txn request")
RS_STORE_ERROR(duplicate_key, Code::kBadRequest, "duplicate key given in txn request")
RS_STORE_ERROR(invalid_sort_option, Code::kBadRequest, "invalid sort option")
RS_STORE_ERROR(request_too_large, Code::kBadRequest, "request is too large")
RS_STORE_ERROR(compacted, Code::kOutOfRange, "mvcc: required revision has been compacted")
RS_STORE_ERROR(future_revision, Code::kOutOfRange, "mvcc: required revision is a future revision")
RS_STORE_ERROR(lease_ttl_too_large, Code::kOutOfRange, "too large lease TTL")
RS_STORE_ERROR(no_space, Code::kResourceExhausted, "mvcc: database space exceeded")
RS_STORE_ERROR(too_many_requests, Code::kResourceExhausted, "too many requests")
RS_STORE_ERROR(lease_not_found, Code::kNotFound, "requested lease not found")
RS_STORE_ERROR(lease_exists, Code::kFailedPrecondition, "lease already exists")
RS_STORE_ERROR(corrupt, Code::kDataLoss, "corrupt cluster")
RS_STORE_ERROR(stopped, Code::kUnavailable, "server stopped")
RS_STORE_ERROR(timed_out, Code::kUnavailable, "request timed out")

#undef RS_STORE_ERROR

}  // namespace rs::store::errors
