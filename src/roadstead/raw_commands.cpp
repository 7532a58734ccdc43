#include <string_view>

#include "roadstead/commands.h"
#include "store/etcd/standalone.h"

namespace rs::roadstead {

std::optional<int> run_raw_command(int argc, char** argv) {
  if (std::string_view(argv[1]) == "store") return store::etcd::run_store(argc - 2, argv + 2);
  return std::nullopt;
}

}  // namespace rs::roadstead
