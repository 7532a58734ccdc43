// SimDisk: files in memory that forget what was not synced when the machine crashes (LevelDB's fault_injection_test).
// Tests only.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace rs::sim {

class SimDisk {
 public:
  explicit SimDisk(Random& random) : random_(random) {}
  Result<void> append(const std::string& file, std::string_view bytes);
  Result<void> sync(const std::string& file);
  Result<std::string> read(const std::string& file) const;
  Result<void> remove(const std::string& file);

  // Power loss: of what was not synced a random prefix survives, and the last byte of it may be torn.
  void crash();
  // From now on every append and sync fails: kDataLoss (EIO), or kResourceExhausted (ENOSPC).
  void fail_writes(Code code) { failure_ = code; }
  void repair() { failure_.reset(); }
  uint64_t syncs() const { return syncs_; }

 private:
  struct File {
    std::string bytes;
    size_t synced = 0;
  };
  Random& random_;
  std::map<std::string, File> files_;
  std::optional<Code> failure_;
  uint64_t syncs_ = 0;
};

}  // namespace rs::sim
