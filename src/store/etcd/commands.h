// `roadstead store snapshot save|restore|status` and `roadstead store import`: blocking, for people and scripts.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace rs::store::etcd {

// arguments after `store`. Nothing: it is none of these commands; else it was run, and this is its exit status.
std::optional<int> run_command(const std::vector<std::string>& arguments);

}  // namespace rs::store::etcd
