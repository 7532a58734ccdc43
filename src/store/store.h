// Store: revisioned keys, watches and leases with etcd v3's semantics (reference etcd-api.md A.4 to A.7).
//
// Two implementations: Embedded (store/embedded.h: one process, RocksDB) and EtcdCluster (store/client/: real etcd).
// One loop: call and await on the loop the store was made with. What txn() acknowledged survives kill -9; a read or a
// watch never shows what is not yet durable. Errors: kInvalid / kBadRequest (bad request), kOutOfRange ("mvcc: required
// revision has been compacted" / "… is a future revision"), kNotFound (lease), kResourceExhausted (quota), kUnavailable,
// kTimeout, kDataLoss.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "async/loop.h"
#include "base/result.h"

namespace rs::store {

template <class T>
using awaitable = async::awaitable<T>;

using Revision = int64_t;  // of the whole store; the first write makes 2, an empty store is at 1
using LeaseId = int64_t;   // 0: none

struct KeyValue {
  std::string key;
  std::string value;
  Revision create_revision = 0;
  Revision mod_revision = 0;
  int64_t version = 0;
  LeaseId lease = 0;
};

struct RangeRequest {
  std::string key;
  std::string range_end;      // empty: the one key; "\0": all keys >= key
  int64_t limit = 0;          // 0: all
  Revision revision = 0;      // 0: now
  enum class Order { kNone, kAscend, kDescend } order = Order::kNone;
  enum class Target { kKey, kVersion, kCreate, kMod, kValue } target = Target::kKey;
  bool serializable = false, keys_only = false, count_only = false;
  Revision min_mod_revision = 0, max_mod_revision = 0, min_create_revision = 0, max_create_revision = 0;
};
struct RangeResponse {
  Revision revision = 0;      // of the store when it answered
  std::vector<KeyValue> kvs;
  bool more = false;
  int64_t count = 0;
};

struct PutRequest {
  std::string key, value;
  LeaseId lease = 0;
  bool prev_kv = false, ignore_value = false, ignore_lease = false;
};
struct PutResponse {
  Revision revision = 0;
  std::optional<KeyValue> prev_kv;
};
struct DeleteRangeRequest {
  std::string key, range_end;
  bool prev_kv = false;
};
struct DeleteRangeResponse {
  Revision revision = 0;
  int64_t deleted = 0;
  std::vector<KeyValue> prev_kvs;
};

struct Compare {
  enum class Result { kEqual, kGreater, kLess, kNotEqual } result = Result::kEqual;
  enum class Target { kVersion, kCreate, kMod, kValue, kLease } target = Target::kMod;
  std::string key, range_end;
  int64_t number = 0;         // version, create, mod or lease
  std::string value;
};
struct TxnRequest;
struct TxnResponse;
using Op = std::variant<RangeRequest, PutRequest, DeleteRangeRequest, std::shared_ptr<const TxnRequest>>;
using OpResponse = std::variant<RangeResponse, PutResponse, DeleteRangeResponse, std::shared_ptr<const TxnResponse>>;
struct TxnRequest {
  std::vector<Compare> compares;
  std::vector<Op> success, failure;
};
struct TxnResponse {
  Revision revision = 0;
  bool succeeded = false;
  std::vector<OpResponse> responses;
};

struct Event {
  enum class Type { kPut, kDelete } type = Type::kPut;
  KeyValue kv;                            // of a delete: key and mod_revision only
  std::optional<KeyValue> prev_kv;
};
struct WatchRequest {
  std::string key, range_end;
  Revision start_revision = 0;            // first revision wanted; 0: after now
  bool prev_kv = false, no_put = false, no_delete = false;
};
struct WatchBatch {
  Revision revision = 0;                  // the watcher has everything up to and including it
  std::vector<std::shared_ptr<const Event>> events;  // empty: a progress mark (also sent when idle, every second)
};
// A stream of batches in revision order, whole transactions together. Destroying it cancels the watch. A watcher that
// does not read is bounded: it falls back to reading history, and ends with kOutOfRange when that was compacted.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual awaitable<Result<WatchBatch>> next() = 0;
};

struct LeaseGrant {
  LeaseId id = 0;
  int64_t ttl_seconds = 0;
};
struct LeaseInfo {
  LeaseId id = 0;
  int64_t granted_ttl_seconds = 0;
  int64_t remaining_ttl_seconds = 0;      // -1: expired or unknown
  std::vector<std::string> keys;
};

struct Status {
  Revision revision = 0;
  Revision compact_revision = 0;
  int64_t db_size_bytes = 0;              // on disk
  int64_t live_bytes = 0;                 // logical bytes of keys and values still needed
  std::vector<std::string> alarms;
};

class Store {
 public:
  virtual ~Store() = default;
  virtual awaitable<Result<RangeResponse>> range(RangeRequest request) = 0;
  virtual awaitable<Result<TxnResponse>> txn(TxnRequest request) = 0;
  virtual awaitable<Result<std::unique_ptr<Watcher>>> watch(WatchRequest request) = 0;
  virtual awaitable<Result<void>> compact(Revision revision) = 0;
  virtual awaitable<Result<LeaseGrant>> lease_grant(int64_t ttl_seconds, LeaseId id = 0) = 0;
  virtual awaitable<Result<void>> lease_revoke(LeaseId id) = 0;
  virtual awaitable<Result<int64_t>> lease_keep_alive(LeaseId id) = 0;  // the new TTL in seconds
  virtual awaitable<Result<LeaseInfo>> lease_time_to_live(LeaseId id, bool keys) = 0;
  virtual awaitable<Result<std::vector<LeaseId>>> leases() = 0;
  virtual awaitable<Result<Status>> status() = 0;

  // Shorthands over txn().
  awaitable<Result<PutResponse>> put(PutRequest request);
  awaitable<Result<DeleteRangeResponse>> delete_range(DeleteRangeRequest request);
};

// The end of the range of all keys with this prefix ("a/" -> "a0"); "\0" when there is none.
std::string prefix_end(std::string_view prefix);

}  // namespace rs::store
