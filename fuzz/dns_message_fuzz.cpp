// Any bytes as a DNS query: parsed or refused, and what is parsed is answered within its limits.
#include "base/assert.h"
#include "dns/message.h"
#include "dns/zone.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto query = rs::dns::parse_query(bytes);
  if (!query) {
    ASSERT(rs::dns::encode_format_error(bytes).size() <= rs::dns::kUdpBytes);
    return 0;
  }
  static const rs::dns::Zone zone;
  auto reply = zone.answer(*query).value_or(rs::dns::Reply{.rcode = rs::dns::Rcode::kNameError});
  ASSERT(rs::dns::encode_reply(*query, reply, query->udp_bytes).size() <= query->udp_bytes);
  (void)rs::dns::reverse_ip(query->name);
  return 0;
}
