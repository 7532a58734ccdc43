// Backoff: waiting times that grow after each failure, with jitter so that many clients do not retry together
// (decorrelated jitter, M. Brooker, "Exponential Backoff And Jitter", 2015). Pure: the caller sleeps.
#pragma once

#include <algorithm>

#include "base/clock.h"
#include "base/random.h"

namespace rs::async {

class Backoff {
 public:
  Backoff(Duration first, Duration max) : first_(first), max_(max), last_(first) {}
  Duration next(Random& random) {
    last_ = std::min(max_, Duration(random.between(first_.count(), std::max(first_.count(), last_.count() * 3))));
    return last_;
  }
  void reset() { last_ = first_; }

 private:
  Duration first_, max_, last_;
};

}  // namespace rs::async
