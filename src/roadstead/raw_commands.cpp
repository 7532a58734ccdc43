#include "roadstead/commands.h"

namespace rs::roadstead {

std::optional<int> run_raw_command(int, char**) { return std::nullopt; }

}  // namespace rs::roadstead
