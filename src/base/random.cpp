#include "base/random.h"

#include <sys/random.h>

#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "base/assert.h"

namespace rs {

Random::Random(uint64_t seed) {
  for (auto& word : state_) {  // splitmix64
    seed += 0x9e3779b97f4a7c15;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
}

uint64_t Random::next() {
  uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t Random::below(uint64_t bound) {
  ASSERT(bound > 0);
  // Lemire's multiply-shift with rejection: unbiased, one multiplication in the common case.
  unsigned __int128 product = static_cast<unsigned __int128>(next()) * bound;
  auto low = static_cast<uint64_t>(product);
  if (low < bound) {
    uint64_t threshold = -bound % bound;
    while (low < threshold) {
      product = static_cast<unsigned __int128>(next()) * bound;
      low = static_cast<uint64_t>(product);
    }
  }
  return static_cast<uint64_t>(product >> 64);
}

int64_t Random::between(int64_t low, int64_t high) {
  ASSERT(low <= high);
  return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
}

double Random::unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

std::string Random::name_suffix(size_t length) {
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string text(length, ' ');
  for (auto& c : text) c = kAlphabet[below(kAlphabet.size())];
  return text;
}

std::string Random::uuid() {
  uint64_t a = next(), b = next();
  a = (a & ~uint64_t{0xf000}) | 0x4000;
  b = (b & ~(uint64_t{0xc} << 60)) | (uint64_t{0x8} << 60);
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xffff, b >> 48,
                     b & 0xffffffffffff);
}

void secure_bytes(std::span<std::byte> out) {
  while (!out.empty()) {
    auto count = ::getrandom(out.data(), out.size(), 0);
    ASSERT(count > 0, "getrandom failed");
    out = out.subspan(static_cast<size_t>(count));
  }
}

uint64_t secure_seed() {
  uint64_t seed;
  secure_bytes(std::as_writable_bytes(std::span(&seed, 1)));
  return seed;
}

}  // namespace rs
