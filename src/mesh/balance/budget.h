// RetryBudget: how much a proxy may retry (finagle's and linkerd's; reference mesh.md D.7). Each request deposits, each
// retry withdraws 1/ratio as much; deposits fade after ttl; a reserve allows some retries a second at low rates. Pure.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace rs::mesh {

class RetryBudget {
 public:
  struct Options {
    double ratio = 0.2;               // retries per request
    int64_t min_per_second = 10;
    Duration ttl = std::chrono::seconds(10);
  };
  RetryBudget() : RetryBudget(Options()) {}
  explicit RetryBudget(Options options)
      : slot_length_(options.ttl / kSlots),
        withdrawal_(static_cast<int64_t>(kDeposit / options.ratio)),
        reserve_(options.min_per_second * (options.ttl / std::chrono::seconds(1)) * withdrawal_) {}

  void deposit(MonoTime now) {
    advance(now);
    slots_[current_] += kDeposit;
    balance_ += kDeposit;
  }
  bool try_withdraw(MonoTime now) {
    advance(now);
    if (reserve_ + balance_ < withdrawal_) return false;
    slots_[current_] -= withdrawal_;
    balance_ -= withdrawal_;
    return true;
  }

 private:
  static constexpr int kSlots = 10;
  static constexpr int64_t kDeposit = 1000;

  void advance(MonoTime now) {
    for (int steps = 0; now - slot_started_ >= slot_length_; ++steps) {
      if (steps > kSlots) {  // all have faded
        slot_started_ = now;
        return;
      }
      slot_started_ = slot_started_ + slot_length_;
      current_ = (current_ + 1) % kSlots;
      balance_ -= slots_[current_];
      slots_[current_] = 0;
    }
  }

  Duration slot_length_;
  int64_t withdrawal_, reserve_;
  std::array<int64_t, kSlots> slots_{};
  int64_t balance_ = 0;
  size_t current_ = 0;
  MonoTime slot_started_{};
};

}  // namespace rs::mesh
