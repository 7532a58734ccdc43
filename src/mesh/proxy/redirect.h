// Redirect: sends connections for cluster IPs to the node's proxy (and questions for the DNS address to its DNS server),
// by an nftables table of our own. Needs root.
//
//   pods            arrive from the bridge: prerouting
//   host programs   output; a route over "lo" lets them try at all (metric 1000: before the unreachable route that keeps
//                   the range on this machine, after any route of the operator's)
// Whether the rules are there or not, packets for the range never leave: without rules they end at "lo" or at the
// unreachable route. One table a name, replaced as a whole; removing what is not there is fine.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace rs::mesh {

struct RedirectOptions {
  std::string table = "roadstead";
  std::string service_cidr = "10.43.0.0/16";
  uint16_t proxy_port = 0;              // the transparent listener's
  std::string dns_ip = "10.43.0.10";    // empty: DNS is not redirected
  uint16_t dns_port = 0;                // 0: not redirected
  std::string pod_interface;            // e.g. the bridge; empty: any but what is the host's own
  bool host_programs = true;
};

// The script for `nft -f -`. Pure. kInvalid: a name or range that is none.
Result<std::string> redirect_script(const RedirectOptions& options);

Result<void> install_redirect(const RedirectOptions& options);
Result<void> remove_redirect(const RedirectOptions& options);

}  // namespace rs::mesh
