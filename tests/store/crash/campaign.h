// Campaign: one run is a store under load that crashes one to three times, in a way that its seed
// decides, and is then held to everything it ever answered.
#pragma once

#include <string>

#include "disk_state.h"

namespace rs::store::crash {

struct RunResult {
  std::string failure;  // "": all promises were kept
  std::string story;    // the lives, one a line
  size_t calls = 0, unknown = 0, watch_answers = 0;
  size_t injected = 0;  // planned faults that happened
  size_t planned = 0;
  size_t power_failures = 0;
  size_t asserted = 0;              // lives that RocksDB ended for a failed write
  uint64_t steps[kStepKinds] = {};  // of all lives
};

RunResult run_seed(uint64_t seed);

}  // namespace rs::store::crash
