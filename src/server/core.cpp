#include "server/core.h"

namespace rs::server {

std::shared_ptr<ResourceCache> Core::resource(std::string_view group, std::string_view plural) const {
  for (const auto& kind : kinds.all())
    if (kind->stored && kind->plural == plural && kind->group == group) return cache.of(*kind);
  return nullptr;
}

ObjectPtr Core::find(std::string_view group, std::string_view plural, std::string_view ns, std::string_view name) const {
  auto objects = resource(group, plural);
  return objects == nullptr ? nullptr : objects->get(ns, name);
}

}  // namespace rs::server
