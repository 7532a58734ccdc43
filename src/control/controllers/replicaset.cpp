#include "control/controllers/replicaset.h"

#include "control/controllers/claims.h"
#include "control/controllers/expectations.h"
#include "control/controllers/replicaset_plan.h"

namespace rs::control {
namespace {

using client::resources::kPods;
using client::resources::kReplicaSets;

class ReplicaSets final : public Controller {
 public:
  explicit ReplicaSets(Context context) : Controller(context, "replicaset"), sets_(informer(kReplicaSets)), pods_(informer(kPods)) {
    add_orphan_index(pods_);
    sets_.on_change([this](const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
      if (now == nullptr || (before != nullptr && api::uid_of(*before) != api::uid_of(*now))) expectations_.forget(key);
      queue_.add(key);
    });
    pods_.on_change([this](const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) { pod_changed(key, before, now); });
  }

 private:
  struct Outcome {
    std::optional<ReplicaFailure> failure;
    std::optional<Error> error;
  };

  // Observe ----------------------------------------------------------------------------------------------------------
  static std::optional<ObjectKey> owner_key(const ObjectPtr& pod) {
    if (pod == nullptr) return std::nullopt;
    auto owner = api::controller_of(*pod);
    if (!owner.has_value() || owner->kind != "ReplicaSet") return std::nullopt;
    return ObjectKey{std::string(api::namespace_of(*pod)), owner->name};
  }

  void pod_changed(const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
    auto owner = owner_key(now), owner_before = owner_key(before);
    bool replaced = before != nullptr && now != nullptr && api::uid_of(*before) != api::uid_of(*now);
    bool is_new = now != nullptr && (before == nullptr || replaced);
    if (owner && is_new) expectations_.creation_observed(*owner);
    if (owner_before && (now == nullptr || replaced || api::is_deleting(*now))) expectations_.deletion_observed(*owner_before, key);
    if (owner) queue_.add(*owner);
    if (owner_before && owner_before != owner) queue_.add(*owner_before);
    // An orphan: whoever selects it may adopt it.
    if (now != nullptr && !api::controller_of(*now).has_value())
      for (const ObjectPtr& set : sets_.in_namespace(key.ns))
        if (auto selector = api::LabelSelector::from_json(find(*set, "spec", "selector")); selector && selector->matches_object(*now))
          queue_.add(api::key_of(*set));
  }

  // Pods of all sets of the same Deployment: crowded nodes give pods up first.
  std::vector<ObjectPtr> related_pods(const Json& set, const std::vector<ObjectPtr>& own) const {
    auto owner = api::controller_of(set);
    if (!owner.has_value()) return own;
    std::vector<ObjectPtr> related;
    for (const ObjectPtr& sibling : sets_.owned_by(owner->uid))
      for (const ObjectPtr& pod : pods_.owned_by(api::uid_of(*sibling)))
        if (is_active(*pod)) related.push_back(pod);
    return related;
  }

  awaitable<Result<Next>> reconcile(ObjectKey key) override {
    ObjectPtr set = sets_.get(key);
    if (set == nullptr) co_return Next::done();
    bool view_is_current = expectations_.satisfied(key, loop().now());
    auto selector = api::LabelSelector::from_json(find(*set, "spec", "selector"));
    if (!selector || selector->empty()) co_return Next::done();  // nothing that looking again would change

    auto owned = co_await carry_out(client(), kPods, kReplicaSets, set, claims_of(*set, *selector, children_of(pods_, *set)));
    if (!owned) co_return fail(owned.error());
    std::vector<ObjectPtr> active;
    for (const ObjectPtr& pod : *owned)
      if (is_active(*pod)) active.push_back(pod);

    Outcome outcome;
    if (view_is_current && !api::is_deleting(*set)) {
      ReplicaSetPlan plan = plan_replica_set(*set, active, related_pods(*set, active), wall());
      if (plan.create > 0) outcome = co_await create_pods(set, plan.create);
      if (!plan.remove.empty()) outcome = co_await remove_pods(set, std::move(plan.remove));
    } else if (const Json* failure = api::condition(*set, "ReplicaFailure")) {
      outcome.failure = ReplicaFailure{std::string(str(*failure, "reason")), std::string(str(*failure, "message"))};
    }
    Json updated = with_replica_set_status(*set, active, outcome.failure, wall());
    if (updated != *set) {
      auto written = co_await client().update(kReplicaSets, std::move(updated), "status");
      if (!written && written.error().code != Code::kNotFound) co_return fail(written.error());
    }
    if (outcome.error) co_return fail(*outcome.error);
    co_return Next{next_availability(*set, active, wall())};
  }

  // Apply ------------------------------------------------------------------------------------------------------------
  // Batches that double, so that a set whose pods are all refused costs one request, not hundreds.
  awaitable<Outcome> create_pods(ObjectPtr set, int64_t count) {
    ObjectKey key = api::key_of(*set);
    expectations_.expect_creations(key, count, loop().now());
    auto outcome = std::make_shared<Outcome>();
    int64_t left = count;
    for (int64_t batch = 1; left > 0 && !outcome->error; batch *= 2) {
      std::vector<std::function<awaitable<void>()>> calls;
      for (int64_t i = 0; i < std::min(batch, left); ++i) calls.push_back([this, set, outcome] { return create_pod(set, outcome); });
      left -= static_cast<int64_t>(calls.size());
      co_await in_parallel(loop(), std::move(calls));
    }
    for (; left > 0; --left) expectations_.creation_observed(key);  // never tried
    co_return *outcome;
  }

  awaitable<void> create_pod(ObjectPtr set, std::shared_ptr<Outcome> outcome) {
    static const Json kNone = JsonObject();
    const Json* pod_template = find(*set, "spec", "template");
    auto created = co_await client().create(kPods, pod_from_template(pod_template == nullptr ? kNone : *pod_template, *set));
    if (created) {
      context_.events.record(*set, "Normal", "SuccessfulCreate", fmt::format("Created pod: {}", api::name_of(*created)));
      co_return;
    }
    expectations_.creation_observed(api::key_of(*set));
    outcome->error = created.error();
    if (is_namespace_terminating(created.error())) co_return;
    outcome->failure = ReplicaFailure{"FailedCreate", created.error().message};
    context_.events.record(*set, "Warning", "FailedCreate", fmt::format("Error creating: {}", created.error().message));
  }

  awaitable<Outcome> remove_pods(ObjectPtr set, std::vector<ObjectPtr> pods) {
    std::set<ObjectKey> keys;
    for (const ObjectPtr& pod : pods) keys.insert(api::key_of(*pod));
    expectations_.expect_deletions(api::key_of(*set), std::move(keys), loop().now());
    auto outcome = std::make_shared<Outcome>();
    std::vector<std::function<awaitable<void>()>> calls;
    for (const ObjectPtr& pod : pods) calls.push_back([this, set, pod, outcome] { return remove_pod(set, pod, outcome); });
    co_await in_parallel(loop(), std::move(calls));
    co_return *outcome;
  }

  awaitable<void> remove_pod(ObjectPtr set, ObjectPtr pod, std::shared_ptr<Outcome> outcome) {
    client::DeleteOptions options;
    options.precondition_uid = api::uid_of(*pod);
    auto removed = co_await client().remove(kPods, api::key_of(*pod), std::move(options));
    if (removed) {
      context_.events.record(*set, "Normal", "SuccessfulDelete", fmt::format("Deleted pod: {}", api::name_of(*pod)));
      co_return;
    }
    expectations_.deletion_observed(api::key_of(*set), api::key_of(*pod));
    if (removed.error().code == Code::kNotFound) co_return;
    outcome->error = removed.error();
    outcome->failure = ReplicaFailure{"FailedDelete", removed.error().message};
    context_.events.record(*set, "Warning", "FailedDelete", fmt::format("Error deleting: {}", removed.error().message));
  }

  client::Informer& sets_;
  client::Informer& pods_;
  Expectations expectations_;
};

}  // namespace

std::unique_ptr<Controller> replica_set_controller(Context context) { return std::make_unique<ReplicaSets>(context); }

}  // namespace rs::control
