// Controllers: all of them, over one client and one set of informers (kube-controller-manager). One loop.
#pragma once

#include <memory>

#include "client/informer.h"

namespace rs::control {

struct ControllerOptions {
  std::string root_ca;                                          // PEM: published as kube-root-ca.crt in every namespace
  Duration node_grace_period = std::chrono::seconds(40);        // a node whose lease is older is unreachable
  Duration node_monitor_period = std::chrono::seconds(5);
  int64_t terminated_pods_max = 12500;                          // finished pods beyond it are removed, oldest first
  bool leader_elect = false;                                    // several servers: only the holder of the lease works
  std::string identity;                                         // of this process, for leader election
};

class Controllers {
 public:
  // Before informers.start(): handlers are registered here. client and informers outlive it.
  Controllers(client::Client& client, client::Informers& informers, ControllerOptions options = {});
  ~Controllers();
  void start();                          // they work once the informers have synced
  async::awaitable<void> stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rs::control
