// DnsServer: cluster DNS over UDP and TCP (RFC 1035, RFC 7766), from the informers' copies of Services, EndpointSlices
// and Pods. Names outside the cluster do not exist unless upstreams are given: nothing leaves the machine by default.
// One loop; owned by main.
#pragma once

#include "async/task_group.h"
#include "base/metrics.h"
#include "client/informer.h"
#include "dns/zone.h"
#include "net/stream.h"

namespace rs::dns {

struct DnsOptions {
  std::vector<net::Address> listen{{"127.0.0.1", 0}};   // UDP and TCP on each; port 0: any free one, the same for both
  std::vector<net::Address> upstreams;                  // resolvers for other names, in order
  ZoneOptions zone;
  size_t connections = 1000;
  Duration idle_timeout = std::chrono::seconds(10);
  Duration upstream_timeout = std::chrono::seconds(2);
};

class DnsServer {
 public:
  DnsServer(async::Loop& loop, client::Informers& informers, DnsOptions options, metrics::Registry& registry);
  ~DnsServer();
  Result<void> start();                                 // kAlreadyExists: a port is taken
  async::awaitable<void> stop();
  std::vector<net::Address> addresses() const;          // as bound, in the order of options

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace rs::dns
