#include "store/etcd/gateway/base64.h"

#include <array>
#include <cstdint>

namespace rs::store::etcd::gateway {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> make_values() {
  std::array<int8_t, 256> values{};
  values.fill(-1);
  for (size_t i = 0; i < kAlphabet.size(); ++i) values[uint8_t(kAlphabet[i])] = int8_t(i);
  values[uint8_t('-')] = 62;
  values[uint8_t('_')] = 63;
  return values;
}
constexpr auto kValues = make_values();

}  // namespace

void append_base64(std::string& out, std::string_view bytes) {
  out.reserve(out.size() + (bytes.size() + 2) / 3 * 4);
  auto put = [&](uint32_t bits, int shift) { out += kAlphabet[bits >> shift & 63]; };
  size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const uint32_t bits = uint32_t(uint8_t(bytes[i])) << 16 | uint32_t(uint8_t(bytes[i + 1])) << 8 |
                          uint8_t(bytes[i + 2]);
    for (int shift : {18, 12, 6, 0}) put(bits, shift);
  }
  const size_t rest = bytes.size() - i;
  if (rest == 0) return;
  const uint32_t bits =
      uint32_t(uint8_t(bytes[i])) << 16 | (rest == 2 ? uint32_t(uint8_t(bytes[i + 1])) << 8 : 0);
  put(bits, 18);
  put(bits, 12);
  if (rest == 2) put(bits, 6);
  out += rest == 2 ? "=" : "==";
}

std::optional<std::string> decode_base64(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  size_t held = 0, padding = 0;
  bool standard = false, url_safe = false;
  for (char c : text) {
    if (c == '\r' || c == '\n') continue;
    if (c == '=') {
      if (++padding > 2) return std::nullopt;
      continue;
    }
    const int value = kValues[uint8_t(c)];
    if (value < 0 || padding > 0) return std::nullopt;
    standard = standard || c == '+' || c == '/';
    url_safe = url_safe || c == '-' || c == '_';
    bits = bits << 6 | uint32_t(value);
    if (++held < 4) continue;
    for (int shift : {16, 8, 0}) out += char(bits >> shift);
    bits = 0;
    held = 0;
  }
  if (held == 1 || (standard && url_safe) || (padding > 0 && (held + padding) != 4))
    return std::nullopt;
  if (held >= 2) out += char(bits >> (held == 2 ? 4 : 10));
  if (held == 3) out += char(bits >> 2);
  return out;
}

}  // namespace rs::store::etcd::gateway
