#include "store/auth/base64.h"

#include <cstdint>

namespace rs::store::auth {
namespace {

constexpr std::string_view kUrl =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int digit(char c, bool url) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == (url ? '-' : '+')) return 62;
  return c == (url ? '_' : '/') ? 63 : -1;
}

std::optional<std::string> decode(std::string_view text, bool url) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  int have = 0;
  for (char c : text) {
    int value = digit(c, url);
    if (value < 0) return std::nullopt;
    bits = bits << 6 | uint32_t(value);
    have += 6;
    if (have < 8) continue;
    have -= 8;
    out.push_back(char(bits >> have));
    bits &= (1u << have) - 1;
  }
  if (bits != 0) return std::nullopt;  // bits that say nothing must be zero
  return out;
}

}  // namespace

std::string base64url(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() * 4 + 2) / 3);
  uint32_t bits = 0;
  int have = 0;
  for (char c : bytes) {
    bits = bits << 8 | uint8_t(c);
    for (have += 8; have >= 6; have -= 6) out.push_back(kUrl[bits >> (have - 6) & 63]);
  }
  if (have > 0) out.push_back(kUrl[bits << (6 - have) & 63]);
  return out;
}

std::optional<std::string> base64url_decode(std::string_view text) {
  return decode(text, true);
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return decode(text, false);
}

}  // namespace rs::store::auth
