// What this machine is, as its Node object says it (core/v1 NodeStatus).
#pragma once

#include <string>

#include "base/clock.h"
#include "base/json.h"

namespace rs::node {

struct Machine {
  int64_t cpus = 1, memory_bytes = 0, disk_bytes = 0;
  std::string hostname, kernel, os_image, architecture, machine_id, system_uuid, boot_id;
};
Machine inspect_machine(const std::string& data_dir);
// The first IPv4 address that is no loopback address; 127.0.0.1 where there is none.
std::string first_address();

struct NodeFacts {
  Machine machine;
  std::string node_name, zone, address, pod_cidr, runtime_version;
  int64_t pods_max = 110;
};
// A new Node: labels, podCIDR, status.
Json node_object(const NodeFacts& facts, WallTime now);
// Brings the status of an existing node up to date, keeping what others have written. Pure.
void refresh_node(Json& node, const NodeFacts& facts, WallTime now);

}  // namespace rs::node
