// What RocksDB would take for the end of its log without a word: a changed length or type of a
// record makes it stop reading there, and everything after is lost. So its logs are read once more
// before it may, by stricter rules.
//
// Format: https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format (blocks of 32 KiB;
// records of masked CRC-32C, length, type, payload). Blocking; for before the database is opened.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace rs::store::engine {

// Checks CURRENT, the manifest it names and every log in RocksDB's directory (which may be missing,
// or not yet a database). kDataLoss names the file and the place. Forgiven is only what a crash
// does: a last record that is cut off, or has sectors that were never written (etcd's rule), and
// nothing readable after it but more of the same record; it is cut away with a warning.
Result<void> check_logs(const std::filesystem::path& directory);

}  // namespace rs::store::engine
