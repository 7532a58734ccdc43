#include "control/controllers/replicaset.h"

#include "control/controllers/claims.h"
#include "control/controllers/pod_batch.h"
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
  // Observe.
  void pod_changed(const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
    follow_pod(expectations_, queue_, "ReplicaSet", key, before, now);
    // An orphan: whoever selects it may adopt it.
    if (now != nullptr && !api::controller_of(*now).has_value())
      for (const ObjectPtr& set : sets_.in_namespace(key.ns))
        if (auto selector = api::LabelSelector::from_json(find(*set, "spec", "selector")); selector && selector->matches_object(*now))
          queue_.add(api::key_of(*set));
  }

  static std::vector<Json> pods_from_template(const Json& set, int64_t count) {
    const Json* pod_template = find(set, "spec", "template");
    return std::vector<Json>(static_cast<size_t>(count),
                             pod_from_template(pod_template == nullptr ? Json(JsonObject()) : *pod_template, set));
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

    std::optional<ReplicaFailure> failure;
    std::optional<Error> error;
    if (view_is_current && !api::is_deleting(*set)) {
      ReplicaSetPlan plan = plan_replica_set(*set, active, related_pods(*set, active), wall());
      bool creates = plan.create > 0;
      BatchOutcome outcome;
      if (creates) outcome = co_await create_pods(context_, expectations_, set, pods_from_template(*set, plan.create));
      if (!plan.remove.empty()) outcome = co_await remove_pods(context_, expectations_, set, std::move(plan.remove));
      // In a namespace that is going there is nothing to try again.
      if (!outcome.namespace_is_terminating) error = outcome.error;
      if (error) failure = ReplicaFailure{creates ? "FailedCreate" : "FailedDelete", error->message};
    } else if (const Json* before = api::condition(*set, "ReplicaFailure")) {
      failure = ReplicaFailure{std::string(str(*before, "reason")), std::string(str(*before, "message"))};
    }
    Json updated = with_replica_set_status(*set, active, failure, wall());
    if (updated != *set) {
      auto written = co_await client().update(kReplicaSets, std::move(updated), "status");
      if (!written && written.error().code != Code::kNotFound) co_return fail(written.error());
    }
    if (error) co_return fail(*error);
    co_return Next{next_availability(*set, active, wall())};
  }

  client::Informer& sets_;
  client::Informer& pods_;
  Expectations expectations_;
};

}  // namespace

std::unique_ptr<Controller> replica_set_controller(Context context) { return std::make_unique<ReplicaSets>(context); }

}  // namespace rs::control
