#include "control/controllers/namespaces.h"

#include "control/controllers/served_resources.h"

namespace rs::control {

using client::resources::kNamespaces;

Json with_deletion_conditions(const Json& ns, const std::vector<Remaining>& remaining,
                              const std::vector<std::string>& failures, WallTime now) {
  Json updated = ns;
  auto put = [&](std::string_view type, bool holds, std::string_view reason, std::string_view message) {
    api::set_condition(updated, type, holds ? "True" : "False", reason, message, now);
  };
  put("NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered", "All resources successfully discovered");
  put("NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions", "All legacy kube types successfully parsed");
  if (failures.empty())
    put("NamespaceDeletionContentFailure", false, "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization");
  else
    put("NamespaceDeletionContentFailure", true, "ContentDeletionFailed",
        fmt::format("Failed to delete all resource types, {} remaining: {}", failures.size(), fmt::join(failures, ", ")));

  std::vector<std::string> left;
  std::map<std::string, int64_t> finalizers;
  for (const Remaining& one : remaining) {
    if (one.objects > 0) left.push_back(fmt::format("{} has {} resource instances", one.resource, one.objects));
    for (const auto& [name, count] : one.finalizers) finalizers[name] += count;
  }
  if (left.empty())
    put("NamespaceContentRemaining", false, "ContentRemoved", "All content successfully removed");
  else
    put("NamespaceContentRemaining", true, "SomeResourcesRemain",
        fmt::format("Some resources are remaining: {}", fmt::join(left, ", ")));
  std::vector<std::string> held;
  for (const auto& [name, count] : finalizers) held.push_back(fmt::format("{} in {} resource instances", name, count));
  if (held.empty())
    put("NamespaceFinalizersRemaining", false, "ContentHasNoFinalizers", "All content-preserving finalizers finished");
  else
    put("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain",
        fmt::format("Some content in the namespace has finalizers remaining: {}", fmt::join(held, ", ")));
  return updated;
}

namespace {

constexpr std::string_view kFinalizer = "kubernetes";

class Namespaces final : public Controller {
 public:
  explicit Namespaces(Context context) : Controller(context, "namespace", 2), namespaces_(informer(kNamespaces)) {
    namespaces_.on_change([this](const ObjectKey& key, const ObjectPtr&, const ObjectPtr& now) {
      if (now != nullptr && api::is_deleting(*now)) queue_.add(key);
    });
    for (const client::Resource& resource : collectable_resources()) {
      if (resource.plural == kCustomResourceDefinitions.plural)
        informer(resource).on_change([this](const ObjectKey&, const ObjectPtr&, const ObjectPtr& now) {
          auto made = now == nullptr ? std::nullopt : custom_resource(*now);
          if (made.has_value() && made->namespaced) follow(*made);
        });
      else if (resource.namespaced)
        follow(resource);
    }
    follow({"", "v1", "events", "Event"}, false);
  }

 private:
  void follow(const client::Resource& resource, bool watch = true) {
    std::string name = resource.plural + "." + resource.group;
    if (!resources_.emplace(std::move(name), resource).second || !watch) return;
    // The end of an object asks again: nothing needs to poll for what terminates slowly.
    informer(resource).on_change([this](const ObjectKey& key, const ObjectPtr&, const ObjectPtr& now) {
      if (now != nullptr) return;
      ObjectPtr ns = namespaces_.get("", key.ns);
      if (ns != nullptr && api::is_deleting(*ns)) queue_.add({"", key.ns});
    });
  }

  awaitable<Result<Next>> reconcile(ObjectKey key) override {
    ObjectPtr ns = namespaces_.get(key);
    if (ns == nullptr || !api::is_deleting(*ns)) co_return Next::done();
    bool holds = std::ranges::any_of(array(*ns, "spec", "finalizers"), [](const Json& f) { return str(f) == kFinalizer; });
    if (!holds) co_return Next::done();  // somebody else's finalizer keeps it

    std::vector<Remaining> remaining;
    std::vector<std::string> failures;
    // Pods first: what they use (secrets, claims) must not vanish under them.
    auto pods = resources_.find("pods.");
    if (pods != resources_.end()) co_await clear(pods->second, key.name, remaining, failures);
    for (const auto& [name, resource] : resources_)
      if (name != "pods.") co_await clear(resource, key.name, remaining, failures);

    if (remaining.empty() && failures.empty()) co_return co_await finalize(ns);
    Json updated = with_deletion_conditions(*ns, remaining, failures, wall());
    set(updated, Json("Terminating"), "status", "phase");
    if (updated != *ns) {
      auto written = co_await client().update(kNamespaces, std::move(updated), "status");
      if (!written && written.error().code != Code::kNotFound) co_return fail(written.error());
    }
    // Only for what ends without an event that is followed here.
    co_return Next::after(std::chrono::seconds(failures.empty() ? 5 : 1));
  }

  // Deletes all objects of one resource in the namespace and notes what is still there.
  awaitable<void> clear(client::Resource resource, std::string ns, std::vector<Remaining>& remaining,
                        std::vector<std::string>& failures) {
    client::ListOptions options;
    options.ns = ns;
    auto found = co_await client().list(resource, std::move(options));
    if (!found && (found.error().code == Code::kNotFound || found.error().code == Code::kMethodNotAllowed)) co_return;
    if (!found) {
      failures.push_back(fmt::format("{}: {}", resource.plural, found.error().message));
      co_return;
    }
    Remaining left;
    left.resource = resource.plural + "." + resource.group;
    for (const Json& object : found->items) {
      bool gone = false;
      if (!api::is_deleting(object)) {
        client::DeleteOptions how;
        how.propagation_policy = "Background";
        how.precondition_uid = api::uid_of(object);
        auto removed = co_await client().remove(resource, api::key_of(object), std::move(how));
        if (!removed && removed.error().code != Code::kNotFound)
          failures.push_back(fmt::format("{} {}: {}", resource.plural, api::name_of(object), removed.error().message));
        // Without finalizers only a pod outlives its deletion, for its grace period.
        gone = array(object, "metadata", "finalizers").empty() && resource.plural != "pods";
        if (gone) continue;
        if (resource.plural == "pods") gone = !(co_await client().get(resource, api::key_of(object)));
        if (gone) continue;
      }
      ++left.objects;
      for (const Json& finalizer : array(object, "metadata", "finalizers")) ++left.finalizers[std::string(str(finalizer))];
    }
    if (left.objects > 0) remaining.push_back(std::move(left));
  }

  awaitable<Result<Next>> finalize(ObjectPtr ns) {
    Json updated = *ns;
    JsonArray kept;
    for (const Json& finalizer : array(*ns, "spec", "finalizers"))
      if (str(finalizer) != kFinalizer) kept.push_back(finalizer);
    set(updated, std::move(kept), "spec", "finalizers");
    auto written = co_await client().update(kNamespaces, std::move(updated), "finalize");
    if (!written && written.error().code != Code::kNotFound) co_return fail(written.error());
    co_return Next::done();
  }

  client::Informer& namespaces_;
  std::map<std::string, client::Resource> resources_;   // plural.group
};

}  // namespace

std::unique_ptr<Controller> namespace_controller(Context context) { return std::make_unique<Namespaces>(context); }

}  // namespace rs::control
