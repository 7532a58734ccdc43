// SimKubelet: a node whose pods run by themselves: started after a moment, ready, ended when they are deleted or (label
// "ends" is Succeeded or Failed) on their own. Renews its lease until silenced.
#pragma once

#include "client/informer.h"
#include "client/work_queue.h"
#include "sim_cluster.h"

namespace rs::sim {

class SimKubelet {
 public:
  SimKubelet(SimCluster& cluster, std::string name, std::string zone = "a");
  void start();
  async::awaitable<void> stop();
  bool silent = false;                       // neither heartbeats nor work
  Duration start_delay = std::chrono::milliseconds(50), stop_delay = std::chrono::milliseconds(100);

 private:
  async::awaitable<void> heartbeat();
  async::awaitable<Result<client::Next>> reconcile(api::ObjectKey key);
  async::Loop& loop_;
  client::Client& client_;
  std::string name_, zone_;
  client::Informer pods_;
  client::WorkQueue queue_;
  std::map<std::string, MonoTime> seen_;     // pod uid and what happens to it -> since
  int addresses_ = 0;
  async::TaskGroup tasks_;
};

}  // namespace rs::sim
