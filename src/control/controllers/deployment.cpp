#include "control/controllers/deployment.h"

#include "control/controllers/claims.h"
#include "control/controllers/deployment_plan.h"
#include "control/controllers/deployment_replicas.h"

namespace rs::control {
namespace {

using client::resources::kDeployments;
using client::resources::kPods;
using client::resources::kReplicaSets;

class Deployments final : public Controller {
 public:
  explicit Deployments(Context context)
      : Controller(context, "deployment"), deployments_(informer(kDeployments)), sets_(informer(kReplicaSets)), pods_(informer(kPods)) {
    add_orphan_index(sets_);
    deployments_.on_change([this](const ObjectKey& key, const ObjectPtr&, const ObjectPtr&) { queue_.add(key); });
    sets_.on_change([this](const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) { set_changed(key, before, now); });
    pods_.on_change([this](const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
      // Only Recreate waits for single pods to end.
      if (before != nullptr && (now == nullptr || is_finished(*now))) pod_ended(key, *before);
    });
  }

 private:
  // Observe.
  static std::optional<ObjectKey> owner_key(const ObjectPtr& set) {
    if (set == nullptr) return std::nullopt;
    auto owner = api::controller_of(*set);
    if (!owner.has_value() || owner->kind != "Deployment") return std::nullopt;
    return ObjectKey{std::string(api::namespace_of(*set)), owner->name};
  }

  void set_changed(const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
    auto owner = owner_key(now), owner_before = owner_key(before);
    if (owner) queue_.add(*owner);
    if (owner_before && owner_before != owner) queue_.add(*owner_before);
    if (now != nullptr && !api::controller_of(*now).has_value())
      for (const ObjectPtr& deployment : deployments_.in_namespace(key.ns))
        if (auto selector = api::LabelSelector::from_json(find(*deployment, "spec", "selector")); selector && selector->matches_object(*now))
          queue_.add(api::key_of(*deployment));
  }

  void pod_ended(const ObjectKey& key, const Json& pod) {
    auto owner = api::controller_of(pod);
    if (!owner.has_value() || owner->kind != "ReplicaSet") return;
    auto deployment = owner_key(sets_.get(key.ns, owner->name));
    if (!deployment) return;
    ObjectPtr found = deployments_.get(*deployment);
    if (found != nullptr && !is_rolling_update(*found)) queue_.add(*deployment);
  }

  bool old_pods_running(const Json& deployment, const std::vector<ObjectPtr>& sets) const {
    if (is_rolling_update(deployment)) return false;
    ObjectPtr fresh = find_new_replica_set(deployment, sets);
    for (const ObjectPtr& set : sets) {
      if (set == fresh) continue;
      for (const ObjectPtr& pod : pods_.owned_by(api::uid_of(*set)))
        if (!is_finished(*pod)) return true;
    }
    return false;
  }

  awaitable<Result<Next>> reconcile(ObjectKey key) override {
    ObjectPtr deployment = deployments_.get(key);
    if (deployment == nullptr) co_return Next::done();
    auto selector = api::LabelSelector::from_json(find(*deployment, "spec", "selector"));
    if (!selector || selector->empty()) {
      context_.events.record(*deployment, "Warning", "SelectingAll",
                             "This deployment is selecting all pods. A non-empty selector is required.");
      co_return Next::done();
    }
    auto sets = co_await carry_out(client(), kReplicaSets, kDeployments, deployment,
                                   claims_of(*deployment, *selector, children_of(sets_, *deployment)));
    if (!sets) co_return fail(sets.error());
    DeploymentPlan plan = plan_deployment(*deployment, *sets, old_pods_running(*deployment, *sets), wall());
    co_return co_await apply(deployment, std::move(plan));
  }

  // Apply.
  awaitable<Result<Next>> apply(ObjectPtr deployment, DeploymentPlan plan) {
    if (plan.create) {
      auto created = co_await create_set(deployment, std::move(*plan.create));
      if (!created) co_return fail(created.error());
    }
    for (ReplicaSetWrite& write : plan.update) {
      auto written = co_await client().update(kReplicaSets, std::move(write.object));
      if (!written) co_return fail(written.error());
      if (!write.event.empty()) context_.events.record(*deployment, "Normal", "ScalingReplicaSet", std::move(write.event));
    }
    for (const ObjectKey& key : plan.remove) {
      auto removed = co_await client().remove(kReplicaSets, key);
      if (!removed && removed.error().code != Code::kNotFound) co_return fail(removed.error());
    }
    Json updated = *deployment;
    if (!plan.revision.empty()) {
      Json patch = JsonObject();
      set(patch, Json(plan.revision), "metadata", "annotations", kRevision);
      set(patch, Json(str(*deployment, "metadata", "resourceVersion")), "metadata", "resourceVersion");
      auto patched = co_await client().patch(kDeployments, api::key_of(*deployment), client::PatchType::kMerge, std::move(patch));
      if (!patched) co_return fail(patched.error());
      updated = std::move(*patched);
    }
    if (plan.status_changed) {
      set(updated, std::move(plan.status), "status");
      auto written = co_await client().update(kDeployments, std::move(updated), "status");
      if (!written && written.error().code != Code::kNotFound) co_return fail(written.error());
    }
    co_return Next{plan.again_after};
  }

  awaitable<Result<void>> create_set(ObjectPtr deployment, ReplicaSetWrite write) {
    Json wanted = std::move(write.object);
    ObjectKey key = api::key_of(wanted);
    auto created = co_await client().create(kReplicaSets, wanted);
    if (created) {
      if (!write.event.empty()) context_.events.record(*deployment, "Normal", "ScalingReplicaSet", std::move(write.event));
      co_return Result<void>();
    }
    if (created.error().code == Code::kAlreadyExists) co_return co_await resolve_collision(deployment, wanted);
    if (is_namespace_terminating(created.error())) co_return fail(created.error());
    context_.events.record(*deployment, "Warning", "ReplicaSetCreateError",
                           fmt::format("Failed to create new replica set \"{}\": {}", key.name, created.error().message));
    Json failed = with_create_failure(*deployment, key.name, created.error().message, wall());
    if (failed != *deployment) (void)co_await client().update(kDeployments, std::move(failed), "status");
    co_return fail(created.error());
  }

  // A set of that name is there: ours, which the informer has not shown yet, or another template with the same hash.
  awaitable<Result<void>> resolve_collision(ObjectPtr deployment, Json wanted) {
    auto there = co_await client().get(kReplicaSets, api::key_of(wanted));
    if (!there) co_return fail(there.error());
    auto owner = api::controller_of(*there);
    bool ours = owner.has_value() && owner->uid == api::uid_of(*deployment) &&
                same_template(wanted.at("spec").at("template"), *find(*there, "spec", "template"));
    if (ours) co_return Result<void>();
    Json updated = *deployment;
    set(updated, integer(*deployment, "status", "collisionCount") + 1, "status", "collisionCount");
    auto written = co_await client().update(kDeployments, std::move(updated), "status");
    if (!written) co_return fail(written.error());
    co_return fail(Code::kConflict, "the name of replica set {} is taken", api::name_of(wanted));
  }

  client::Informer& deployments_;
  client::Informer& sets_;
  client::Informer& pods_;
};

}  // namespace

std::unique_ptr<Controller> deployment_controller(Context context) { return std::make_unique<Deployments>(context); }

}  // namespace rs::control
