#include "roadstead/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace rs::roadstead {

namespace fs = std::filesystem;

Result<DataDir> DataDir::open(const fs::path& path) {
  std::error_code error;
  auto absolute = fs::absolute(path, error);
  fs::create_directories(absolute, error);
  if (error) return fail(Code::kForbidden, "cannot make the data directory {}: {}", path.string(), error.message());
  if (::chmod(absolute.c_str(), 0700) != 0)
    return fail(Code::kForbidden, "the data directory {} is not ours: {}", absolute.string(), std::strerror(errno));
  auto lock_file = absolute / "lock";
  int lock = ::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return fail(Code::kForbidden, "cannot open {}: {}", lock_file.string(), std::strerror(errno));
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    char text[32] = {};
    auto count = ::pread(lock, text, sizeof text - 1, 0);
    ::close(lock);
    std::string holder = count > 0 ? std::string(text, static_cast<size_t>(count)) : "unknown";
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return fail(Code::kAlreadyExists,
                "the data directory {} is in use by another roadstead, process {}: stop that one, or choose another "
                "directory with --data-dir",
                absolute.string(), holder);
  }
  auto pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock, 0) != 0 || ::pwrite(lock, pid.data(), pid.size(), 0) < 0) {
    ::close(lock);
    return fail(Code::kUnavailable, "cannot write {}: {}", lock_file.string(), std::strerror(errno));
  }
  return DataDir(absolute, lock);
}

DataDir::DataDir(DataDir&& other) noexcept : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataDir::~DataDir() {
  if (lock_ >= 0) ::close(lock_);
}

Result<void> write_file(const fs::path& file, std::string_view bytes, unsigned mode) {
  auto temporary = file;
  temporary += ".tmp";
  int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (descriptor < 0) return fail(Code::kUnavailable, "cannot write {}: {}", temporary.string(), std::strerror(errno));
  bool good = true;
  while (good && !bytes.empty()) {
    auto count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    good = count > 0;
    if (good) bytes.remove_prefix(static_cast<size_t>(count));
  }
  good = good && ::fsync(descriptor) == 0;
  ::close(descriptor);
  if (good) good = ::rename(temporary.c_str(), file.c_str()) == 0;
  if (!good) return fail(Code::kUnavailable, "cannot write {}: {}", file.string(), std::strerror(errno));
  return {};
}

Result<std::string> read_file(const fs::path& file, size_t limit_bytes) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(Code::kNotFound, "cannot read {}: {}", file.string(), std::strerror(errno));
  std::string bytes;
  char buffer[16384];
  while (in.read(buffer, sizeof buffer) || in.gcount() > 0) {
    bytes.append(buffer, static_cast<size_t>(in.gcount()));
    if (bytes.size() > limit_bytes)
      return fail(Code::kRequestEntityTooLarge, "{} is larger than {} bytes", file.string(), limit_bytes);
  }
  return bytes;
}

}  // namespace rs::roadstead
