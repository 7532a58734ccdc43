// Volumes: what files they hold (pure), and putting them on disk.
//
// configMap, secret, downwardAPI and projected volumes change all at once, as Kubernetes' AtomicWriter does: the files
// are in ..TIMESTAMP/, ..data links to it, and the names a container sees link through ..data.
// Errors are in the kubelet's words, for FailedMount events.
#pragma once

#include <map>

#include "node/environment.h"
#include "node/runtime/runtime.h"

namespace rs::node {

struct VolumeFile {
  std::string content;
  int mode = 0644;
  friend bool operator==(const VolumeFile&, const VolumeFile&) = default;
};
using VolumeFiles = std::map<std::string, VolumeFile>;   // relative path -> file

struct TokenRequest {
  std::string audience;
  int64_t expiration_seconds = 3600;
  friend auto operator<=>(const TokenRequest&, const TokenRequest&) = default;
};
// The tokens that a pod's projected volumes want.
std::vector<TokenRequest> tokens_of(const Json& pod);

struct VolumeInput {
  const Json& pod;
  PodFacts facts;
  Lookup config_map, secret;
  std::function<std::string(const TokenRequest& request)> token;   // one that was fetched before
};

bool has_files(const Json& volume);   // configMap, secret, downwardAPI or projected
Result<VolumeFiles> volume_files(const Json& volume, const VolumeInput& input);
// At once; files that are there already unchanged are left alone. group >= 0: the files' group (fsGroup).
Result<void> publish_files(const std::string& directory, const VolumeFiles& files, int64_t group);

// Makes every volume of the pod below directory (pods/UID/volumes). root: tmpfs may be mounted.
Result<void> make_volumes(const std::string& directory, const VolumeInput& input, bool root);
// The mounts of one container, in order. sub paths are made where they are missing.
Result<std::vector<Mount>> container_mounts(const Json& pod, const Json& container, const std::string& directory,
                                            const Variables& environment);

}  // namespace rs::node
