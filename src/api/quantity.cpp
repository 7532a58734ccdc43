#include "api/quantity.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace rs::api {
namespace {

constexpr __int128 kNano = 1'000'000'000;
constexpr __int128 kMax = __int128(INT64_MAX) * kNano;

struct Suffix {
  std::string_view text;
  int base, exponent;
};
constexpr Suffix kSuffixes[] = {
    {"n", 10, -9}, {"u", 10, -6}, {"m", 10, -3}, {"", 10, 0},   {"k", 10, 3},  {"M", 10, 6},
    {"G", 10, 9},  {"T", 10, 12}, {"P", 10, 15}, {"E", 10, 18}, {"Ki", 2, 10}, {"Mi", 2, 20},
    {"Gi", 2, 30}, {"Ti", 2, 40}, {"Pi", 2, 50}, {"Ei", 2, 60},
};

bool read_suffix(std::string_view text, Suffix& out, Quantity::Format& format) {
  for (const Suffix& suffix : kSuffixes) {
    if (suffix.text != text) continue;
    out = suffix;
    format = suffix.base == 2 ? Quantity::Format::kBinarySi : Quantity::Format::kDecimalSi;
    return true;
  }
  if (text.size() < 2 || (text[0] != 'e' && text[0] != 'E')) return false;
  std::string_view digits = text.substr(text[1] == '+' ? 2 : 1);
  int exponent = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) return false;
  out = {text, 10, std::clamp(exponent, -100, 100)};
  format = Quantity::Format::kDecimalExponent;
  return true;
}

// value * base^exponent * 10^-fraction_digits in nanos: capped above, rounded away from zero below.
__int128 scale(unsigned __int128 value, const Suffix& suffix, int fraction_digits) {
  if (value == 0) return 0;
  int ten = 9 - fraction_digits + (suffix.base == 10 ? suffix.exponent : 0);
  int two = suffix.base == 2 ? suffix.exponent : 0;
  bool inexact = false;
  // Take tens away first when both must happen, so that "0.0000001Ei" does not overflow on the way.
  for (; two > 0; --two) {
    if (value > (unsigned __int128)(kMax) * 4 && ten < 0) {
      inexact |= value % 10 != 0;
      value /= 10;
      ++ten;
    }
    if (value > (unsigned __int128)(kMax) * 16) return kMax;
    value *= 2;
  }
  for (; ten > 0; --ten) {
    if (value > (unsigned __int128)(kMax)) return kMax;
    value *= 10;
  }
  for (; ten < 0 && value > 0; ++ten) {
    inexact |= value % 10 != 0;
    value /= 10;
  }
  if (inexact) ++value;
  return value > (unsigned __int128)(kMax) ? kMax : __int128(value);
}

std::string decimal(__int128 value) {
  bool negative = value < 0;
  unsigned __int128 rest = negative ? -(unsigned __int128)(value) : (unsigned __int128)(value);
  std::string out;
  do {
    out += char('0' + int(rest % 10));
    rest /= 10;
  } while (rest != 0);
  if (negative) out += '-';
  std::ranges::reverse(out);
  return out;
}

}  // namespace

std::optional<Quantity> Quantity::parse(std::string_view text) {
  if (text.empty() || text.size() > 256) return std::nullopt;
  size_t at = 0;
  bool negative = text[0] == '-';
  if (text[0] == '-' || text[0] == '+') ++at;
  unsigned __int128 value = 0;
  int fraction_digits = 0, digits = 0, dropped = 0;
  bool in_fraction = false, lost = false;
  for (; at < text.size(); ++at) {
    char c = text[at];
    if (c == '.') {
      if (in_fraction) return std::nullopt;
      in_fraction = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    ++digits;
    if (value < (unsigned __int128)(kMax)) {
      value = value * 10 + unsigned(c - '0');
      fraction_digits += in_fraction;
    } else if (!in_fraction) {
      ++dropped;
      lost |= c != '0';
    } else {
      lost |= c != '0';
    }
  }
  if (digits == 0) return std::nullopt;
  if (lost && in_fraction) ++value;
  Quantity out;
  Suffix suffix{};
  if (!read_suffix(text.substr(at), suffix, out.format)) return std::nullopt;
  out.nanos = scale(value, suffix, fraction_digits - dropped);
  if (negative) out.nanos = -out.nanos;
  return out;
}

std::string Quantity::canonical() const {
  if (nanos == 0) return "0";
  if (format == Format::kBinarySi && nanos % kNano == 0 && (nanos <= -1024 * kNano || nanos >= 1024 * kNano)) {
    __int128 value = nanos / kNano;
    static constexpr std::string_view kBinary[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    size_t power = 0;
    for (; value % 1024 == 0 && power < 6; ++power) value /= 1024;
    return decimal(value).append(kBinary[power]);
  }
  __int128 value = nanos;
  int exponent = -9;
  while (value % 1000 == 0 && exponent < 18) {
    value /= 1000;
    exponent += 3;
  }
  if (format == Format::kDecimalExponent)
    return exponent == 0 ? decimal(value) : decimal(value) + "e" + std::to_string(exponent);
  static constexpr std::string_view kDecimal[] = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
  return decimal(value).append(kDecimal[(exponent + 9) / 3]);
}

}  // namespace rs::api
