// The engine on disk: RocksDB, tuned for a store whose hot data is in memory (small buffers, two background threads).
#pragma once

#include "store/engine/engine.h"

namespace rocksdb {
class Env;
}

namespace rs::store::engine {

// What tests change: the disk, and when tables are written.
struct RocksTuning {
  rocksdb::Env* env = nullptr;    // outlives the engine
  size_t write_buffer_bytes = 0;  // 0: the engine's own choice
};

// Holds directory for this process until destroyed (made with mode 0700): kAlreadyExists names the holder. Damage that
// is not just a torn last write is kDataLoss; nothing is repaired or skipped silently.
Result<std::unique_ptr<Engine>> open_rocks_engine(const std::filesystem::path& directory, const RocksTuning& tuning = {});

}  // namespace rs::store::engine
