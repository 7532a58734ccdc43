// etcd's messages (reference etcd-api.md A.1) as values of store.h: decoding of what clients send, encoding of answers.
// Pure. A message that is not protobuf fails with kInternalError, in the words of grpc-go.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/etcd/wire.h"
#include "store/mvcc/history.h"
#include "store/store.h"

namespace rs::store::etcd {

// The part of every ResponseHeader that never changes.
struct Ids {
  uint64_t cluster = 0, member = 0, term = 1;
};

Result<RangeRequest> decode_range(std::string_view message);
Result<PutRequest> decode_put(std::string_view message);
Result<DeleteRangeRequest> decode_delete(std::string_view message);
Result<TxnRequest> decode_txn(std::string_view message);

struct WatchMessage {
  enum class Kind { kNone, kCreate, kCancel, kProgress } kind = Kind::kNone;
  WatchRequest create;
  int64_t watch_id = 0;  // of create (0: any) or cancel
  bool progress_notify = false, fragment = false;
};
Result<WatchMessage> decode_watch(std::string_view message);

// Messages of plain numbers and texts, by field number.
struct Fields {
  std::vector<std::pair<uint32_t, uint64_t>> numbers;
  std::vector<std::pair<uint32_t, std::string_view>> texts;  // views into the message
  int64_t number(uint32_t field) const;
  std::string_view text(uint32_t field) const;               // the last, or empty
  bool has_text(uint32_t field) const;
  std::vector<std::string_view> all(uint32_t field) const;
};
Result<Fields> decode_fields(std::string_view message);

void write_header(Writer& out, const Ids& ids, Revision revision);
void write_key_value(Writer& out, uint32_t field, const KeyValue& kv);
// What write_key_value() writes for kv with a value of value_bytes (kv.value is not looked at), in a field below 16.
size_t key_value_bytes(const KeyValue& kv, size_t value_bytes);
std::string encode(const Ids& ids, const RangeResponse& response);
std::string encode(const Ids& ids, const PutResponse& response);
std::string encode(const Ids& ids, const DeleteRangeResponse& response);
std::string encode(const Ids& ids, const TxnResponse& response);
// Of a request as etcd measures it against --max-request-bytes: in its place in the Raft log (etcdserverpb.InternalRaftRequest).
size_t measured_bytes(std::string_view message);

std::string encode_header_only(const Ids& ids, Revision revision);

// Event as an element of WatchResponse.events, made once a slot and shared by all its watchers.
const std::shared_ptr<const std::string>& encoded_event(mvcc::EventSlot& slot, bool prev_kv);
struct WatchAnswer {
  Revision revision = 0;
  int64_t watch_id = 0;
  bool created = false, canceled = false, fragment = false;
  Revision compact_revision = 0;
  std::string_view cancel_reason;
};
// All but the header, which comes before it.
void write_watch_answer(Writer& out, const WatchAnswer& answer);

}  // namespace rs::store::etcd
