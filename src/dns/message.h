// DNS messages as bytes (RFC 1035, RFC 6891 EDNS, RFC 2782 SRV): what a server needs. Pure; nothing is shared.
//
// Parsing accepts one question, follows compression pointers only backwards and a bounded number of times, and never
// reads past the message. kBadRequest: not a message that can be answered with more than FORMERR.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace rs::dns {

enum class Type : uint16_t { kA = 1, kNs = 2, kCname = 5, kSoa = 6, kPtr = 12, kTxt = 16, kAaaa = 28, kSrv = 33, kOpt = 41, kAny = 255 };
enum class Rcode : uint8_t { kNoError = 0, kFormatError = 1, kServerFailure = 2, kNameError = 3, kNotImplemented = 4, kRefused = 5 };
std::string_view to_string(Type type);   // "A", "other"
std::string_view to_string(Rcode rcode); // "NOERROR"

constexpr size_t kUdpBytes = 512;        // without EDNS
constexpr size_t kEdnsBytes = 1232;      // what fits everywhere without fragments (DNS flag day 2020)
constexpr size_t kTcpBytes = 65535;
constexpr size_t kRecordsMax = 1000;     // of one answer; more are left out

struct Query {
  uint16_t id = 0;
  uint8_t opcode = 0;
  bool recursion_desired = false;
  std::string name;                      // lower case, without the last dot; "" is the root
  std::string question;                  // as sent, with type and class, to be repeated
  Type type = Type::kA;
  uint16_t record_class = 1;
  bool edns = false;
  size_t udp_bytes = kUdpBytes;          // the largest answer the asker takes
};
Result<Query> parse_query(std::string_view bytes);

struct Srv {
  uint16_t priority = 0, weight = 100, port = 0;
  std::string target;
};
struct Soa {
  std::string primary, contact;
  uint32_t serial = 0, refresh = 7200, retry = 1800, expire = 86400, minimum = 5;
};
struct Address {
  std::string ip;                        // v4 for A, v6 for AAAA
};
struct Name {
  std::string name;                      // CNAME, PTR, NS
};
struct Text {
  std::string text;
};
struct Record {
  std::string name;                      // empty: that of the question
  Type type = Type::kA;
  uint32_t ttl = 5;
  std::variant<Address, Name, Srv, Text, Soa> data;
};

struct Reply {
  Rcode rcode = Rcode::kNoError;
  bool authoritative = true;
  bool recursion_available = false;
  std::vector<Record> answers, authority, additional;
};

// At most limit bytes; what does not fit is left out and the message marked truncated.
std::string encode_reply(const Query& query, const Reply& reply, size_t limit);
// For bytes that are no query: FORMERR with their id; empty when there is not even an id, or it is itself a reply.
std::string encode_format_error(std::string_view bytes);

}  // namespace rs::dns
