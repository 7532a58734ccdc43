// The engine on disk: RocksDB, tuned for a store whose hot data is in memory (small buffers, two background threads).
#pragma once

#include "store/engine/engine.h"

namespace rs::store::engine {

// Holds directory for this process until destroyed (made with mode 0700): kAlreadyExists names the holder. Damage that
// is not just a torn last write is kDataLoss; nothing is repaired or skipped silently.
Result<std::unique_ptr<Engine>> open_rocks_engine(const std::filesystem::path& directory);

}  // namespace rs::store::engine
