// What a worker counts for a service's port, as values that travel to the control loop.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "mesh/discovery/model.h"

namespace rs::mesh {

// Latencies with a relative error of at most an eighth: 8 steps a power of two, from 1 us to about 70 minutes.
class LatencyHistogram {
 public:
  static constexpr size_t kBuckets = 256;
  void observe(Duration latency) {
    ++counts_[bucket(static_cast<uint64_t>(std::max<int64_t>(1, latency.count() / 1000)))];
    ++total_;
  }
  void merge(const LatencyHistogram& other) {
    for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
  }
  uint64_t total() const { return total_; }
  double quantile_ms(double q) const {
    if (total_ == 0) return 0;
    auto rank = static_cast<uint64_t>(q * static_cast<double>(total_ - 1));
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen > rank) return middle_us(i) / 1000;
    }
    return middle_us(kBuckets - 1) / 1000;
  }

 private:
  static size_t bucket(uint64_t us) {
    auto power = static_cast<size_t>(std::bit_width(us)) - 1;
    size_t step = power >= 3 ? (us >> (power - 3)) & 7 : (us << (3 - power)) & 7;
    return std::min(kBuckets - 1, power * 8 + step);
  }
  static double middle_us(size_t bucket) {
    double base = static_cast<double>(uint64_t{1} << (bucket / 8));
    return base * (1 + (static_cast<double>(bucket % 8) + 0.5) / 8);
  }
  std::array<uint32_t, kBuckets> counts_{};
  uint64_t total_ = 0;
};

struct EndpointStats {
  std::string ip;
  uint16_t port = 0;
  bool ejected = false;
  uint32_t in_flight = 0;
  double latency_ms = 0;      // peak EWMA
  uint64_t requests = 0;
};

struct PortStats {
  ServiceKey service;
  uint16_t port = 0;
  uint64_t requests = 0, successes = 0, retries = 0;   // since the last report
  LatencyHistogram latency;                            // since the last report
  std::vector<EndpointStats> endpoints;
};
struct WorkerStats {
  size_t worker = 0;
  std::vector<PortStats> ports;
  size_t connections = 0;
};

}  // namespace rs::mesh
