// Counters: how often what was done, for metrics. Plain numbers, kept by who does it, on the
// store's loop.
#pragma once

#include <cstdint>

namespace rs::store::mvcc {

struct Counters {
  uint64_t ranges = 0, puts = 0, deletes = 0;  // deletes: keys
  uint64_t txns = 0;                           // of more than one of those
  uint64_t put_bytes = 0;                      // keys and values
  uint64_t compacted_versions = 0;
  uint64_t leases_granted = 0, leases_revoked = 0;
  uint64_t operations() const { return ranges + puts + deletes; }
};

}  // namespace rs::store::mvcc
