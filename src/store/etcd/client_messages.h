// The client's half of etcd's messages (reference etcd-api.md A.1): requests of store.h encoded, answers decoded. For who
// talks to an etcd server: import, benchmarks, tests against the real one. Pure. An answer that is not protobuf, or not
// shaped like one, fails with kInternalError.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace rs::store::etcd {

std::string encode(const RangeRequest& request);
std::string encode(const PutRequest& request);
std::string encode(const DeleteRangeRequest& request);
std::string encode(const TxnRequest& request);
std::string encode_compaction(Revision revision, bool physical);
std::string encode_lease_grant(int64_t ttl_seconds, LeaseId id);
std::string encode_lease_id(LeaseId id);  // LeaseRevokeRequest, LeaseKeepAliveRequest
std::string encode_lease_time_to_live(LeaseId id, bool keys);

struct WatchCreate {
  WatchRequest request;
  int64_t watch_id = 0;
  bool progress_notify = false, fragment = false;
};
std::string encode(const WatchCreate& create);
std::string encode_watch_cancel(int64_t watch_id);
std::string encode_watch_progress();

Result<RangeResponse> decode_range_response(std::string_view message);
Result<PutResponse> decode_put_response(std::string_view message);
Result<DeleteRangeResponse> decode_delete_response(std::string_view message);
Result<TxnResponse> decode_txn_response(std::string_view message);
Result<Revision> decode_header_revision(std::string_view message);  // of any answer
struct LeaseAnswer {                                                // of LeaseGrant, KeepAlive and TimeToLive
  Revision revision = 0;
  LeaseId id = 0;
  int64_t ttl_seconds = 0, granted_ttl_seconds = 0;
  std::vector<std::string> keys;
};
Result<LeaseAnswer> decode_lease_answer(std::string_view message);

struct WatchResponse {
  Revision revision = 0;
  int64_t watch_id = 0;
  bool created = false, canceled = false, fragment = false;
  Revision compact_revision = 0;
  std::string cancel_reason;
  std::vector<Event> events;
};
Result<WatchResponse> decode_watch_response(std::string_view message);

}  // namespace rs::store::etcd
