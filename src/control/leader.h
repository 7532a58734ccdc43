// Leader election on a Lease (client-go tools/leaderelection): at most one of several processes leads at a time, as long
// as clocks run at about the same speed. One loop.
#pragma once

#include <functional>

#include "async/task_group.h"
#include "client/client.h"

namespace rs::control {

struct LeaderOptions {
  api::ObjectKey lease;       // e.g. kube-system/kube-scheduler
  std::string identity;
  Duration lease_duration = std::chrono::seconds(15);
  Duration renew_deadline = std::chrono::seconds(10);
  Duration retry_period = std::chrono::seconds(2);
};

// What an observer of the lease may do now. observed: when this record was first seen here (local time, so that clocks
// of other machines do not matter). Pure.
bool may_take_lease(const Json& lease, std::string_view identity, MonoTime observed, MonoTime now);

class LeaderElector {
 public:
  // started: leads from now on. lost: leads no longer; must stop at once what only a leader may do.
  LeaderElector(client::Client& client, LeaderOptions options, std::function<void()> started, std::function<void()> lost);
  void start() { tasks_.spawn("leader election", run()); }
  async::awaitable<void> stop();   // gives the lease up, so that another need not wait
  bool leads() const { return leads_; }

 private:
  async::awaitable<void> run();
  async::awaitable<bool> try_to_lead();
  async::awaitable<Result<void>> release();
  client::Client& client_;
  LeaderOptions options_;
  std::function<void()> started_, lost_;
  bool leads_ = false;
  std::string seen_record_;       // holder and renew time
  MonoTime seen_{}, renewed_{};
  async::TaskGroup tasks_;
};

}  // namespace rs::control
