// Scheduler: binds pods to nodes (k8s pkg/scheduler, without preemption). One loop.
//
// A decision is made on a view that includes every pod decided before (the assume cache), so no pod is ever bound twice
// and no room is given away twice. What fits nowhere gets condition PodScheduled=False and a FailedScheduling event, and
// is tried again as soon as nodes or pods change.
#pragma once

#include <memory>

#include "client/informer.h"

namespace rs::control {

struct SchedulerOptions {
  std::string name = "default-scheduler";   // pods with this spec.schedulerName
  bool leader_elect = false;                // several servers: only the holder of the lease schedules
  std::string identity;                     // of this process, for leader election
};

class Scheduler {
 public:
  // Before informers.start(). client and informers outlive it.
  Scheduler(client::Client& client, client::Informers& informers, SchedulerOptions options = {});
  ~Scheduler();
  void start();                          // works once the informers have synced
  async::awaitable<void> stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rs::control
