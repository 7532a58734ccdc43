// WebSocket frames as bytes (RFC 6455 section 5). Pure; inside this room and for fuzzing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rs::net {

enum class Opcode : uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

struct Frame {
  Opcode opcode = Opcode::kBinary;
  bool final = true;
  std::string payload;   // unmasked
};

// Takes one frame from the front of buffer (which shrinks); nothing: more bytes are needed. kBadRequest: the peer breaks
// the protocol (message holds why); kRequestEntityTooLarge: a payload above limit. masked: what frames of the peer must be.
Result<std::optional<Frame>> take_frame(std::string& buffer, bool masked, size_t limit);

// mask: the four bytes of a client's frame; nothing for a server's.
std::string encode_frame(Opcode opcode, bool final, std::string_view payload, std::optional<uint32_t> mask);

}  // namespace rs::net
