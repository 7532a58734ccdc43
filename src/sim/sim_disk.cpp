#include "sim/sim_disk.h"

namespace rs::sim {

Result<void> SimDisk::append(const std::string& file, std::string_view bytes) {
  if (failure_) return fail(*failure_, "append to {}: simulated fault", file);
  files_[file].bytes += bytes;
  return {};
}

Result<void> SimDisk::sync(const std::string& file) {
  if (failure_) return fail(*failure_, "sync of {}: simulated fault", file);
  auto& entry = files_[file];
  entry.synced = entry.bytes.size();
  ++syncs_;
  return {};
}

Result<std::string> SimDisk::read(const std::string& file) const {
  auto it = files_.find(file);
  if (it == files_.end()) return fail(Code::kNotFound, "no file {}", file);
  return it->second.bytes;
}

Result<void> SimDisk::remove(const std::string& file) {
  if (failure_) return fail(*failure_, "remove {}: simulated fault", file);
  files_.erase(file);
  return {};
}

void SimDisk::crash() {
  for (auto& [name, file] : files_) {
    size_t unsynced = file.bytes.size() - file.synced;
    size_t kept = unsynced == 0 ? 0 : random_.below(unsynced + 1);
    file.bytes.resize(file.synced + kept);
    if (kept > 0 && random_.chance(0.5)) file.bytes.back() = static_cast<char>(random_.next());
    file.synced = file.bytes.size();
  }
}

}  // namespace rs::sim
