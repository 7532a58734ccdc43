#include "node/runtime/fd.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace rs::node {
namespace {
std::unexpected<Error> os_error(std::string_view what, const std::string& path) {
  Code code = errno == ENOENT ? Code::kNotFound : Code::kInternalError;
  return fail(code, "{} {}: {}", what, path, std::strerror(errno));
}
}  // namespace

Result<std::string> read_file(const std::string& path, size_t limit) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return os_error("read", path);
  std::string text;
  char buffer[16 << 10];
  for (;;) {
    ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return os_error("read", path);
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > limit) return fail(Code::kResourceExhausted, "read {}: larger than {} bytes", path, limit);
  }
}

Result<void> write_in_place(const std::string& path, std::string_view text) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return os_error("write", path);
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return os_error("write", path);
  return {};
}

Result<void> write_file(const std::string& path, std::string_view text, int mode) {
  std::string temporary = path + ".new";
  {
    UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (!fd) return os_error("write", temporary);
    ::fchmod(fd.get(), static_cast<mode_t>(mode));  // whatever the umask
    for (size_t done = 0; done < text.size();) {
      ssize_t wrote = ::write(fd.get(), text.data() + done, text.size() - done);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return os_error("write", temporary);
      done += static_cast<size_t>(wrote);
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return os_error("rename to", path);
  return {};
}

Result<void> make_directories(const std::string& path, int mode) {
  std::error_code error;
  bool made = std::filesystem::create_directories(path, error);
  if (error) return fail(Code::kInternalError, "make directory {}: {}", path, error.message());
  if (made) ::chmod(path.c_str(), static_cast<mode_t>(mode));
  return {};
}

}  // namespace rs::node
