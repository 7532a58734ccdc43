#include "control/controllers/job.h"

#include "control/controllers/claims.h"
#include "control/controllers/job_plan.h"
#include "control/controllers/pod_batch.h"

namespace rs::control {
namespace {

using client::resources::kJobs;
using client::resources::kPods;

class Jobs final : public Controller {
 public:
  explicit Jobs(Context context) : Controller(context, "job"), jobs_(informer(kJobs)), pods_(informer(kPods)) {
    add_orphan_index(pods_);
    jobs_.on_change([this](const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
      if (now == nullptr || (before != nullptr && api::uid_of(*before) != api::uid_of(*now))) {
        expectations_.forget(key);
        failures_.erase(key);
      }
      queue_.add(key);
    });
    pods_.on_change([this](const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
      follow_pod(expectations_, queue_, "Job", key, before, now);
    });
  }

 private:
  // Observe.
  awaitable<Result<Next>> reconcile(ObjectKey key) override {
    ObjectPtr job = jobs_.get(key);
    auto released = co_await release(pods_of_others(key, job));
    if (!released) co_return fail(released.error());
    if (job == nullptr) co_return Next::done();
    bool view_is_current = expectations_.satisfied(key, loop().now());
    auto selector = api::LabelSelector::from_json(find(*job, "spec", "selector"));
    if (!selector || selector->empty()) co_return Next::done();
    auto pods = co_await carry_out(client(), kPods, kJobs, job, claims_of(*job, *selector, children_of(pods_, *job)));
    if (!pods) co_return fail(pods.error());
    JobPlan plan = plan_job(*job, *pods, view_is_current, failures_[key], wall());
    co_return co_await apply(job, std::move(plan));
  }

  // Tracked pods of a Job of that name that is gone: nobody will count them.
  std::vector<ObjectPtr> pods_of_others(const ObjectKey& key, const ObjectPtr& job) const {
    std::vector<ObjectPtr> out;
    for (const ObjectPtr& pod : pods_.in_namespace(key.ns)) {
      auto owner = api::controller_of(*pod);
      if (!owner || owner->kind != "Job" || owner->name != key.name) continue;
      if (job != nullptr && api::uid_of(*job) == owner->uid) continue;
      out.push_back(pod);
    }
    return out;
  }

  // Apply.
  awaitable<Result<Next>> apply(ObjectPtr job, JobPlan plan) {
    ObjectKey key = api::key_of(*job);
    // The status first: it must say what is about to be uncounted before the finalizers go.
    if (plan.status_changed) {
      auto written = co_await client().update(kJobs, std::move(plan.job), "status");
      if (!written && written.error().code == Code::kNotFound) co_return Next::done();
      if (!written) co_return fail(written.error());
      for (JobEvent& event : plan.events) context_.events.record(*job, event.type, event.reason, std::move(event.message));
    }
    failures_[key] = plan.failures;
    auto released = co_await release(std::move(plan.release));
    if (!released) co_return fail(released.error());
    if (plan.remove_job) co_return co_await remove_job(*job);
    std::optional<Error> error;
    if (!plan.remove.empty()) {
      if (plan.forget_removed) {
        auto forgotten = co_await release(plan.remove);
        if (!forgotten) co_return fail(forgotten.error());
      }
      error = (co_await remove_pods(context_, expectations_, job, std::move(plan.remove))).error;
    }
    if (!plan.create.empty()) {
      BatchOutcome outcome = co_await create_pods(context_, expectations_, job, std::move(plan.create));
      if (!outcome.namespace_is_terminating) error = outcome.error;
    }
    if (error) co_return fail(*error);
    co_return Next{plan.again_after};
  }

  // Takes the tracking finalizer off.
  awaitable<Result<void>> release(std::vector<ObjectPtr> pods) {
    auto error = std::make_shared<std::optional<Error>>();
    std::vector<std::function<awaitable<void>()>> calls;
    for (const ObjectPtr& pod : pods)
      if (std::ranges::any_of(array(*pod, "metadata", "finalizers"), [](const Json& f) { return str(f) == kJobFinalizer; }))
        calls.push_back([this, pod, error] { return release_one(pod, error); });
    if (!calls.empty()) co_await in_parallel(loop(), std::move(calls));
    if (*error) co_return fail(**error);
    co_return Result<void>();
  }

  awaitable<void> release_one(ObjectPtr pod, std::shared_ptr<std::optional<Error>> error) {
    Json patch = JsonObject();
    set(patch, Json(api::uid_of(*pod)), "metadata", "uid");
    set(patch, JsonArray{Json(kJobFinalizer)}, "metadata", "$deleteFromPrimitiveList/finalizers");
    auto patched = co_await client().patch(kPods, api::key_of(*pod), client::PatchType::kStrategic, std::move(patch));
    // Gone, or another pod by that name: nothing to release.
    if (!patched && patched.error().code != Code::kNotFound && patched.error().code != Code::kInvalid &&
        patched.error().code != Code::kConflict)
      *error = patched.error();
  }

  awaitable<Result<Next>> remove_job(const Json& job) {
    // The copy may be old: the time to live may have been changed.
    auto live = co_await client().get(kJobs, api::key_of(job));
    if (!live && live.error().code == Code::kNotFound) co_return Next::done();
    if (!live) co_return fail(live.error());
    if (find(*live, "spec", "ttlSecondsAfterFinished") == nullptr) co_return Next::done();
    client::DeleteOptions options;
    options.propagation_policy = "Foreground";
    options.precondition_uid = api::uid_of(job);
    options.precondition_resource_version = str(*live, "metadata", "resourceVersion");
    auto removed = co_await client().remove(kJobs, api::key_of(job), std::move(options));
    if (!removed && removed.error().code != Code::kNotFound) co_return fail(removed.error());
    co_return Next::done();
  }

  client::Informer& jobs_;
  client::Informer& pods_;
  Expectations expectations_;
  std::map<ObjectKey, JobFailures> failures_;
};

}  // namespace

std::unique_ptr<Controller> job_controller(Context context) { return std::make_unique<Jobs>(context); }

}  // namespace rs::control
