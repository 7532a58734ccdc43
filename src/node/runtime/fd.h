// UniqueFd: owns a file descriptor. Move only.
#pragma once

#include <unistd.h>

#include <string>
#include <utility>

#include "base/result.h"

namespace rs::node {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~UniqueFd() { reset(); }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

// Small files, whole. Errors name the path.
Result<std::string> read_file(const std::string& path, size_t limit = 1 << 20);
Result<void> write_file(const std::string& path, std::string_view text, int mode = 0600);   // replaces it at once
Result<void> write_in_place(const std::string& path, std::string_view text);                // for /proc and cgroup files
Result<void> make_directories(const std::string& path, int mode = 0700);

}  // namespace rs::node
