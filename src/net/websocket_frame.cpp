#include "net/websocket_frame.h"

namespace rs::net {
namespace {

bool is_control(Opcode opcode) { return static_cast<uint8_t>(opcode) >= 8; }

uint64_t big_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

void apply_mask(std::string& payload, std::string_view key) {
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>(payload[i] ^ key[i % 4]);
}

}  // namespace

Result<std::optional<Frame>> take_frame(std::string& buffer, bool masked, size_t limit) {
  if (buffer.size() < 2) return std::nullopt;
  auto first = static_cast<unsigned char>(buffer[0]), second = static_cast<unsigned char>(buffer[1]);
  Frame frame;
  frame.final = (first & 0x80) != 0;
  frame.opcode = static_cast<Opcode>(first & 0x0f);
  if ((first & 0x70) != 0) return fail(Code::kBadRequest, "reserved bits are set");
  uint8_t opcode = first & 0x0f;
  if (opcode > 10 || (opcode > 2 && opcode < 8)) return fail(Code::kBadRequest, "unknown opcode {}", opcode);
  if (((second & 0x80) != 0) != masked)
    return fail(Code::kBadRequest, "{}", masked ? "a client's frame is not masked" : "a server's frame is masked");
  uint64_t length = second & 0x7f;
  size_t header = 2;
  if (length >= 126) {
    size_t bytes = length == 126 ? 2 : 8;
    if (buffer.size() < header + bytes) return std::nullopt;
    length = big_endian(std::string_view(buffer).substr(header, bytes));
    header += bytes;
    if (length < (bytes == 2 ? 126u : 65536u)) return fail(Code::kBadRequest, "a length is not written in the shortest way");
  }
  if (is_control(frame.opcode) && (length > 125 || !frame.final))
    return fail(Code::kBadRequest, "a control frame is too long or in pieces");
  if (length > limit) return fail(Code::kRequestEntityTooLarge, "a frame of {} bytes: the limit is {}", length, limit);
  size_t key = header;
  if (masked) header += 4;
  if (buffer.size() < header + length) return std::nullopt;
  frame.payload = buffer.substr(header, length);
  if (masked) apply_mask(frame.payload, std::string_view(buffer).substr(key, 4));
  buffer.erase(0, header + length);
  return std::optional<Frame>(std::move(frame));
}

std::string encode_frame(Opcode opcode, bool final, std::string_view payload, std::optional<uint32_t> mask) {
  std::string out;
  out.reserve(payload.size() + 14);
  out += static_cast<char>((final ? 0x80 : 0) | static_cast<uint8_t>(opcode));
  int mask_bit = mask ? 0x80 : 0;
  auto put = [&out](uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  };
  if (payload.size() < 126) {
    out += static_cast<char>(mask_bit | static_cast<int>(payload.size()));
  } else if (payload.size() < 65536) {
    out += static_cast<char>(mask_bit | 126);
    put(payload.size(), 2);
  } else {
    out += static_cast<char>(mask_bit | 127);
    put(payload.size(), 8);
  }
  if (!mask) return out.append(payload);
  std::string key;
  for (int shift = 24; shift >= 0; shift -= 8) key += static_cast<char>(*mask >> shift);
  std::string masked(payload);
  apply_mask(masked, key);
  return out + key + masked;
}

}  // namespace rs::net
