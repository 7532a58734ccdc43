// Pace: holds a thread that moves many bytes in the background to so many a second, evenly. Bytes that a disk is given all
// at once stand before the fsync that clients wait for. For threads of their own only: it sleeps.
#pragma once

#include <chrono>
#include <cstdint>
#include <thread>

namespace rs::store::engine {

class Pace {
 public:
  explicit Pace(int64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}
  // Returns once bytes more may follow.
  void moved(int64_t bytes) {
    owed_ += std::chrono::nanoseconds(bytes * 1'000'000'000 / bytes_per_second_);
    if (owed_ < kStep) return;
    std::this_thread::sleep_for(owed_);
    owed_ = {};
  }

 private:
  static constexpr std::chrono::nanoseconds kStep = std::chrono::milliseconds(1);
  const int64_t bytes_per_second_;
  std::chrono::nanoseconds owed_{};
};

}  // namespace rs::store::engine
