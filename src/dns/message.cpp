#include "dns/message.h"

#include <arpa/inet.h>

#include <algorithm>
#include <map>

namespace rs::dns {
namespace {

constexpr size_t kHeaderBytes = 12;
constexpr int kPointersMax = 16;

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool u8(uint8_t& out) {
    if (at_ >= bytes_.size()) return false;
    out = static_cast<uint8_t>(bytes_[at_++]);
    return true;
  }
  bool u16(uint16_t& out) {
    uint8_t high = 0, low = 0;
    if (!u8(high) || !u8(low)) return false;
    out = static_cast<uint16_t>(high << 8 | low);
    return true;
  }
  bool skip(size_t count) {
    if (bytes_.size() - at_ < count) return false;
    at_ += count;
    return true;
  }
  // Lower-cased, dots between labels. A label with a dot or a byte that is no printable ASCII makes no name of ours, but
  // is well-formed: it is written as '?', which no name contains.
  bool name(std::string& out) {
    size_t at = at_, jumps = 0, length = 0;
    bool jumped = false;
    out.clear();
    for (;;) {
      if (at >= bytes_.size()) return false;
      auto size = static_cast<uint8_t>(bytes_[at]);
      if ((size & 0xc0) == 0xc0) {
        if (at + 1 >= bytes_.size() || ++jumps > kPointersMax) return false;
        size_t target = static_cast<size_t>(size & 0x3f) << 8 | static_cast<uint8_t>(bytes_[at + 1]);
        if (!jumped) at_ = at + 2;
        jumped = true;
        if (target >= at) return false;
        at = target;
        continue;
      }
      if ((size & 0xc0) != 0) return false;
      ++at;
      if (size == 0) break;
      length += size + 1u;
      if (length > 254 || bytes_.size() - at < size) return false;
      if (!out.empty()) out += '.';
      for (size_t i = 0; i < size; ++i) {
        char c = bytes_[at + i];
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
        out += c > ' ' && c < 0x7f && c != '.' ? c : '?';
      }
      at += size;
    }
    if (!jumped) at_ = at;
    return true;
  }
  size_t at() const { return at_; }

 private:
  std::string_view bytes_;
  size_t at_ = 0;
};

class Writer {
 public:
  std::string out;
  void u8(unsigned value) { out += static_cast<char>(value); }
  void u16(unsigned value) {
    u8(value >> 8 & 0xff);
    u8(value & 0xff);
  }
  void u32(uint32_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void set_u16(size_t at, unsigned value) {
    out[at] = static_cast<char>(value >> 8);
    out[at + 1] = static_cast<char>(value);
  }
  // With pointers to names already written (RFC 1035 4.1.4).
  void name(std::string_view text) {
    while (!text.empty()) {
      if (auto known = names_.find(text); known != names_.end()) return u16(0xc000u | known->second);
      if (out.size() < 0x4000) names_.emplace(std::string(text), static_cast<uint16_t>(out.size()));
      auto dot = text.find('.');
      auto label = text.substr(0, dot).substr(0, 63);
      u8(static_cast<unsigned>(label.size()));
      out.append(label);
      text = dot == text.npos ? std::string_view() : text.substr(dot + 1);
    }
    u8(0);
  }
  void know(std::string_view text, size_t at) {
    while (!text.empty() && at < 0x4000) {
      names_.emplace(std::string(text), static_cast<uint16_t>(at));
      auto dot = text.find('.');
      if (dot == text.npos) return;
      at += dot + 1;
      text = text.substr(dot + 1);
    }
  }
  struct Mark {
    size_t size;
    std::map<std::string, uint16_t, std::less<>> names;
  };
  void rewind(size_t size) {
    out.resize(size);
    std::erase_if(names_, [&](const auto& entry) { return entry.second >= size; });
  }

 private:
  std::map<std::string, uint16_t, std::less<>> names_;
};

struct DataWriter {
  Writer& w;
  void operator()(const Address& address) const {
    unsigned char bytes[16];
    if (::inet_pton(AF_INET, address.ip.c_str(), bytes) == 1) w.out.append(reinterpret_cast<char*>(bytes), 4);
    else if (::inet_pton(AF_INET6, address.ip.c_str(), bytes) == 1) w.out.append(reinterpret_cast<char*>(bytes), 16);
  }
  void operator()(const Name& name) const { w.name(name.name); }
  void operator()(const Srv& srv) const {
    w.u16(srv.priority);
    w.u16(srv.weight);
    w.u16(srv.port);
    w.name(srv.target);
  }
  void operator()(const Text& text) const {
    auto part = std::string_view(text.text).substr(0, 255);
    w.u8(static_cast<unsigned>(part.size()));
    w.out.append(part);
  }
  void operator()(const Soa& soa) const {
    w.name(soa.primary);
    w.name(soa.contact);
    for (uint32_t value : {soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum}) w.u32(value);
  }
};

void write_record(Writer& w, const Query& query, const Record& record) {
  w.name(record.name.empty() ? std::string_view(query.name) : std::string_view(record.name));
  w.u16(static_cast<unsigned>(record.type));
  w.u16(1);
  w.u32(record.ttl);
  size_t length_at = w.out.size();
  w.u16(0);
  std::visit(DataWriter{w}, record.data);
  w.set_u16(length_at, static_cast<unsigned>(w.out.size() - length_at - 2));
}

}  // namespace

std::string_view to_string(Type type) {
  switch (type) {
    case Type::kA: return "A";
    case Type::kNs: return "NS";
    case Type::kCname: return "CNAME";
    case Type::kSoa: return "SOA";
    case Type::kPtr: return "PTR";
    case Type::kTxt: return "TXT";
    case Type::kAaaa: return "AAAA";
    case Type::kSrv: return "SRV";
    case Type::kAny: return "ANY";
    default: return "other";
  }
}

std::string_view to_string(Rcode rcode) {
  static constexpr std::string_view kNames[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
  return kNames[static_cast<size_t>(rcode)];
}

Result<Query> parse_query(std::string_view bytes) {
  Reader in(bytes);
  Query query;
  uint16_t flags = 0, questions = 0, answers = 0, authority = 0, additional = 0;
  if (!in.u16(query.id) || !in.u16(flags) || !in.u16(questions) || !in.u16(answers) || !in.u16(authority) || !in.u16(additional))
    return fail(Code::kBadRequest, "shorter than a header");
  if ((flags & 0x8000) != 0) return fail(Code::kBadRequest, "not a query");
  query.opcode = static_cast<uint8_t>(flags >> 11 & 0xf);
  query.recursion_desired = (flags & 0x0100) != 0;
  if (query.opcode != 0) return query;
  if (questions != 1 || answers != 0 || authority != 0) return fail(Code::kBadRequest, "{} questions", questions);
  uint16_t type = 0;
  if (!in.name(query.name) || !in.u16(type) || !in.u16(query.record_class)) return fail(Code::kBadRequest, "damaged question");
  query.type = static_cast<Type>(type);
  query.question = bytes.substr(kHeaderBytes, in.at() - kHeaderBytes);
  for (int i = 0; i < additional; ++i) {
    std::string name;
    uint16_t record_type = 0, size = 0, length = 0;
    if (!in.name(name) || !in.u16(record_type) || !in.u16(size) || !in.skip(4) || !in.u16(length) || !in.skip(length))
      return fail(Code::kBadRequest, "damaged additional record");
    if (static_cast<Type>(record_type) != Type::kOpt) continue;
    query.edns = true;
    query.udp_bytes = std::clamp<size_t>(size, kUdpBytes, kEdnsBytes);
  }
  return query;
}

std::string encode_reply(const Query& query, const Reply& reply, size_t limit) {
  Writer w;
  w.u16(query.id);
  unsigned flags = 0x8000u | static_cast<unsigned>(query.opcode) << 11 | static_cast<unsigned>(reply.rcode);
  if (reply.authoritative) flags |= 0x0400;
  if (query.recursion_desired) flags |= 0x0100;
  if (reply.recursion_available) flags |= 0x0080;
  w.u16(flags);
  w.u16(query.question.empty() ? 0 : 1);
  for (int i = 0; i < 3; ++i) w.u16(0);
  // The question keeps its letters' case (resolvers check it), later names point at it.
  if (!query.question.empty()) w.know(query.name, kHeaderBytes);
  w.out += query.question;
  size_t reserved = query.edns ? 11 : 0;
  bool truncated = false;
  unsigned counts[3] = {0, 0, 0};
  const std::vector<Record>* sections[3] = {&reply.answers, &reply.authority, &reply.additional};
  for (size_t section = 0; section < 3 && !truncated; ++section) {
    for (const auto& record : *sections[section]) {
      size_t before = w.out.size();
      write_record(w, query, record);
      bool fits = w.out.size() + reserved <= limit && counts[section] < kRecordsMax;
      if (!fits) {
        w.rewind(before);
        truncated = section < 2;  // additional records are a courtesy
        break;
      }
      ++counts[section];
    }
  }
  if (truncated) w.set_u16(2, flags | 0x0200);
  if (query.edns) {
    w.u8(0);
    w.u16(static_cast<unsigned>(Type::kOpt));
    w.u16(kEdnsBytes);
    w.u32(0);
    w.u16(0);
    ++counts[2];
  }
  for (size_t section = 0; section < 3; ++section) w.set_u16(6 + 2 * section, counts[section]);
  return std::move(w.out);
}

std::string encode_format_error(std::string_view bytes) {
  if (bytes.size() < 4 || (static_cast<uint8_t>(bytes[2]) & 0x80) != 0) return {};
  Query query;
  query.id = static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 | static_cast<uint8_t>(bytes[1]));
  return encode_reply(query, {.rcode = Rcode::kFormatError, .authoritative = false}, kUdpBytes);
}

}  // namespace rs::dns
