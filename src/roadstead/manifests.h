// `--apply FILE|DIR`: manifests applied at start, as `kubectl apply --server-side --force-conflicts` would.
#pragma once

#include <filesystem>

#include "client/client.h"

namespace rs::roadstead {

// All objects of a YAML or JSON file, or of the *.yaml, *.yml and *.json files of a folder in the order of their names.
// Lists (kind: List) are taken apart.
Result<std::vector<Json>> read_manifests(const std::filesystem::path& path);

// Applies them in order, namespaces first; each failure names its object. The number applied.
async::awaitable<Result<size_t>> apply_manifests(client::Client& client, std::vector<Json> objects);

}  // namespace rs::roadstead
