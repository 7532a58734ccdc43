// Random numbers are injected, so that a run can be repeated from its seed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace rs {

// xoshiro256** (Blackman, Vigna 2018), seeded with splitmix64. Not for keys: see secure_bytes. One owner, one thread.
class Random {
 public:
  explicit Random(uint64_t seed);
  uint64_t next();
  uint64_t below(uint64_t bound);             // uniform in [0, bound); bound > 0
  int64_t between(int64_t low, int64_t high); // uniform in [low, high], both ends included
  double unit();                              // uniform in [0, 1)
  bool chance(double probability) { return unit() < probability; }
  // Kubernetes name suffixes: characters of "bcdfghjklmnpqrstvwxz2456789" (apimachinery util/rand).
  std::string name_suffix(size_t length);
  std::string uuid();                         // RFC 9562 version 4

 private:
  uint64_t state_[4];
};

// From the operating system; for keys, tokens and seeds. Any thread.
void secure_bytes(std::span<std::byte> out);
uint64_t secure_seed();

}  // namespace rs
