// History: what clients asked, when, and what they were told. Values.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "store/etcd/client_messages.h"
#include "store/store.h"

namespace rs::store::crash {

// The order of what happened in a run: a call that returned at a moment before another's called
// came before it.
using Moment = uint64_t;
constexpr Moment kNever = ~Moment(0);

struct CompactRequest {
  Revision revision = 0;
};
struct GrantRequest {
  LeaseId id = 0;
  int64_t ttl_seconds = 0;
};
struct RevokeRequest {
  LeaseId id = 0;
};
struct TimeToLiveRequest {  // with its keys
  LeaseId id = 0;
};
using Request = std::variant<RangeRequest, PutRequest, DeleteRangeRequest, TxnRequest,
                             CompactRequest, GrantRequest, RevokeRequest, TimeToLiveRequest>;

struct HeaderOnly {  // of compactions and revocations
  Revision revision = 0;
};
using Response = std::variant<std::monostate, RangeResponse, PutResponse, DeleteRangeResponse,
                              TxnResponse, HeaderOnly, etcd::LeaseAnswer>;

struct Call {
  enum class Outcome {
    kUnknown,  // it may have been done, once, at any moment after called, or not
    kDone,     // response
    kRefused,  // error, and nothing was changed
  };
  int client = 0;
  Moment called = 0, returned = kNever;  // kNever: unknown
  Request request;
  Outcome outcome = Outcome::kUnknown;
  Response response;
  std::string error;
};

// Of a done call; 0 when the answer has none.
Revision header_revision(const Response& response);
bool changes(const Request& request);
std::string to_string(const KeyValue& kv);
std::string to_string(const Event& event);
std::string to_string(const Request& request);
std::string to_string(const Response& response);
std::string to_string(const Call& call);

bool same(const KeyValue& a, const KeyValue& b);

}  // namespace rs::store::crash
