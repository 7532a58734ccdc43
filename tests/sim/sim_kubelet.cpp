#include "sim_kubelet.h"

namespace rs::sim {

using async::awaitable;
using client::Next;
using client::resources::kLeases;
using client::resources::kNodes;
using client::resources::kPods;

SimKubelet::SimKubelet(SimCluster& cluster, std::string name, std::string zone)
    : loop_(cluster.loop()),
      client_(cluster.client("kubelet-" + name)),
      name_(std::move(name)),
      zone_(std::move(zone)),
      pods_(client_, kPods, {.field_selector = "spec.nodeName=" + name_}),
      queue_(loop_, "kubelet", [this](api::ObjectKey key) { return reconcile(std::move(key)); }),
      tasks_(loop_) {
  pods_.on_change([this](const api::ObjectKey& key, const client::ObjectPtr&, const client::ObjectPtr&) { queue_.add(key); });
}

void SimKubelet::start() {
  pods_.start();
  queue_.start(4);
  tasks_.spawn("heartbeat", heartbeat());
}

awaitable<void> SimKubelet::stop() {
  co_await tasks_.stop();
  co_await queue_.stop();
  co_await pods_.stop();
}

awaitable<void> SimKubelet::heartbeat() {
  Json node = JsonObject{{"apiVersion", "v1"}, {"kind", "Node"}};
  set(node, Json(name_), "metadata", "name");
  set(node, JsonObject{{"kubernetes.io/hostname", name_}, {"topology.kubernetes.io/zone", zone_}}, "metadata", "labels");
  (void)co_await client_.create(kNodes, node);
  Json lease = JsonObject{{"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"}};
  set(lease, Json(name_), "metadata", "name");
  set(lease, Json("kube-node-lease"), "metadata", "namespace");
  (void)co_await client_.create(kLeases, lease);
  for (;;) {
    if (!silent) {
      std::string now = rfc3339(loop_.wall());
      auto known = co_await client_.get(kNodes, {"", name_});
      if (known) {
        api::set_condition(*known, "Ready", "True", "KubeletReady", "", loop_.wall());
        JsonObject size{{"cpu", "4"}, {"memory", "8Gi"}, {"pods", "50"}};
        set(*known, size, "status", "capacity");
        set(*known, size, "status", "allocatable");
        auto written = co_await client_.update(kNodes, std::move(*known), "status");
        if (!written) continue;  // somebody tainted it meanwhile
      }
      Json patch = JsonObject();
      set(patch, Json(name_), "spec", "holderIdentity");
      set(patch, Json(rfc3339_micro(loop_.wall())), "spec", "renewTime");
      (void)co_await client_.patch(kLeases, {"kube-node-lease", name_}, client::PatchType::kMerge, std::move(patch));
    }
    co_await loop_.sleep(std::chrono::seconds(10));
  }
}

awaitable<Result<Next>> SimKubelet::reconcile(api::ObjectKey key) {
  if (silent) co_return Next::done();
  auto pod = pods_.get(key);
  if (pod == nullptr) co_return Next::done();
  auto pending = [this](const std::string& what, Duration delay) {
    MonoTime since = seen_.try_emplace(what, loop_.now()).first->second;
    return std::max(Duration(0), since + delay - loop_.now());
  };
  std::string uid(api::uid_of(*pod));
  std::string_view phase = str(*pod, "status", "phase");
  if (api::is_deleting(*pod)) {
    if (Duration left = pending(uid + " stops", stop_delay); left > Duration(0)) co_return Next::after(left);
    client::DeleteOptions now;
    now.grace_period_seconds = 0;
    (void)co_await client_.remove(kPods, key, std::move(now));
    co_return Next::done();
  }
  Json updated = *pod;
  std::string_view ends = api::label(*pod, "ends");
  if (phase == "Pending" || phase.empty()) {
    if (Duration left = pending(uid + " starts", start_delay); left > Duration(0)) co_return Next::after(left);
    set(updated, Json("Running"), "status", "phase");
    set(updated, Json(fmt::format("10.1.{}.{}", name_.back() - '0', ++addresses_ % 250 + 1)), "status", "podIP");
    set(updated, JsonArray{JsonObject{{"ip", str(updated, "status", "podIP")}}}, "status", "podIPs");
    set(updated, Json(rfc3339(loop_.wall())), "status", "startTime");
    api::set_condition(updated, "Ready", "True", "", "", loop_.wall());
  } else if (phase == "Running" && !ends.empty()) {
    if (Duration left = pending(uid + " ends", start_delay); left > Duration(0)) co_return Next::after(left);
    set(updated, Json(ends), "status", "phase");
    api::set_condition(updated, "Ready", "False", "PodCompleted", "", loop_.wall());
  } else {
    co_return Next::done();
  }
  auto written = co_await client_.update(kPods, std::move(updated), "status");
  if (!written && written.error().code != Code::kNotFound) co_return fail(written.error());
  co_return Next::done();
}

}  // namespace rs::sim
