#include "control/controllers/pod_batch.h"

#include "control/controllers/claims.h"

namespace rs::control {

using client::resources::kPods;

namespace {
awaitable<void> create_pod(Context context, Expectations& expectations, ObjectPtr owner, Json pod,
                           std::shared_ptr<BatchOutcome> outcome) {
  auto created = co_await context.client.create(kPods, std::move(pod));
  if (created) {
    context.events.record(*owner, "Normal", "SuccessfulCreate", fmt::format("Created pod: {}", api::name_of(*created)));
    co_return;
  }
  expectations.creation_observed(api::key_of(*owner));
  outcome->error = created.error();
  outcome->namespace_is_terminating |= is_namespace_terminating(created.error());
  if (!is_namespace_terminating(created.error()))
    context.events.record(*owner, "Warning", "FailedCreate", fmt::format("Error creating: {}", created.error().message));
}

awaitable<void> remove_pod(Context context, Expectations& expectations, ObjectPtr owner, ObjectPtr pod,
                           std::shared_ptr<BatchOutcome> outcome) {
  client::DeleteOptions options;
  options.precondition_uid = api::uid_of(*pod);
  auto removed = co_await context.client.remove(kPods, api::key_of(*pod), std::move(options));
  if (removed) {
    context.events.record(*owner, "Normal", "SuccessfulDelete", fmt::format("Deleted pod: {}", api::name_of(*pod)));
    co_return;
  }
  expectations.deletion_observed(api::key_of(*owner), api::key_of(*pod));
  if (removed.error().code == Code::kNotFound) co_return;
  outcome->error = removed.error();
  context.events.record(*owner, "Warning", "FailedDelete", fmt::format("Error deleting: {}", removed.error().message));
}
}  // namespace

awaitable<BatchOutcome> create_pods(Context context, Expectations& expectations, ObjectPtr owner, std::vector<Json> pods) {
  ObjectKey key = api::key_of(*owner);
  async::Loop& loop = context.client.loop();
  expectations.expect_creations(key, static_cast<int64_t>(pods.size()), loop.now());
  auto outcome = std::make_shared<BatchOutcome>();
  size_t tried = 0;
  for (size_t batch = 1; tried < pods.size() && !outcome->error; batch *= 2) {
    std::vector<std::function<awaitable<void>()>> calls;
    for (size_t i = 0; i < batch && tried < pods.size(); ++i, ++tried)
      calls.push_back([context, &expectations, owner, pod = pods[tried], outcome] {
        return create_pod(context, expectations, owner, pod, outcome);
      });
    co_await in_parallel(loop, std::move(calls));
  }
  for (; tried < pods.size(); ++tried) expectations.creation_observed(key);
  co_return *outcome;
}

awaitable<BatchOutcome> remove_pods(Context context, Expectations& expectations, ObjectPtr owner, std::vector<ObjectPtr> pods) {
  std::set<ObjectKey> keys;
  for (const ObjectPtr& pod : pods) keys.insert(api::key_of(*pod));
  expectations.expect_deletions(api::key_of(*owner), std::move(keys), context.client.loop().now());
  auto outcome = std::make_shared<BatchOutcome>();
  std::vector<std::function<awaitable<void>()>> calls;
  for (const ObjectPtr& pod : pods)
    calls.push_back([context, &expectations, owner, pod, outcome] {
      return remove_pod(context, expectations, owner, pod, outcome);
    });
  co_await in_parallel(context.client.loop(), std::move(calls));
  co_return *outcome;
}

void follow_pod(Expectations& expectations, client::WorkQueue& queue, std::string_view owner_kind, const ObjectKey& key,
                const ObjectPtr& before, const ObjectPtr& now) {
  auto owner_of = [owner_kind](const ObjectPtr& pod) -> std::optional<ObjectKey> {
    auto owner = pod == nullptr ? std::nullopt : api::controller_of(*pod);
    if (!owner.has_value() || owner->kind != owner_kind) return std::nullopt;
    return ObjectKey{std::string(api::namespace_of(*pod)), owner->name};
  };
  auto owner = owner_of(now), owner_before = owner_of(before);
  bool replaced = before != nullptr && now != nullptr && api::uid_of(*before) != api::uid_of(*now);
  if (owner && (before == nullptr || replaced)) expectations.creation_observed(*owner);
  if (owner_before && (now == nullptr || replaced || api::is_deleting(*now))) expectations.deletion_observed(*owner_before, key);
  if (owner) queue.add(*owner);
  if (owner_before && owner_before != owner) queue.add(*owner_before);
}

}  // namespace rs::control
