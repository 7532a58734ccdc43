// The data directory of one Roadstead process: 0700, held by a lock while the process runs.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace rs::roadstead {

class DataDir {
 public:
  // Makes the directory when needed. kAlreadyExists: "… is in use by roadstead, process 123".
  static Result<DataDir> open(const std::filesystem::path& path);
  DataDir(DataDir&& other) noexcept;
  DataDir& operator=(DataDir&&) = delete;
  ~DataDir();
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path file(std::string_view name) const { return path_ / name; }

 private:
  DataDir(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::filesystem::path path_;
  int lock_;
};

// tmp + fsync + rename: readers see the old or the new whole. mode e.g. 0600.
Result<void> write_file(const std::filesystem::path& file, std::string_view bytes, unsigned mode);
Result<std::string> read_file(const std::filesystem::path& file, size_t limit_bytes = 16u << 20);

}  // namespace rs::roadstead
