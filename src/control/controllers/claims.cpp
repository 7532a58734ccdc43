#include "control/controllers/claims.h"

#include "async/task_group.h"

namespace rs::control {

Claims claims_of(const Json& owner, const api::LabelSelector& selector, const std::vector<ObjectPtr>& children) {
  Claims claims;
  for (const ObjectPtr& child : children) {
    auto controller = api::controller_of(*child);
    bool matches = selector.matches_object(*child);
    if (controller.has_value()) {
      if (controller->uid != api::uid_of(owner)) continue;
      if (matches) claims.owned.push_back(child);
      else if (!api::is_deleting(owner)) claims.release.push_back(child);
    } else if (matches && !api::is_deleting(owner) && !api::is_deleting(*child)) {
      claims.adopt.push_back(child);
    }
  }
  return claims;
}

void add_orphan_index(client::Informer& informer) {
  informer.add_index("orphan", [](const Json& object) {
    std::vector<std::string> out;
    if (!api::controller_of(object).has_value()) out.emplace_back(api::namespace_of(object));
    return out;
  });
}

std::vector<ObjectPtr> children_of(const client::Informer& informer, const Json& owner) {
  std::vector<ObjectPtr> children = informer.owned_by(api::uid_of(owner));
  for (ObjectPtr& orphan : informer.by_index("orphan", api::namespace_of(owner))) {
    // An orphan may name owner without making it its controller: then it is there already.
    if (std::ranges::find(children, orphan) == children.end()) children.push_back(std::move(orphan));
  }
  return children;
}

namespace {
Json reference_patch(const Json& child, Json reference) {
  return JsonObject{{"metadata", JsonObject{{"uid", api::uid_of(child)}, {"ownerReferences", JsonArray{std::move(reference)}}}}};
}
}  // namespace

awaitable<Result<std::vector<ObjectPtr>>> carry_out(client::Client& client, client::Resource child_resource,
                                                    client::Resource owner_resource, ObjectPtr owner, Claims claims) {
  std::vector<ObjectPtr> owned = std::move(claims.owned);
  for (const ObjectPtr& child : claims.release) {
    Json patch = reference_patch(*child, JsonObject{{"$patch", "delete"}, {"uid", api::uid_of(*owner)}});
    auto released = co_await client.patch(child_resource, api::key_of(*child), client::PatchType::kStrategic, std::move(patch));
    // Gone, or another object by that name: nothing to release any more.
    if (!released && released.error().code != Code::kNotFound && released.error().code != Code::kInvalid)
      co_return fail(released.error());
  }
  if (claims.adopt.empty()) co_return owned;
  auto fresh = co_await client.get(owner_resource, api::key_of(*owner));
  if (!fresh) co_return fail(fresh.error());
  if (api::uid_of(*fresh) != api::uid_of(*owner) || api::is_deleting(*fresh)) co_return owned;
  for (const ObjectPtr& child : claims.adopt) {
    Json patch = reference_patch(*child, api::owner_reference_to(*owner));
    auto adopted = co_await client.patch(child_resource, api::key_of(*child), client::PatchType::kStrategic, std::move(patch));
    if (adopted) {
      owned.push_back(std::make_shared<const Json>(std::move(*adopted)));
    } else if (adopted.error().code != Code::kNotFound && adopted.error().code != Code::kInvalid) {
      co_return fail(adopted.error());
    }
  }
  co_return owned;
}

namespace {
using Calls = std::vector<std::function<awaitable<void>()>>;
awaitable<void> run_some(std::shared_ptr<Calls> calls, std::shared_ptr<size_t> next) {
  while (*next < calls->size()) {
    size_t mine = (*next)++;
    co_await (*calls)[mine]();
  }
}
}  // namespace

awaitable<void> in_parallel(async::Loop& loop, std::vector<std::function<awaitable<void>()>> calls, size_t width) {
  if (calls.size() == 1) {
    co_await calls.front()();
    co_return;
  }
  auto shared_calls = std::make_shared<Calls>(std::move(calls));
  auto next = std::make_shared<size_t>(0);
  async::TaskGroup tasks(loop);
  for (size_t i = 0; i < std::min(width, shared_calls->size()); ++i) tasks.spawn("parallel call", run_some(shared_calls, next));
  co_await tasks.join();
}

}  // namespace rs::control
