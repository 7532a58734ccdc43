// Disk: the directory of a store under test, and what a power failure leaves of it. The server's
// steps on it are seen by disk_shim.cpp, which shares disk_state.h with this.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/random.h"
#include "disk_state.h"

namespace rs::store::crash {

class Disk {
 public:
  Disk();  // in memory where the machine has that
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  const std::filesystem::path& directory() const { return data_; }
  // NAME=value of what the server needs to be watched.
  std::vector<std::string> environment() const;
  // For the next life of the server.
  void plan(const FaultPlan& plan);
  const DiskState& state() const { return *state_; }

  // The server is dead: takes back what was not synced. Of each file any part of what is only in
  // the page cache may have reached the disk, of the changed names any first ones.
  void lose_power(Random& random);
  // The bytes of everything in the page cache only; for messages.
  std::string unsynced() const;

 private:
  void cut_files(Random& random);
  void undo_names(size_t kept);
  void undo(const NameState& name);

  std::filesystem::path root_, data_;
  DiskState* state_ = nullptr;
};

const char* to_string(FaultKind kind);
std::string to_string(const FaultPlan& plan);

}  // namespace rs::store::crash
