#include "history.h"

#include <fmt/format.h>

namespace rs::store::crash {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

std::string shorten(std::string_view text) {
  constexpr size_t kShown = 24;
  if (text == std::string_view("\0", 1)) return "\\0";
  return text.size() <= kShown ? std::string(text)
                               : fmt::format("{}…({})", text.substr(0, kShown), text.size());
}

std::string range_text(std::string_view key, std::string_view end) {
  return end.empty() ? shorten(key) : fmt::format("[{}, {})", shorten(key), shorten(end));
}

std::string op_text(const Op& op) {
  if (auto* range = std::get_if<RangeRequest>(&op)) return to_string(Request(*range));
  if (auto* put = std::get_if<PutRequest>(&op)) return to_string(Request(*put));
  if (auto* erase = std::get_if<DeleteRangeRequest>(&op)) return to_string(Request(*erase));
  return to_string(Request(*std::get<std::shared_ptr<const TxnRequest>>(op)));
}

std::string txn_text(const TxnRequest& txn) {
  std::string out = "txn if";
  for (const Compare& compare : txn.compares)
    out +=
        fmt::format(" {}.{} {} {}", shorten(compare.key), int(compare.target), int(compare.result),
                    compare.target == Compare::Target::kValue ? shorten(compare.value)
                                                              : std::to_string(compare.number));
  out += " then";
  for (const Op& op : txn.success) out += " {" + op_text(op) + "}";
  out += " else";
  for (const Op& op : txn.failure) out += " {" + op_text(op) + "}";
  return out;
}

std::string kvs_text(const std::vector<KeyValue>& kvs) {
  std::string out;
  for (const KeyValue& kv : kvs) out += " " + to_string(kv);
  return out;
}

}  // namespace

Revision header_revision(const Response& response) {
  return std::visit(Overloaded{[](const std::monostate&) { return Revision(0); },
                               [](const auto& answer) { return answer.revision; }},
                    response);
}

bool changes(const Request& request) {
  return !std::holds_alternative<RangeRequest>(request) &&
         !std::holds_alternative<TimeToLiveRequest>(request);
}

bool same(const KeyValue& a, const KeyValue& b) {
  return a.key == b.key && a.value == b.value && a.create_revision == b.create_revision &&
         a.mod_revision == b.mod_revision && a.version == b.version && a.lease == b.lease;
}

std::string to_string(const KeyValue& kv) {
  std::string out = fmt::format("{}={} @{}/{} v{}", shorten(kv.key), shorten(kv.value),
                                kv.create_revision, kv.mod_revision, kv.version);
  return kv.lease != 0 ? out + fmt::format(" lease {}", kv.lease) : out;
}

std::string to_string(const Event& event) {
  std::string out = event.type == Event::Type::kPut ? "put " : "delete ";
  out += to_string(event.kv);
  return event.prev_kv ? out + " was " + to_string(*event.prev_kv) : out;
}

std::string to_string(const Request& request) {
  return std::visit(
      Overloaded{
          [](const RangeRequest& r) {
            return fmt::format("range {} at {} limit {}{}", range_text(r.key, r.range_end),
                               r.revision, r.limit, r.count_only ? " count" : "");
          },
          [](const PutRequest& r) {
            return fmt::format("put {}={} lease {}", shorten(r.key), shorten(r.value), r.lease);
          },
          [](const DeleteRangeRequest& r) {
            return fmt::format("delete {}", range_text(r.key, r.range_end));
          },
          [](const TxnRequest& r) { return txn_text(r); },
          [](const CompactRequest& r) { return fmt::format("compact {}", r.revision); },
          [](const GrantRequest& r) { return fmt::format("grant {} ttl {}", r.id, r.ttl_seconds); },
          [](const RevokeRequest& r) { return fmt::format("revoke {}", r.id); },
          [](const TimeToLiveRequest& r) { return fmt::format("time to live {}", r.id); }},
      request);
}

std::string to_string(const Response& response) {
  std::string out = fmt::format("@{}", header_revision(response));
  std::visit(Overloaded{[](const std::monostate&) {}, [](const HeaderOnly&) {},
                        [&](const RangeResponse& r) {
                          out += fmt::format(" {}:{}", r.count, kvs_text(r.kvs));
                        },
                        [&](const PutResponse& r) {
                          if (r.prev_kv) out += " was " + to_string(*r.prev_kv);
                        },
                        [&](const DeleteRangeResponse& r) {
                          out += fmt::format(" deleted {}{}", r.deleted, kvs_text(r.prev_kvs));
                        },
                        [&](const TxnResponse& r) {
                          out += r.succeeded ? " then" : " else";
                          for (const OpResponse& op : r.responses) {
                            if (auto* range = std::get_if<RangeResponse>(&op))
                              out += " {" + to_string(Response(*range)) + "}";
                            if (auto* put = std::get_if<PutResponse>(&op))
                              out += " {" + to_string(Response(*put)) + "}";
                            if (auto* erase = std::get_if<DeleteRangeResponse>(&op))
                              out += " {" + to_string(Response(*erase)) + "}";
                          }
                        },
                        [&](const etcd::LeaseAnswer& r) {
                          out += fmt::format(" lease {} granted {}", r.id, r.granted_ttl_seconds);
                          for (const std::string& key : r.keys) out += " " + key;
                        }},
             response);
  return out;
}

std::string to_string(const Call& call) {
  std::string out = fmt::format("client {} [{}, {}] {}", call.client, call.called,
                                call.returned == kNever ? "…" : std::to_string(call.returned),
                                to_string(call.request));
  if (call.outcome == Call::Outcome::kDone) return out + " -> " + to_string(call.response);
  return out +
         (call.outcome == Call::Outcome::kUnknown ? " -> unknown" : " -> refused: " + call.error);
}

}  // namespace rs::store::crash
