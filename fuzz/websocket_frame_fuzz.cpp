// Frames of a client and of a server from arbitrary bytes: no crash, no more than was given, limits kept.
#include "net/websocket_frame.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (bool masked : {true, false}) {
    std::string buffer(reinterpret_cast<const char*>(data), size);
    for (;;) {
      auto frame = rs::net::take_frame(buffer, masked, 4096);
      if (!frame || !frame->has_value()) break;
      if ((*frame)->payload.size() > 4096) __builtin_trap();
    }
  }
  return 0;
}
