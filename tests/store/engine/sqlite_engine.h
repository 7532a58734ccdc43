// An engine over SQLite: a second, independent one, so that what the store does can be compared
// with what it does over RocksDB. For tests: the programs that ship do not link it.
//
// One table, WAL mode, synchronous=FULL. Writes have a connection of their own; gets and scans
// share another, each view has its own. SQLite keeps no checksums of its tables: damage is found
// when it breaks their structure.
#pragma once

#include <atomic>

#include "store/engine/engine.h"

namespace rs::store::engine {

// What tests change.
struct SqliteTuning {
  // The database may not grow beyond it; 0: as it likes. Outlives the engine.
  const std::atomic<int64_t>* bytes_max = nullptr;
};

// directory is made with mode 0700. kDataLoss: what is there is not a database.
Result<std::unique_ptr<Engine>> open_sqlite_engine(const std::filesystem::path& directory,
                                                   const SqliteTuning& tuning = {});

}  // namespace rs::store::engine
