// A container's variables and command line, from its spec and the objects it refers to. Pure.
// Source: core/v1 EnvVar; pkg/kubelet makeEnvironmentVariables, envvars.FromServices, third_party expansion.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"

namespace rs::node {

using Variable = std::pair<std::string, std::string>;
using Variables = std::vector<Variable>;      // in order; a later one of the same name wins
// The object of that name in the pod's namespace; null when there is none.
using Lookup = std::function<const Json*(std::string_view name)>;

struct PodFacts {
  std::string pod_ip, host_ip, node_name;
  int64_t cpu_milli = 0, memory_bytes = 0;    // allocatable, for limits that are not set
};

struct EnvironmentInput {
  const Json& pod;
  const Json& container;
  PodFacts facts;
  Lookup config_map, secret;
  Variables services;
};

// kFailedPrecondition in the kubelet's words (`configmap "x" not found`, `couldn't find key k in ConfigMap n/x`).
Result<Variables> build_environment(const EnvironmentInput& input);

// $(NAME) by the value of NAME; $$ is $; unknown names stay as they are.
std::string expand(std::string_view text, const Variables& variables);
std::vector<std::string> expand_all(const JsonArray& texts, const Variables& variables);

// NAME_SERVICE_HOST, NAME_SERVICE_PORT, NAME_PORT… of the services of a namespace, and those of the API server.
Variables service_environment(const std::vector<const Json*>& services);

// fieldRef: metadata.name, metadata.labels['x'], spec.nodeName, status.podIP …; kInvalid for others.
Result<std::string> field_value(const Json& pod, const PodFacts& facts, std::string_view path);
// resourceFieldRef: limits.cpu and the like, by divisor.
Result<std::string> resource_value(const Json& pod, const Json* container, const PodFacts& facts, const Json& reference);

// What a pod refers to, to be fetched before it starts.
struct References {
  std::vector<std::string> config_maps, secrets;   // sorted, unique
};
References references_of(const Json& pod);

// RFC 4648; empty for what is not base64 (a damaged secret spoils only itself).
std::string decode_base64(std::string_view text);

}  // namespace rs::node
