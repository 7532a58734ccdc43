// From a pod's container to what the runtime is asked to start. Pure but for nothing: no files are touched.
#pragma once

#include "node/environment.h"
#include "node/runtime/runtime.h"

namespace rs::node {

// Docker's default set less MKNOD: what a root process in a container may keep.
inline constexpr uint64_t kDefaultCapabilities = 0xa00425fb;

struct SpecInput {
  const Json& pod;
  const Json& container;
  const Variables& environment;      // as build_environment gave it
  std::string hostname;
  int64_t machine_memory = 0;
};
// Everything but mounts, attempt and streak. kInvalid: no command, or runAsNonRoot would run as root.
Result<ContainerSpec> make_container_spec(const SpecInput& input);

// nothing: `image: host` in any tag, which this runtime has; else why not.
std::optional<std::string> image_problem(std::string_view image);
std::string hostname_of(const Json& pod);

struct DnsSettings {
  std::string cluster_dns, cluster_domain;
  std::string machine_resolv_conf;
};
std::string resolv_conf(const Json& pod, const DnsSettings& settings);
std::string hosts_file(const Json& pod, std::string_view pod_ip, std::string_view cluster_domain);

}  // namespace rs::node
