#include "base/crc32c.h"

#include <array>

namespace rs {

uint32_t crc32c(uint32_t crc, std::string_view bytes) {
  static const auto table = [] {
    std::array<uint32_t, 256> t;
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82F63B78u : 0);
      t[i] = value;
    }
    return t;
  }();
  crc = ~crc;
  for (const char c : bytes) crc = crc >> 8 ^ table[uint8_t(crc) ^ uint8_t(c)];
  return ~crc;
}

}  // namespace rs
