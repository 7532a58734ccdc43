#include "wire_text.h"

#include <fmt/format.h>

#include "store/etcd/wire.h"

namespace rs::store::differential {
namespace types {

const MessageType header{"ResponseHeader",
                         {{1, "cluster_id"}, {2, "member_id"}, {3, "revision"}, {4, "raft_term"}}};
const MessageType key_value{
    "KeyValue",
    {{1, "key"}, {2, "create"}, {3, "mod"}, {4, "version"}, {5, "value"}, {6, "lease"}}};
const MessageType event{"Event", {{1, "type"}, {2, "kv", &key_value}, {3, "prev_kv", &key_value}}};

const MessageType range_request{"Range",
                                {{1, "key"},
                                 {2, "range_end"},
                                 {3, "limit"},
                                 {4, "revision"},
                                 {5, "sort_order"},
                                 {6, "sort_target"},
                                 {7, "serializable"},
                                 {8, "keys_only"},
                                 {9, "count_only"},
                                 {10, "min_mod"},
                                 {11, "max_mod"},
                                 {12, "min_create"},
                                 {13, "max_create"}}};
const MessageType put_request{"Put",
                              {{1, "key"},
                               {2, "value"},
                               {3, "lease"},
                               {4, "prev_kv"},
                               {5, "ignore_value"},
                               {6, "ignore_lease"}}};
const MessageType delete_request{"DeleteRange", {{1, "key"}, {2, "range_end"}, {3, "prev_kv"}}};
const MessageType compare{"Compare",
                          {{1, "result"},
                           {2, "target"},
                           {3, "key"},
                           {4, "version"},
                           {5, "create"},
                           {6, "mod"},
                           {7, "value"},
                           {8, "lease"},
                           {64, "range_end"}}};
const MessageType request_op{"RequestOp",
                             {{1, "range", &range_request},
                              {2, "put", &put_request},
                              {3, "delete", &delete_request},
                              {4, "txn", &txn_request}}};
const MessageType txn_request{
    "Txn", {{1, "compare", &compare}, {2, "success", &request_op}, {3, "failure", &request_op}}};
const MessageType compaction_request{"Compact", {{1, "revision"}, {2, "physical"}}};
const MessageType grant_request{"LeaseGrant", {{1, "TTL"}, {2, "ID"}}};
const MessageType lease_request{"Lease", {{1, "ID"}}};
const MessageType time_to_live_request{"LeaseTimeToLive", {{1, "ID"}, {2, "keys"}}};
const MessageType empty_request{"Empty", {}};
const MessageType hash_kv_request{"HashKV", {{1, "revision"}}};

const MessageType range_response{
    "RangeResponse", {{1, "header", &header}, {2, "kvs", &key_value}, {3, "more"}, {4, "count"}}};
const MessageType put_response{"PutResponse", {{1, "header", &header}, {2, "prev_kv", &key_value}}};
const MessageType delete_response{
    "DeleteRangeResponse", {{1, "header", &header}, {2, "deleted"}, {3, "prev_kvs", &key_value}}};
const MessageType response_op{"ResponseOp",
                              {{1, "range", &range_response},
                               {2, "put", &put_response},
                               {3, "delete", &delete_response},
                               {4, "txn", &txn_response}}};
const MessageType txn_response{
    "TxnResponse", {{1, "header", &header}, {2, "succeeded"}, {3, "responses", &response_op}}};
const MessageType header_only{"Response", {{1, "header", &header}}};
const MessageType grant_response{"LeaseGrantResponse",
                                 {{1, "header", &header}, {2, "ID"}, {3, "TTL"}, {4, "error"}}};
const MessageType time_to_live_response{
    "LeaseTimeToLiveResponse",
    {{1, "header", &header}, {2, "ID"}, {3, "TTL"}, {4, "grantedTTL"}, {5, "keys"}}};
const MessageType lease_status{"LeaseStatus", {{1, "ID"}}};
const MessageType leases_response{"LeaseLeasesResponse",
                                  {{1, "header", &header}, {2, "leases", &lease_status}}};
const MessageType hash_kv_response{
    "HashKVResponse",
    {{1, "header", &header}, {2, "hash"}, {3, "compact_revision"}, {4, "hash_revision"}}};
const MessageType watch_create{"WatchCreate",
                               {{1, "key"},
                                {2, "range_end"},
                                {3, "start_revision"},
                                {4, "progress_notify"},
                                {5, "filters"},
                                {6, "prev_kv"},
                                {7, "watch_id"},
                                {8, "fragment"}}};
const MessageType watch_cancel{"WatchCancel", {{1, "watch_id"}}};
const MessageType watch_request{
    "Watch",
    {{1, "create", &watch_create}, {2, "cancel", &watch_cancel}, {3, "progress", &empty_request}}};
const MessageType watch_response{"WatchResponse",
                                 {{1, "header", &header},
                                  {2, "watch_id"},
                                  {3, "created"},
                                  {4, "canceled"},
                                  {5, "compact_revision"},
                                  {6, "cancel_reason"},
                                  {7, "fragment"},
                                  {11, "events", &event}}};

}  // namespace types

int64_t Node::signed_of(uint32_t wanted) const {
  int64_t value = 0;
  for (const Node& child : children) {
    if (child.field == wanted) value = int64_t(child.number);
  }
  return value;
}

const std::string* Node::text_of(uint32_t wanted) const {
  const std::string* found = nullptr;
  for (const Node& child : children) {
    if (child.field == wanted) found = &child.text;
  }
  return found;
}

namespace {

bool parse_fields(const MessageType& type, std::string_view message, Node& out, int depth) {
  if (depth > 200) return false;
  out.type = &type;
  etcd::Reader in(message);
  while (in.next()) {
    Node& child = out.children.emplace_back();
    child.field = in.field();
    if (!in.is_text()) {
      child.is_number = true;
      child.number = in.number();
      continue;
    }
    for (const FieldType& field : type.fields) {
      if (field.number == child.field) child.type = field.message;
    }
    if (child.type == nullptr) {
      child.text = in.text();
    } else if (!parse_fields(*child.type, in.text(), child, depth + 1)) {
      return false;
    }
  }
  return in.ok();
}

void print_to(std::string& out, const Node& message) {
  out += '{';
  for (size_t i = 0; i < message.children.size(); ++i) {
    const Node& child = message.children[i];
    if (i > 0) out += ' ';
    const char* name = nullptr;
    for (const FieldType& field : message.type->fields) {
      if (field.number == child.field) name = field.name;
    }
    if (name == nullptr) {
      fmt::format_to(std::back_inserter(out), "{}:", child.field);
    } else {
      fmt::format_to(std::back_inserter(out), "{}:", name);
    }
    if (child.is_number) {
      fmt::format_to(std::back_inserter(out), "{}", int64_t(child.number));
    } else if (child.type != nullptr) {
      print_to(out, child);
    } else {
      out += quote(child.text);
    }
  }
  out += '}';
}

}  // namespace

bool parse(const MessageType& type, std::string_view message, Node& out) {
  out = Node{};
  return parse_fields(type, message, out, 0);
}

std::string print(const Node& message) {
  std::string out = message.type->name;
  print_to(out, message);
  return out;
}

std::string print(const MessageType& type, std::string_view message) {
  Node root;
  if (parse(type, message, root)) return print(root);
  std::string out = fmt::format("{} in hex ", type.name);
  for (char c : message.substr(0, 400))
    fmt::format_to(std::back_inserter(out), "{:02x}", uint8_t(c));
  return out;
}

std::string quote(std::string_view bytes) {
  std::string out = "\"";
  for (char c : bytes.substr(0, 60)) {
    if (c >= ' ' && c < 127 && c != '"' && c != '\\') {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", uint8_t(c));
    }
  }
  out += '"';
  if (bytes.size() > 60) fmt::format_to(std::back_inserter(out), "…({} bytes)", bytes.size());
  return out;
}

void visit_messages(Node& root, const std::function<void(Node&)>& visit) {
  for (Node& child : root.children) {
    if (child.type != nullptr) visit_messages(child, visit);
  }
  visit(root);
}

}  // namespace rs::store::differential
