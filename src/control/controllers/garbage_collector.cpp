#include "control/controllers/garbage_collector.h"

#include "control/controllers/owner_graph.h"
#include "control/controllers/served_resources.h"

namespace rs::control {
namespace {

// Keys of the queue are uids, in the name.
class GarbageCollector final : public Controller {
 public:
  explicit GarbageCollector(Context context) : Controller(context, "garbagecollector", 8) {
    bool has_definitions = false;
    for (const client::Resource& resource : collectable_resources()) {
      follow(resource);
      has_definitions |= resource.plural == kCustomResourceDefinitions.plural;
    }
    if (!has_definitions) return;
    informer(kCustomResourceDefinitions).on_change([this](const ObjectKey&, const ObjectPtr&, const ObjectPtr& now) {
      auto made = now == nullptr ? std::nullopt : custom_resource(*now);
      if (made.has_value() && followed_.insert(made->group + "/" + made->plural).second) follow(*made);
    });
  }

 private:
  // Observe.
  void follow(const client::Resource& resource) {
    informer(resource).on_change([this, resource](const ObjectKey&, const ObjectPtr& before, const ObjectPtr& now) {
      bool replaced = before != nullptr && now != nullptr && api::uid_of(*before) != api::uid_of(*now);
      if (now == nullptr || replaced) enqueue(graph_.remove(std::string(api::uid_of(*before))));
      if (now != nullptr) enqueue(graph_.put(resource, *now));
    });
  }
  void enqueue(const std::set<std::string>& uids) {
    for (const std::string& uid : uids) queue_.add({"", uid});
  }

  awaitable<Result<Next>> reconcile(ObjectKey key) override {
    const OwnerNode* found = graph_.find(key.name);
    if (found == nullptr) co_return Next::done();
    OwnerNode node = *found;
    if (node.orphans) co_return co_await orphan_dependents(node);
    if (node.foreground) co_return co_await wait_for_dependents(node);
    if (node.deleting || node.owners.empty()) co_return Next::done();

    std::map<std::string, OwnerState> owners;
    for (const auto& owner : node.owners) {
      auto state = co_await state_of(node, owner);
      if (!state) co_return fail(state.error());
      owners[owner.uid] = *state;
    }
    Collection collection = collect(node, owners, !graph_.dependents(node.uid).empty());
    if (collection.action == Collection::Action::kKeep) co_return Next::done();
    co_return co_await apply(node, std::move(collection), std::move(owners));
  }

  awaitable<Result<OwnerState>> state_of(const OwnerNode& node, api::OwnerReference owner) {
    if (const OwnerNode* known = graph_.find(owner.uid)) {
      // An owner in another namespace is none.
      if (!known->key.ns.empty() && known->key.ns != node.key.ns) co_return OwnerState::kAbsent;
      co_return known->foreground ? OwnerState::kWaiting : OwnerState::kPresent;
    }
    if (absent_.contains(owner.uid)) co_return OwnerState::kAbsent;
    auto resource = client::resource_for(owner.api_version, owner.kind);
    if (!resource) co_return OwnerState::kPresent;  // a kind that is not served: nobody can say that it is gone
    if (resource->namespaced && node.key.ns.empty()) co_return OwnerState::kAbsent;
    ObjectKey owner_key{resource->namespaced ? node.key.ns : std::string(), owner.name};
    auto live = co_await client().get(*resource, owner_key);
    if (live && api::uid_of(*live) == owner.uid) {
      bool waits = api::is_deleting(*live) && std::ranges::any_of(array(*live, "metadata", "finalizers"), [](const Json& f) {
                     return str(f) == "foregroundDeletion";
                   });
      co_return waits ? OwnerState::kWaiting : OwnerState::kPresent;
    }
    if (!live && live.error().code != Code::kNotFound) co_return fail(live.error());
    constexpr size_t kAbsentMax = 10000;  // uids never come back, but memory is finite
    if (absent_.size() >= kAbsentMax) absent_.clear();
    absent_.insert(owner.uid);
    co_return OwnerState::kAbsent;
  }

  // Apply.
  // Reads the object anew: what the graph says may be older than a change of its owners.
  awaitable<Result<std::optional<Json>>> fresh(const OwnerNode& node) {
    auto live = co_await client().get(node.resource, node.key);
    if (!live && live.error().code == Code::kNotFound) co_return std::optional<Json>();
    if (!live) co_return fail(live.error());
    if (api::uid_of(*live) != node.uid) co_return std::optional<Json>();
    co_return std::optional<Json>(std::move(*live));
  }

  awaitable<Result<Next>> apply(OwnerNode node, Collection collection, std::map<std::string, OwnerState> owners) {
    auto live = co_await fresh(node);
    if (!live) co_return fail(live.error());
    if (!live->has_value()) co_return Next::done();
    for (const auto& owner : api::owners_of(**live))
      if (!owners.contains(owner.uid)) co_return Next::done();  // the informer will show the new owner
    if (collection.action == Collection::Action::kDropReferences)
      co_return co_await drop_references(node, std::move(**live), std::move(collection.drop));
    client::DeleteOptions options;
    options.propagation_policy = collection.policy;
    options.precondition_uid = node.uid;
    options.precondition_resource_version = str(**live, "metadata", "resourceVersion");
    auto removed = co_await client().remove(node.resource, node.key, std::move(options));
    if (!removed && removed.error().code != Code::kNotFound) co_return fail(removed.error());
    co_return Next::done();
  }

  awaitable<Result<Next>> drop_references(OwnerNode node, Json live, std::set<std::string> uids) {
    JsonArray kept;
    for (const Json& reference : array(live, "metadata", "ownerReferences"))
      if (!uids.contains(std::string(str(reference, "uid")))) kept.push_back(reference);
    co_return co_await patch_metadata(node, live, "ownerReferences", std::move(kept));
  }

  awaitable<Result<Next>> remove_finalizer(OwnerNode node, std::string name) {
    auto live = co_await fresh(node);
    if (!live) co_return fail(live.error());
    if (!live->has_value()) co_return Next::done();
    JsonArray kept;
    for (const Json& finalizer : array(**live, "metadata", "finalizers"))
      if (str(finalizer) != name) kept.push_back(finalizer);
    if (kept.size() == array(**live, "metadata", "finalizers").size()) co_return Next::done();
    co_return co_await patch_metadata(node, **live, "finalizers", std::move(kept));
  }

  awaitable<Result<Next>> patch_metadata(OwnerNode node, const Json& live, std::string_view field, JsonArray value) {
    Json patch = JsonObject();
    set(patch, Json(str(live, "metadata", "resourceVersion")), "metadata", "resourceVersion");
    set(patch, Json(node.uid), "metadata", "uid");
    set(patch, value.empty() ? Json() : Json(std::move(value)), "metadata", field);
    auto patched = co_await client().patch(node.resource, node.key, client::PatchType::kMerge, std::move(patch));
    if (!patched && patched.error().code != Code::kNotFound) co_return fail(patched.error());
    co_return Next::done();
  }

  awaitable<Result<Next>> orphan_dependents(OwnerNode node) {
    std::vector<OwnerNode> dependents;
    for (const OwnerNode* dependent : graph_.dependents(node.uid)) dependents.push_back(*dependent);
    for (const OwnerNode& dependent : dependents) {
      auto live = co_await fresh(dependent);
      if (!live) co_return fail(live.error());
      if (!live->has_value()) continue;
      std::set<std::string> uids = {node.uid};
      auto dropped = co_await drop_references(dependent, std::move(**live), std::move(uids));
      if (!dropped) co_return fail(dropped.error());
    }
    co_return co_await remove_finalizer(node, "orphan");
  }

  awaitable<Result<Next>> wait_for_dependents(OwnerNode node) {
    auto blocking = graph_.blocking_dependents(node.uid);
    if (blocking.empty()) co_return co_await remove_finalizer(node, "foregroundDeletion");
    for (const OwnerNode* dependent : graph_.dependents(node.uid))
      if (!dependent->deleting) queue_.add({"", dependent->uid});
    co_return Next::done();  // the end of each dependent asks again
  }

  OwnerGraph graph_;
  std::set<std::string> absent_;
  std::set<std::string> followed_;
};

}  // namespace

std::unique_ptr<Controller> garbage_collector(Context context) { return std::make_unique<GarbageCollector>(context); }

}  // namespace rs::control
