// Any bytes as HTTP/1.1 heads and chunked bodies: where a message ends does not depend on how its
// bytes arrive, and what was understood is written back the same.
#include "base/assert.h"
#include "net/http1.h"

namespace {
using namespace rs::net;

void check_request(std::string_view bytes) {
  http1::RequestHead head;
  auto taken = http1::parse_request_head(bytes, {}, head);
  if (!taken || *taken == 0) return;
  ASSERT(*taken <= bytes.size());
  (void)http1::request_framing(head);
  (void)http1::keep_alive(head.minor, head.headers);
  (void)http1::wants_upgrade(head.headers);
  // Nothing that follows a head changes it.
  http1::RequestHead alone;
  auto same = http1::parse_request_head(bytes.substr(0, *taken), {}, alone);
  ASSERT(same && *same == *taken && alone.target == head.target);
  std::string again;
  http1::write_request_head(again, head.method, head.target, head.headers);
  // It is written as HTTP/1.1, which needs the Host that HTTP/1.0 does not.
  if (again.empty() || !head.headers.has("host")) return;
  http1::RequestHead back;
  auto parsed = http1::parse_request_head(again, {}, back);
  ASSERT(parsed && *parsed == again.size(), "a request that was written is one");
  ASSERT(back.method == head.method && back.target == head.target);
  std::string authority;
  (void)http1::normalize_target(head, authority);
}

void check_response(std::string_view bytes) {
  http1::ResponseHead head;
  auto taken = http1::parse_response_head(bytes, {}, head);
  if (!taken || *taken == 0) return;
  ASSERT(*taken <= bytes.size());
  for (const char* method : {"GET", "HEAD", "CONNECT"}) (void)http1::response_framing(method, head);
}

struct Decoded {
  bool good = true, done = false;
  size_t taken = 0;
  std::string body;
};

Decoded decode(std::string_view bytes, size_t step) {
  Decoded out;
  http1::ChunkedDecoder decoder;
  while (!bytes.empty() && !decoder.done()) {
    auto taken = decoder.feed(bytes.substr(0, step), out.body);
    if (!taken) {
      out.good = false;
      return out;
    }
    ASSERT(*taken == std::min(step, bytes.size()) || decoder.done());
    out.taken += *taken;
    bytes.remove_prefix(*taken);
  }
  out.done = decoder.done();
  return out;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_request(bytes);
  check_response(bytes);
  const Decoded whole = decode(bytes, SIZE_MAX);
  for (size_t step : {1, 2, 7}) {
    const Decoded parts = decode(bytes, step);
    ASSERT(parts.good == whole.good, "the same chunks, in other pieces, are as good");
    if (!whole.good) continue;
    ASSERT(parts.done == whole.done && parts.taken == whole.taken && parts.body == whole.body);
  }
  return 0;
}
