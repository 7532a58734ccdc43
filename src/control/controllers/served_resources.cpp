#include "control/controllers/served_resources.h"

#include <set>

#include "api/kind.h"

namespace rs::control {

const client::Resource kCustomResourceDefinitions{"apiextensions.k8s.io", "v1", "customresourcedefinitions",
                                                  "CustomResourceDefinition", false};

std::vector<client::Resource> collectable_resources() {
  std::vector<client::Resource> out;
  std::set<std::string> seen;
  for (const auto& kind : api::builtin_kinds().all()) {
    auto can = [&](std::string_view verb) { return std::ranges::find(kind->verbs, verb) != kind->verbs.end(); };
    if (!kind->stored || kind->plural == "events" || !can("list") || !can("watch") || !can("delete")) continue;
    if (seen.insert(kind->group + "/" + kind->plural).second)
      out.push_back({kind->group, kind->version, kind->plural, kind->kind, kind->namespaced});
  }
  return out;
}

std::optional<client::Resource> custom_resource(const Json& definition) {
  if (!api::condition_is_true(definition, "Established") || api::is_deleting(definition)) return std::nullopt;
  for (const Json& version : array(definition, "spec", "versions"))
    if (boolean(version, "served") && boolean(version, "storage"))
      return client::Resource{std::string(str(definition, "spec", "group")), std::string(str(version, "name")),
                              std::string(str(definition, "spec", "names", "plural")),
                              std::string(str(definition, "spec", "names", "kind")),
                              str(definition, "spec", "scope") == "Namespaced"};
  return std::nullopt;
}

}  // namespace rs::control
