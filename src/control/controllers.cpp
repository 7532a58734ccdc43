#include "control/controllers.h"

#include "async/task_group.h"
#include "base/log.h"
#include "control/controllers/deployment.h"
#include "control/controllers/disruption.h"
#include "control/controllers/endpoints.h"
#include "control/controllers/garbage_collector.h"
#include "control/controllers/job.h"
#include "control/controllers/namespaces.h"
#include "control/controllers/node_lifecycle.h"
#include "control/controllers/pod_gc.h"
#include "control/controllers/replicaset.h"
#include "control/controllers/service_accounts.h"
#include "control/leader.h"

namespace rs::control {

struct Controllers::Impl {
  Impl(client::Client& c, client::Informers& i, ControllerOptions o)
      : client(c), informers(i), options(std::move(o)), events(c, "controllers"), tasks(c.loop()) {
    Context context{client, informers, events};
    all.push_back(service_account_controller(context, options.root_ca));
    all.push_back(namespace_controller(context));
    all.push_back(garbage_collector(context));
    all.push_back(disruption_controller(context));
    all.push_back(node_lifecycle_controller(context, {options.node_grace_period, options.node_monitor_period}));
    all.push_back(pod_garbage_collector(context, options.terminated_pods_max));
    all.push_back(deployment_controller(context));
    all.push_back(replica_set_controller(context));
    all.push_back(job_controller(context));
    all.push_back(endpoints_controller(context));
    all.push_back(endpoint_slice_controller(context));
    all.push_back(endpoint_slice_mirroring_controller(context));
    if (options.leader_elect)
      elector.emplace(client, LeaderOptions{{"kube-system", "kube-controller-manager"}, options.identity},
                      [this] { start_all(); }, [] {
                        // As upstream: what is under way cannot be called back safely, so the process ends and its
                        // supervisor starts it again as a follower.
                        log::error("control", "leadership lost");
                      });
  }

  awaitable<void> run() {
    while (!(co_await informers.wait_synced(std::chrono::seconds(30))))
      log::warning("control", "still waiting for the first lists");
    if (elector) elector->start();
    else start_all();
  }
  void start_all() {
    if (std::exchange(working, true)) return;
    for (auto& controller : all) controller->start();
  }

  client::Client& client;
  client::Informers& informers;
  ControllerOptions options;
  client::EventRecorder events;
  std::vector<std::unique_ptr<Controller>> all;
  bool working = false;
  std::optional<LeaderElector> elector;
  async::TaskGroup tasks;
};

Controllers::Controllers(client::Client& client, client::Informers& informers, ControllerOptions options)
    : impl_(std::make_unique<Impl>(client, informers, std::move(options))) {}
Controllers::~Controllers() = default;

void Controllers::start() {
  impl_->events.start();
  impl_->tasks.spawn("controllers", impl_->run());
}

async::awaitable<void> Controllers::stop() {
  co_await impl_->tasks.stop();
  if (impl_->elector) co_await impl_->elector->stop();
  for (auto& controller : impl_->all) co_await controller->stop();
  co_await impl_->events.stop();
}

}  // namespace rs::control
