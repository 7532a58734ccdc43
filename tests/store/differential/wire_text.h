// etcd's messages (reference etcd-api.md A.1) as trees of fields: for printing, and for comparing
// all but what must differ between two servers. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace rs::store::differential {

struct MessageType;
struct FieldType {
  uint32_t number;
  const char* name;
  const MessageType* message = nullptr;  // of a nested message
};
struct MessageType {
  const char* name;
  std::vector<FieldType> fields;
};

namespace types {
extern const MessageType range_request, put_request, delete_request, txn_request,
    compaction_request, grant_request, lease_request, time_to_live_request, empty_request,
    hash_kv_request, compare, watch_request;
extern const MessageType range_response, put_response, delete_response, txn_response, header_only,
    grant_response, time_to_live_response, leases_response, hash_kv_response, watch_response;
}  // namespace types

// One field of a decoded message; numbers are texts' opposite.
struct Node {
  uint32_t field = 0;
  bool is_number = false;
  uint64_t number = 0;
  std::string text;            // bytes, when the type says no message
  std::vector<Node> children;  // of a message
  const MessageType* type = nullptr;
  friend bool operator==(const Node& a, const Node& b) {
    return a.field == b.field && a.is_number == b.is_number && a.number == b.number &&
           a.text == b.text && a.children == b.children;
  }
  int64_t signed_of(uint32_t wanted) const;           // 0 when absent
  const std::string* text_of(uint32_t wanted) const;  // nullptr when absent
};

// The fields in the order of the wire, unknown ones too. False: not protobuf.
bool parse(const MessageType& type, std::string_view message, Node& out);
std::string print(const Node& message);
// parse and print; as hexadecimal digits when it is not protobuf.
std::string print(const MessageType& type, std::string_view message);
// Bytes with everything unprintable escaped; long ones shortened.
std::string quote(std::string_view bytes);

// Calls visit for every nested message, outermost last.
void visit_messages(Node& root, const std::function<void(Node& message)>& visit);

}  // namespace rs::store::differential
