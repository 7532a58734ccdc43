// Any text as the command line (a line an argument), the environment, and the YAML file of
// `roadstead store`.
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "store/etcd/flags.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rs::store::etcd;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto nothing = [](const char*) -> const char* { return nullptr; };
  std::vector<std::string> arguments;
  for (size_t at = 0; at < text.size() && arguments.size() < 64;) {
    const size_t end = std::min(text.find('\n', at), text.size());
    arguments.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  // A file of the machine's is not this input's.
  std::erase_if(arguments, [](const std::string& argument) {
    return argument.find("config") != std::string::npos;
  });
  (void)parse_options(arguments, nothing);
  const std::string value = text.substr(0, text.find('\0'));
  (void)parse_options({}, [&](const char* name) -> const char* {
    return std::string_view(name).find("CONFIG") == std::string_view::npos ? value.c_str()
                                                                           : nullptr;
  });
  (void)parse_url(text);
  static const int file = ::memfd_create("config", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  ASSERT(::ftruncate(file, 0) == 0 && ::pwrite(file, data, size, 0) == ssize_t(size));
  (void)parse_options({"--config-file", path}, nothing);
  return 0;
}
