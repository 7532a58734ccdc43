// Namespaces: the kubernetes finalizer in spec, phases, protected names (pkg/registry/core/namespace).
#include "api/meta.h"
#include "server/strategies/strategies.h"

namespace rs::server {
namespace {
constexpr const char* kNameLabel = "kubernetes.io/metadata.name";

class NamespaceStrategy final : public Strategy {
 public:
  Result<void> prepare_create(Core&, Write&, Json& object) const override {
    JsonArray finalizers;
    finalizers.emplace_back("kubernetes");
    for (const Json& finalizer : array(object, "spec", "finalizers"))
      if (finalizer != finalizers[0]) finalizers.push_back(finalizer);
    set(object, std::move(finalizers), "spec", "finalizers");
    set(object, JsonObject{{"phase", "Active"}}, "status");
    set(object, Json(api::name_of(object)), "metadata", "labels", kNameLabel);
    return {};
  }

  Result<void> prepare_update(Core&, Write& write, Json& object, const Json& old) const override {
    if (write.subresource == "finalize") {
      Json finalizers = array(object, "spec", "finalizers");
      Json metadata_finalizers = array(object, "metadata", "finalizers");
      object = old;
      set(object, std::move(finalizers), "spec", "finalizers");
      if (api::is_deleting(old)) set(object, std::move(metadata_finalizers), "metadata", "finalizers");
      return {};
    }
    if (const Json* finalizers = find(old, "spec", "finalizers")) set(object, *finalizers, "spec", "finalizers");
    if (write.subresource.empty()) set(object, Json(api::name_of(object)), "metadata", "labels", kNameLabel);
    return {};
  }

  Result<void> check_delete(Core&, const Write& write, const Json& object) const override {
    std::string_view name = api::name_of(object);
    if (name == "default" || name == "kube-system" || name == "kube-public")
      return fail(forbidden(*write.kind, name, "this namespace may not be deleted"));
    return {};
  }

  void mark_deleted(Json& object) const override { set(object, Json("Terminating"), "status", "phase"); }
  bool holds(const Json& object) const override { return !array(object, "spec", "finalizers").empty(); }
  bool returns_deleted_object() const override { return true; }
};
}  // namespace

const Strategy& namespace_strategy() {
  static const NamespaceStrategy kStrategy;
  return kStrategy;
}

}  // namespace rs::server
