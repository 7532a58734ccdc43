#include "control/controllers/node_lifecycle.h"

#include "base/log.h"
#include "control/controllers/node_plan.h"

namespace rs::control {
namespace {

using client::resources::kLeases;
using client::resources::kNodes;
using client::resources::kPods;

constexpr std::string_view kLeaseNamespace = "kube-node-lease";

class NodeLifecycle final : public Controller {
 public:
  NodeLifecycle(Context context, NodeLifecycleOptions options)
      : Controller(context, "nodelifecycle"),
        options_(options),
        nodes_(informer(kNodes)),
        leases_(informer(kLeases)),
        pods_(informer(kPods)) {
    pods_.add_index("node", [](const Json& pod) {
      std::vector<std::string> out;
      if (auto node = str(pod, "spec", "nodeName"); !node.empty()) out.emplace_back(node);
      return out;
    });
    nodes_.on_change([this](const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) { node_changed(key, before, now); });
    leases_.on_change([this](const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
      if (key.ns != kLeaseNamespace || now == nullptr) return;
      if (before == nullptr || str(*before, "spec", "renewTime") != str(*now, "spec", "renewTime")) heard(key.name);
    });
    pods_.on_change([this](const ObjectKey&, const ObjectPtr& before, const ObjectPtr& now) {
      if (now == nullptr) return;
      std::string_view node = str(*now, "spec", "nodeName");
      // Placed on a node that pods must leave, or ready on one that is not.
      bool matters = before == nullptr || str(*before, "spec", "nodeName") != node || (is_ready(*now) && !is_ready(*before));
      ObjectPtr where = node.empty() || !matters ? nullptr : nodes_.get("", node);
      if (where != nullptr && !api::condition_is_true(*where, "Ready")) queue_.add(api::key_of(*where));
    });
  }

 private:
  // Observe.
  void heard(const std::string& node) { heard_[node] = loop().now(); }

  void node_changed(const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
    if (now == nullptr) {
      heard_.erase(key.name);
      return;
    }
    const Json* ready = api::condition(*now, "Ready");
    const Json* ready_before = before == nullptr ? nullptr : api::condition(*before, "Ready");
    bool posted = ready != nullptr && str(*ready, "status") != "Unknown" &&
                  (ready_before == nullptr || str(*ready, "lastHeartbeatTime") != str(*ready_before, "lastHeartbeatTime") ||
                   str(*ready_before, "status") == "Unknown");
    if (before == nullptr || posted) heard(key.name);
    if (before == nullptr)
      context_.events.record(*now, "Normal", "RegisteredNode",
                             fmt::format("Node {} event: Registered Node {} in Controller", key.name, key.name));
    bool ready_changed = api::condition_is_true(*now, "Ready") != (ready_before != nullptr && str(*ready_before, "status") == "True");
    if (ready_changed)
      for (const auto& [other, node] : nodes_.objects()) queue_.add(other);  // the share of healthy nodes is another
    queue_.add(key);
  }

  // How long nothing was heard of the node; nothing when this process cannot tell.
  std::optional<Duration> silence(const std::string& node) {
    constexpr Duration kCurrent = std::chrono::seconds(5);
    MonoTime now = loop().now();
    if (leases_.freshness().age > kCurrent) {
      blind_until_ = now;
      return std::nullopt;
    }
    MonoTime since = std::max(heard_.try_emplace(node, now).first->second, blind_until_);
    return now - since;
  }

  awaitable<Result<Next>> reconcile(ObjectKey key) override {
    ObjectPtr node = nodes_.get(key);
    if (node == nullptr) co_return Next::done();
    std::vector<ObjectPtr> all;
    for (const auto& [name, object] : nodes_.objects()) all.push_back(object);

    Json updated = *node;
    auto silent_for = silence(key.name);
    bool silent = silent_for.has_value() && *silent_for > options_.grace_period;
    if (silent) updated = with_silence(*node, wall());
    if (updated != *node) {
      auto written = co_await client().update(kNodes, std::move(updated), "status");
      if (!written) co_return co_await gone_or(written.error());
      context_.events.record(*node, "Normal", "NodeNotReady", fmt::format("Node {} status is now: NodeNotReady", key.name));
      updated = std::move(*written);
    }
    bool ready = api::condition_is_true(updated, "Ready");
    bool waits_for_its_turn = false;
    bool may_evict = !ready && zones_that_evict(all).contains(zone_of_node(updated)) && takes_turn(updated, waits_for_its_turn);
    Json tainted = with_condition_taints(updated, may_evict, wall());
    if (tainted != updated) {
      auto written = co_await client().update(kNodes, std::move(tainted));
      if (!written) co_return co_await gone_or(written.error());
      updated = std::move(*written);
    }
    if (!ready) {
      auto marked = co_await mark_pods_not_ready(key.name);
      if (!marked) co_return fail(marked.error());
    }
    auto next_eviction = co_await evict(std::move(updated));
    if (!next_eviction) co_return fail(next_eviction.error());
    Duration next = silent ? options_.monitor_period
                           : std::max(options_.grace_period - silent_for.value_or(options_.grace_period), options_.monitor_period);
    if (waits_for_its_turn) next = std::min(next, kEvictionInterval);
    co_return Next::after(std::min(next, next_eviction->value_or(next)));
  }

  // At most one node of a zone begins to lose its pods in each interval (node-eviction-rate 0.1).
  bool takes_turn(const Json& node, bool& waits) {
    for (const Json& taint : array(node, "spec", "taints"))
      if (str(taint, "effect") == "NoExecute" && (str(taint, "key") == kNotReadyTaint || str(taint, "key") == kUnreachableTaint))
        return true;
    MonoTime& last = last_turn_.try_emplace(zone_of_node(node), loop().now() - kEvictionInterval).first->second;
    if (loop().now() - last < kEvictionInterval) {
      waits = true;
      return false;
    }
    last = loop().now();
    return true;
  }

  // Apply.
  awaitable<Result<Next>> gone_or(Error error) {
    if (error.code == Code::kNotFound) co_return Next::done();
    co_return fail(std::move(error));
  }

  // Nobody else will say it: endpoints must not lead to a node that is silent.
  awaitable<Result<void>> mark_pods_not_ready(std::string node) {
    for (const ObjectPtr& pod : pods_.by_index("node", node)) {
      if (!is_ready(*pod)) continue;
      Json patch = JsonObject();
      set(patch, Json(api::uid_of(*pod)), "metadata", "uid");
      set(patch, JsonArray{JsonObject{{"type", "Ready"}, {"status", "False"}, {"lastTransitionTime", rfc3339(wall())}}},
          "status", "conditions");
      auto patched = co_await client().patch(kPods, api::key_of(*pod), client::PatchType::kStrategic, std::move(patch), "status");
      if (!patched && patched.error().code != Code::kNotFound) co_return fail(patched.error());
      context_.events.record(*pod, "Warning", "NodeNotReady", "Node is not ready");
    }
    co_return Result<void>();
  }

  // Removes pods whose time on this node is over; answers when the next one's is.
  awaitable<Result<std::optional<Duration>>> evict(Json node) {
    std::optional<Duration> next;
    for (const ObjectPtr& pod : pods_.by_index("node", api::name_of(node))) {
      if (api::is_deleting(*pod)) continue;
      auto when = eviction_time(*pod, node, wall());
      if (!when.has_value()) continue;
      if (*when > wall()) {
        if (!next || *when - wall() < *next) next = *when - wall();
        continue;
      }
      ObjectKey key = api::key_of(*pod);
      context_.events.record(*pod, "Normal", "TaintManagerEviction", fmt::format("Marking for deletion Pod {}", api::to_string(key)));
      Json patch = JsonObject();
      set(patch, JsonArray{JsonObject{{"type", "DisruptionTarget"}, {"status", "True"}, {"reason", "DeletionByTaintManager"},
                                      {"message", "Taint manager: deleting due to NoExecute taint"},
                                      {"lastTransitionTime", rfc3339(wall())}}}, "status", "conditions");
      (void)co_await client().patch(kPods, key, client::PatchType::kStrategic, std::move(patch), "status");
      client::DeleteOptions options;
      options.precondition_uid = api::uid_of(*pod);
      auto removed = co_await client().remove(kPods, key, std::move(options));
      if (!removed && removed.error().code != Code::kNotFound) co_return fail(removed.error());
    }
    co_return next;
  }

  static constexpr Duration kEvictionInterval = std::chrono::seconds(10);
  NodeLifecycleOptions options_;
  client::Informer& nodes_;
  client::Informer& leases_;
  client::Informer& pods_;
  std::map<std::string, MonoTime> heard_;        // by this process's clock: the nodes' clocks do not matter
  std::map<std::string, MonoTime> last_turn_;    // zone -> when a node of it was last given up
  MonoTime blind_until_{};
};

}  // namespace

std::unique_ptr<Controller> node_lifecycle_controller(Context context, NodeLifecycleOptions options) {
  return std::make_unique<NodeLifecycle>(context, options);
}

}  // namespace rs::control
