// PodNetwork: addresses for pods, by the CNI plugins bridge and host-local, and the routes that keep private ranges on
// this machine.
//
// The bridge does not masquerade and pods have no default route: nothing of them leaves the machine. open() first adds
// unreachable routes for the pod and service ranges, so that a packet for an address that nobody has dies here.
// Source: CNI specification 0.4.0.
#pragma once

#include <string>
#include <vector>

#include "node/runtime/spawn.h"

namespace rs::node {

struct PodNetworkOptions {
  std::string data_dir;
  std::string node_ip;
  std::string pod_cidr = "10.42.0.0/16";       // of the cluster
  std::string service_cidr = "10.43.0.0/16";
  std::string plugin_dir = "/usr/lib/cni";
};

class PodNetwork {
 public:
  PodNetwork(async::Loop& loop, PodNetworkOptions options);
  // Routes, and a /24 of pod_cidr that nothing else on this machine uses (kept in DATA_DIR/network.json). kUnavailable
  // when pods cannot have addresses here (not root, no plugins): they then use the machine's network.
  Result<void> open();
  const std::string& node_cidr() const { return node_cidr_; }
  const std::string& bridge() const { return bridge_; }
  std::string gateway() const;                  // the node's address on the bridge
  awaitable<Result<std::string>> add(std::string uid, std::string ns, std::string name, std::string net_ns);
  awaitable<void> remove(std::string uid, std::string net_ns);   // net_ns may be empty: the namespace is gone

 private:
  std::string configuration() const;
  awaitable<Result<Outcome>> plugin(std::string command, std::string uid, std::string ns, std::string name, std::string net_ns);
  async::Loop& loop_;
  PodNetworkOptions options_;
  std::string node_cidr_, bridge_;
};

// Adds "unreachable" routes (metric 4278198272, so that any real route wins); one that is there already is fine.
Result<void> add_unreachable_route(const std::string& cidr);
struct Ipv4Network {
  uint32_t address = 0;
  int prefix = 0;
  bool overlaps(const Ipv4Network& other) const;
};
Result<Ipv4Network> parse_cidr(std::string_view text);
std::string to_string(const Ipv4Network& network);
// Pure: the first /24 of range that overlaps none of used.
Result<Ipv4Network> choose_subnet(const Ipv4Network& range, const std::vector<Ipv4Network>& used);

}  // namespace rs::node
