// The smaller subcommands.
#pragma once

#include <optional>
#include <string>

namespace rs::roadstead {

int print_version(const std::string& output);

struct MeshViewOptions {
  std::string service, data_dir, output = "table";
};
int mesh_view(const MeshViewOptions& options);

// Subcommands with a command line of their own (store takes etcd's flags): the exit code, or nothing for all others.
std::optional<int> run_raw_command(int argc, char** argv);

}  // namespace rs::roadstead
