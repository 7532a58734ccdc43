// What etcd takes for URLs of peers and for target versions (client/pkg/types/urls.go, go-semver).
// Pure.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

namespace rs::store::etcd {

// "http(s)://host:port" with nothing after it, or "unix(s)://…".
bool is_peer_url(std::string_view text);

// Major and minor of "3.5" or "3.5.4" (also "3.5.4-rc.1+meta"); nothing for any other text.
std::optional<std::pair<int, int>> parse_cluster_version(std::string_view text);

}  // namespace rs::store::etcd
