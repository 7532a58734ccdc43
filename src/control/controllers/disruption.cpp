#include "control/controllers/disruption.h"

#include "api/selector.h"
#include "control/controllers/pods.h"

namespace rs::control {

using client::resources::kDeployments;
using client::resources::kPodDisruptionBudgets;
using client::resources::kPods;
using client::resources::kReplicaSets;

Result<BudgetPlan> plan_budget(const Json& budget, const std::vector<ObjectPtr>& pods, int64_t expected_scale, WallTime now) {
  int64_t expected = static_cast<int64_t>(pods.size()), desired = 0;
  if (const Json* unavailable = find(budget, "spec", "maxUnavailable")) {
    expected = expected_scale;
    auto most = api::scaled_int_or_percent(unavailable, expected, true);
    if (!most) return fail(most.error());
    desired = std::max<int64_t>(0, expected - *most);
  } else if (const Json* available = find(budget, "spec", "minAvailable")) {
    if (available->is_string()) expected = expected_scale;
    auto least = api::scaled_int_or_percent(available, expected, true);
    if (!least) return fail(least.error());
    desired = *least;
  }
  BudgetPlan plan{budget, std::nullopt};
  // Pods whose eviction was granted, until they are seen to go; then, or when nothing happens, they are forgotten.
  JsonObject disrupted;
  std::set<std::string_view> given_up;
  for (const ObjectPtr& pod : pods) {
    auto granted = time_at(budget, "status", "disruptedPods", api::name_of(*pod));
    if (!granted.has_value() || api::is_deleting(*pod)) continue;
    Duration left = *granted + kDisruptedPodTimeout - now;
    if (left <= Duration::zero()) continue;
    disrupted[api::name_of(*pod)] = *find(budget, "status", "disruptedPods", api::name_of(*pod));
    given_up.insert(api::name_of(*pod));
    if (!plan.again_after || left < *plan.again_after) plan.again_after = left;
  }
  int64_t healthy = 0;
  for (const ObjectPtr& pod : pods)
    if (!api::is_deleting(*pod) && !given_up.contains(api::name_of(*pod)) && is_ready(*pod)) ++healthy;
  int64_t allowed = expected > 0 ? std::max<int64_t>(0, healthy - desired) : 0;

  Json& status = ensure(plan.budget, "status");
  set(status, healthy, "currentHealthy");
  set(status, desired, "desiredHealthy");
  set(status, expected, "expectedPods");
  set(status, allowed, "disruptionsAllowed");
  set(status, integer(budget, "metadata", "generation"), "observedGeneration");
  if (disrupted.empty()) erase(status, "disruptedPods");
  else set(status, std::move(disrupted), "disruptedPods");
  api::set_condition(plan.budget, "DisruptionAllowed", allowed > 0 ? "True" : "False",
                     allowed > 0 ? "SufficientPods" : "InsufficientPods", "", now);
  if (const Json* made = api::condition(plan.budget, "DisruptionAllowed"))
    set(const_cast<Json&>(*made), integer(budget, "metadata", "generation"), "observedGeneration");
  return plan;
}

namespace {

class Budgets final : public Controller {
 public:
  explicit Budgets(Context context)
      : Controller(context, "disruption"),
        budgets_(informer(kPodDisruptionBudgets)),
        pods_(informer(kPods)),
        sets_(informer(kReplicaSets)),
        deployments_(informer(kDeployments)) {
    budgets_.on_change([this](const ObjectKey& key, const ObjectPtr&, const ObjectPtr&) { queue_.add(key); });
    pods_.on_change([this](const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
      for (const ObjectPtr& budget : budgets_.in_namespace(key.ns))
        if ((before != nullptr && selects(*budget, *before)) || (now != nullptr && selects(*budget, *now)))
          queue_.add(api::key_of(*budget));
    });
    // A change of scale changes what percentages mean.
    auto scaled = [this](const ObjectKey& key, const ObjectPtr&, const ObjectPtr&) {
      for (const ObjectPtr& budget : budgets_.in_namespace(key.ns)) queue_.add(api::key_of(*budget));
    };
    sets_.on_change(scaled);
    deployments_.on_change(scaled);
  }

 private:
  static bool selects(const Json& budget, const Json& pod) {
    auto selector = api::LabelSelector::from_json(find(budget, "spec", "selector"));
    return selector && selector->matches_object(pod);
  }

  // The sizes of the pods' controllers, each counted once (getExpectedScale). A pod without one makes it unknowable.
  Result<int64_t> expected_scale(const std::vector<ObjectPtr>& pods) const {
    std::map<std::string, int64_t> scales;
    for (const ObjectPtr& pod : pods) {
      auto owner = api::controller_of(*pod);
      if (!owner.has_value()) continue;
      if (scales.contains(owner->uid)) continue;
      ObjectPtr set = sets_.get(api::namespace_of(*pod), owner->name);
      if (set == nullptr || api::uid_of(*set) != owner->uid)
        return fail(Code::kFailedPrecondition, "{} does not implement the scale subresource", owner->kind);
      auto above = api::controller_of(*set);
      ObjectPtr deployment = above.has_value() ? deployments_.get(api::namespace_of(*pod), above->name) : nullptr;
      if (deployment != nullptr && api::uid_of(*deployment) == above->uid)
        scales[above->uid] = integer(*deployment, "spec", "replicas");
      else
        scales[owner->uid] = integer(*set, "spec", "replicas");
    }
    int64_t sum = 0;
    for (const auto& [uid, scale] : scales) sum += scale;
    return sum;
  }

  awaitable<Result<Next>> reconcile(ObjectKey key) override {
    ObjectPtr budget = budgets_.get(key);
    if (budget == nullptr || api::is_deleting(*budget)) co_return Next::done();
    std::vector<ObjectPtr> pods;
    for (ObjectPtr& pod : pods_.in_namespace(key.ns))
      if (selects(*budget, *pod) && !is_finished(*pod)) pods.push_back(std::move(pod));
    bool needs_scale = find(*budget, "spec", "maxUnavailable") != nullptr ||
                       (find(*budget, "spec", "minAvailable") != nullptr && find(*budget, "spec", "minAvailable")->is_string());
    auto scale = needs_scale ? expected_scale(pods) : Result<int64_t>(0);
    auto plan = scale ? plan_budget(*budget, pods, *scale, wall()) : Result<BudgetPlan>(fail(scale.error()));
    Json updated;
    if (plan) {
      updated = std::move(plan->budget);
    } else {
      // Without a figure nothing may be evicted.
      updated = *budget;
      set(updated, 0, "status", "disruptionsAllowed");
      api::set_condition(updated, "DisruptionAllowed", "False", "SyncFailed", plan.error().message, wall());
    }
    if (updated != *budget) {
      auto written = co_await client().update(kPodDisruptionBudgets, std::move(updated), "status");
      if (!written && written.error().code != Code::kNotFound) co_return fail(written.error());
    }
    co_return Next{plan ? plan->again_after : std::nullopt};
  }

  client::Informer& budgets_;
  client::Informer& pods_;
  client::Informer& sets_;
  client::Informer& deployments_;
};

}  // namespace

std::unique_ptr<Controller> disruption_controller(Context context) { return std::make_unique<Budgets>(context); }

}  // namespace rs::control
