#include "control/scheduler.h"

#include "async/event.h"
#include "async/task_group.h"
#include "base/log.h"
#include "client/events.h"
#include "control/leader.h"
#include "control/scheduler/decide.h"
#include "control/scheduler/queue.h"

namespace rs::control {

template <class T>
using awaitable = async::awaitable<T>;
using client::resources::kNamespaces;
using client::resources::kNodes;
using client::resources::kPods;

struct Scheduler::Impl {
  Impl(client::Client& c, client::Informers& i, SchedulerOptions o)
      : client(c), informers(i), options(std::move(o)), events(c, options.name), wake(c.loop()), tasks(c.loop()) {
    informers.of(kNodes).on_change([this](const api::ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
      node_changed(key, before, now);
    });
    informers.of(kPods).on_change([this](const api::ObjectKey& key, const ObjectPtr&, const ObjectPtr& now) { pod_changed(key, now); });
    informers.of(kNamespaces).on_change([this](const api::ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
      namespace_changed(key, before, now);
    });
    if (options.leader_elect)
      elector.emplace(client, LeaderOptions{{"kube-system", "kube-scheduler"}, options.identity}, [this] { wake.notify(); }, [] {});
  }

  // The view.
  void node_changed(const api::ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
    if (now == nullptr) return cluster.remove_node(key.name);
    cluster.set_node(now);
    // Heartbeats change conditions only: no pod fits because of them.
    auto same = [&](auto... path) {
      const Json *a = find(*before, path...), *b = find(*now, path...);
      return a == nullptr || b == nullptr ? a == b : *a == *b;
    };
    if (before != nullptr && same("spec") && same("metadata", "labels") && same("status", "allocatable")) return;
    changed();
  }

  void namespace_changed(const api::ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
    if (now == nullptr) return cluster.remove_namespace(key.name);
    const JsonObject& labels = object(*now, "metadata", "labels");
    if (before != nullptr && object(*before, "metadata", "labels") == labels) return;
    cluster.set_namespace(key.name, labels);
    changed();
  }

  void pod_changed(const api::ObjectKey& key, const ObjectPtr& now) {
    auto decided = assumed.find(key);
    bool replaced = decided != assumed.end() && (now == nullptr || decided->second != api::uid_of(*now));
    std::string_view node = now == nullptr ? std::string_view() : str(*now, "spec", "nodeName");
    if (now == nullptr || replaced || is_finished(*now)) {
      assumed.erase(key);
      queue.remove(key);
      queue.forget(key);
      bool freed = cluster.node_of(key) != nullptr;
      cluster.remove_pod(key);
      if (freed) changed();
      if (now == nullptr || is_finished(*now)) return;
    }
    if (!node.empty()) {
      assumed.erase(key);
      queue.remove(key);
      queue.forget(key);
      bool is_new = cluster.node_of(key) == nullptr;
      cluster.place(read_pod(now), std::string(node));
      if (is_new) changed();  // others may want to be near it
      return;
    }
    if (assumed.contains(key)) return;                       // bound already, the server has not shown it yet
    std::string_view wanted_scheduler = str(*now, "spec", "schedulerName");
    if (api::is_deleting(*now) || (!wanted_scheduler.empty() && wanted_scheduler != options.name)) return queue.remove(key);
    if (!array(*now, "spec", "schedulingGates").empty()) {
      queue.remove(key);
      tasks.spawn("gated pod", say_unscheduled(now, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates"));
      return;
    }
    queue.put(read_pod(now), client.loop().now());
    wake.notify();
  }

  void changed() {
    queue.cluster_changed(client.loop().now());
    wake.notify();
  }

  // The loop.
  bool may_work() const { return synced && (!elector || elector->leads()); }

  awaitable<void> run() {
    while (!(co_await informers.wait_synced(std::chrono::seconds(30))))
      log::warning("scheduler", "still waiting for the first lists");
    synced = true;
    for (;;) {
      MonoTime now = client.loop().now();
      PodInfoPtr pod = may_work() && binding < kBindingsMax ? queue.pop(now) : nullptr;
      if (pod != nullptr) {
        schedule(std::move(pod));
        continue;
      }
      auto next = may_work() && binding < kBindingsMax ? queue.next() : std::nullopt;
      if (next.has_value())
        co_await async::sleep_or_event(client.loop(), std::max(*next - now, Duration(0)), wake);
      else
        co_await wake.wait();
    }
  }

  // Without a wait between reading the view and assuming the outcome.
  void schedule(PodInfoPtr pod) {
    Decision decision = decide(*pod, cluster, client.loop().random());
    if (decision.node.empty()) {
      events.record(*pod->object, "Warning", "FailedScheduling", decision.message);
      tasks.spawn("unschedulable pod", say_unscheduled(pod->object, "Unschedulable", decision.message));
      queue.failed(std::move(pod), client.loop().now());
      return;
    }
    assumed[pod->key] = pod->uid;
    cluster.place(pod, decision.node);
    ++binding;
    tasks.spawn("bind", bind(std::move(pod), std::move(decision.node)));
  }

  awaitable<void> bind(PodInfoPtr pod, std::string node) {
    Json body = JsonObject{
        {"apiVersion", "v1"},
        {"kind", "Binding"},
        {"metadata", JsonObject{{"name", pod->key.name}, {"namespace", pod->key.ns}, {"uid", pod->uid}}},
        {"target", JsonObject{{"kind", "Node"}, {"name", node}}},
    };
    auto bound = co_await client.post(kPods, pod->key, "binding", std::move(body));
    --binding;
    wake.notify();
    if (bound) {
      queue.forget(pod->key);
      events.record(*pod->object, "Normal", "Scheduled",
                    fmt::format("Successfully assigned {} to {}", api::to_string(pod->key), node));
      co_return;
    }
    log::debug("scheduler", "binding failed", {{"pod", api::to_string(pod->key)}, {"error", bound.error().message}});
    auto decided = assumed.find(pod->key);
    if (decided == assumed.end() || decided->second != pod->uid) co_return;  // the informer knows better already
    assumed.erase(decided);
    cluster.remove_pod(pod->key);
    changed();
    // Bound by somebody else or gone: the informer will say. Anything else is tried again.
    ObjectPtr current = informers.of(kPods).get(pod->key);
    if (bound.error().code != Code::kNotFound && current != nullptr && api::uid_of(*current) == pod->uid &&
        str(*current, "spec", "nodeName").empty() && !api::is_deleting(*current))
      queue.try_again(read_pod(current), client.loop().now());
  }

  awaitable<void> say_unscheduled(ObjectPtr pod, std::string reason, std::string message) {
    const Json* now = api::condition(*pod, "PodScheduled");
    if (now != nullptr && str(*now, "status") == "False" && str(*now, "reason") == reason && str(*now, "message") == message)
      co_return;
    std::string since = rfc3339(client.loop().wall());
    if (now != nullptr && str(*now, "status") == "False" && !str(*now, "lastTransitionTime").empty())
      since = str(*now, "lastTransitionTime");
    Json patch = JsonObject();
    set(patch, Json(api::uid_of(*pod)), "metadata", "uid");
    set(patch, JsonArray{JsonObject{{"type", "PodScheduled"}, {"status", "False"}, {"reason", reason}, {"message", message},
                                    {"lastTransitionTime", since}, {"lastProbeTime", nullptr}}}, "status", "conditions");
    auto patched = co_await client.patch(kPods, api::key_of(*pod), client::PatchType::kStrategic, std::move(patch), "status");
    if (!patched && patched.error().code != Code::kNotFound)
      log::debug("scheduler", "condition not written", {{"error", patched.error().message}});
  }

  static constexpr size_t kBindingsMax = 64;  // requests under way
  client::Client& client;
  client::Informers& informers;
  SchedulerOptions options;
  client::EventRecorder events;
  Cluster cluster;
  SchedulingQueue queue;
  std::map<api::ObjectKey, std::string> assumed;  // decided here, not seen in the informer yet -> uid
  size_t binding = 0;
  bool synced = false;
  std::optional<LeaderElector> elector;
  async::Event wake;
  async::TaskGroup tasks;
};

Scheduler::Scheduler(client::Client& client, client::Informers& informers, SchedulerOptions options)
    : impl_(std::make_unique<Impl>(client, informers, std::move(options))) {}
Scheduler::~Scheduler() = default;

void Scheduler::start() {
  impl_->events.start();
  if (impl_->elector) impl_->elector->start();
  impl_->tasks.spawn("scheduler", impl_->run());
}

async::awaitable<void> Scheduler::stop() {
  co_await impl_->tasks.stop();
  if (impl_->elector) co_await impl_->elector->stop();
  co_await impl_->events.stop();
}

}  // namespace rs::control
