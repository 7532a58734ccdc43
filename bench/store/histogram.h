// Histogram of durations in ns: 64 steps to a doubling, so that a percentile is right to 1.6 %. A
// value; no allocation while recording.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rs::bench {

class Histogram {
 public:
  void record(int64_t ns) {
    auto value = uint64_t(std::max<int64_t>(ns, 0));
    ++buckets_[index(value)];
    ++count_;
    max_ = std::max(max_, value);
  }
  uint64_t count() const { return count_; }
  double max_ms() const { return double(max_) / 1e6; }
  // The upper edge of the step that holds the quantile (0 to 1); never more than the largest seen.
  double quantile_ms(double quantile) const {
    auto wanted = uint64_t(quantile * double(count_) + 0.5);
    uint64_t seen = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= std::max<uint64_t>(wanted, 1)) return double(std::min(upper_edge(i), max_)) / 1e6;
    }
    return 0;
  }

 private:
  static constexpr int kStepBits = 6;
  static size_t index(uint64_t value) {
    if (value < 1u << kStepBits) return size_t(value);
    int shift = std::bit_width(value) - kStepBits - 1;
    return (size_t(shift + 1) << kStepBits) + size_t((value >> shift) - (1u << kStepBits));
  }
  static uint64_t upper_edge(size_t index) {
    if (index < 1u << kStepBits) return index;
    auto shift = int(index >> kStepBits) - 1;
    return (((index & ((1u << kStepBits) - 1)) + (1u << kStepBits) + 1) << shift) - 1;
  }

  std::vector<uint64_t> buckets_ = std::vector<uint64_t>(size_t(64) << kStepBits);
  uint64_t count_ = 0, max_ = 0;
};

}  // namespace rs::bench
