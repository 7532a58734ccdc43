// The kubeconfig that `up` writes, and merging it into a user's own.
#pragma once

#include "base/json.h"
#include "roadstead/pki.h"

namespace rs::roadstead {

// Cluster, user and context are all called "roadstead"; certificates are inside.
Json kubeconfig(std::string_view server_url, const Pki& pki);

// Puts the entries called "roadstead" of config into the kubeconfig at file (made when missing) and makes them current;
// everything else in it stays.
Result<void> merge_kubeconfig(const std::filesystem::path& file, const Json& config);

}  // namespace rs::roadstead
