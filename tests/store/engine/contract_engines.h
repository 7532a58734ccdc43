// The three engines as the contract's tests open, fill and damage them.
#pragma once

#include <atomic>
#include <memory>
#include <ostream>
#include <string>

#include "store/engine/engine.h"

namespace rs::store::engine {

enum class Kind { kMemory, kSqlite, kRocks };
std::string to_string(Kind kind);
std::optional<Kind> parse_kind(std::string_view name);
inline void PrintTo(Kind kind, std::ostream* out) {
  *out << to_string(kind);
}

// Where an engine of a kind keeps its bytes, and a disk that can be full.
class Place {
 public:
  Place(Kind kind, std::filesystem::path directory);
  ~Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  bool on_disk() const { return kind_ != Kind::kMemory; }
  Result<std::unique_ptr<Engine>> open();
  // From now on, large writes do not fit. Not for what is in memory.
  void set_full(bool full);
  // How often files were synced so far; nothing: nobody counts.
  std::optional<int64_t> syncs() const;
  // Writes over some bytes in the middle of the largest file of tables, which nobody has open.
  void damage_tables() const;

 private:
  class WatchedDisk;  // RocksDB's way to its files
  const Kind kind_;
  const std::filesystem::path directory_;
  std::unique_ptr<WatchedDisk> disk_;
  std::atomic<int64_t> bytes_max_ = 0;  // SQLite's
};

}  // namespace rs::store::engine
