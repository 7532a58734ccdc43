// Peak EWMA: an endpoint's expected latency, quick to believe bad news and slow to forget it (finagle, linkerd;
// reference mesh.md D.2). Pure.
#pragma once

#include <algorithm>
#include <cmath>

#include "base/clock.h"

namespace rs::mesh {

class PeakEwma {
 public:
  static constexpr Duration kDecay = std::chrono::seconds(10);
  static constexpr Duration kDefaultRtt = std::chrono::milliseconds(30);

  explicit PeakEwma(MonoTime now) : value_(static_cast<double>(kDefaultRtt.count())), stamp_(now) {}

  void observe(Duration rtt, MonoTime now) {
    double weight = weight_at(now), sample = static_cast<double>(rtt.count());
    value_ = sample >= value_ * weight ? sample : value_ * weight + sample * (1 - weight);
    stamp_ = std::max(stamp_, now);
  }
  // Nanoseconds.
  double value(MonoTime now) const { return value_ * weight_at(now); }

 private:
  double weight_at(MonoTime now) const {
    auto elapsed = static_cast<double>((now - stamp_).count());
    return elapsed <= 0 ? 1.0 : std::exp(-elapsed / static_cast<double>(kDecay.count()));
  }
  double value_;
  MonoTime stamp_;
};

}  // namespace rs::mesh
