// SimNetwork: hosts and connections in memory, with delays, partitions and broken connections drawn from the loop's
// random numbers. Tests only; one loop.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "net/stream.h"
#include "sim/sim_loop.h"

namespace rs::sim {

struct LinkOptions {
  Duration delay_min = std::chrono::microseconds(100);
  Duration delay_max = std::chrono::microseconds(500);
  double break_probability = 0;      // of each write: the connection is reset
};

class SimNetwork {
 public:
  explicit SimNetwork(SimLoop& loop, LinkOptions options = {});
  ~SimNetwork();
  // The network as one host sees it; lives as long as this.
  net::Network& host(const std::string& name);
  // Drops what is sent between the two, both ways, until heal(): nothing arrives, nothing is refused.
  void partition(const std::string& a, const std::string& b);
  void heal();
  uint64_t bytes_carried() const { return bytes_carried_; }

  struct Pipe;

 private:
  class Host;
  class Endpoint;
  class Port;
  bool connected(const std::string& a, const std::string& b) const;
  Duration delay();
  SimLoop& loop_;
  LinkOptions options_;
  std::map<std::string, std::unique_ptr<Host>> hosts_;
  std::map<net::Address, Port*> ports_;
  std::set<std::pair<std::string, std::string>> partitions_;
  uint16_t next_port_ = 40000;
  uint64_t bytes_carried_ = 0;
};

}  // namespace rs::sim
