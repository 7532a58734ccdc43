// Reads the parts of Services, EndpointSlices and Pods that routing needs.
//
// Missing, null and empty mean the same everywhere; unknown fields are ignored. A field of a wrong type, or beyond a
// limit, makes the object undecodable: kInvalid with the field's path, never an exception (reference mesh.md B.5.1).
#pragma once

#include <optional>

#include "base/json.h"
#include "mesh/discovery/model.h"

namespace rs::mesh {

struct DecodeLimits {
  static constexpr size_t kPorts = 250;       // per object
  static constexpr size_t kEndpoints = 5000;  // per slice; Kubernetes allows 1000
  static constexpr size_t kAddresses = 100;   // per endpoint; Kubernetes' own limit
};

struct ServiceRecord {
  bool headless = false;
  bool publish_not_ready = false;
  std::string external_name;
  std::vector<std::string> cluster_ips;
  std::vector<PortView> ports;                // endpoints not filled in
  int64_t revision = 0;
};

struct SlicePort {
  std::string name, protocol = "TCP", app_protocol;
  std::optional<uint16_t> port;               // nothing: all ports
};
struct SliceRecord {
  std::string service;                        // label kubernetes.io/service-name; empty: belongs to none
  std::vector<SlicePort> ports;
  std::vector<Endpoint> endpoints;            // port 0
  int64_t revision = 0;
};

Result<ServiceRecord> decode_service(const Json& object);
Result<SliceRecord> decode_slice(const Json& object);
// The addresses by which a pod's traffic is recognised; none for pods on the host's network.
std::vector<std::string> pod_addresses(const Json& object);

// The canonical text of an IP literal, or empty.
std::string canonical_ip(std::string_view text);

}  // namespace rs::mesh
