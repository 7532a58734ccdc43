#include "api/meta.h"

#include <charconv>

namespace rs::api {

std::string to_string(const ObjectKey& key) { return key.ns.empty() ? key.name : fmt::format("{}/{}", key.ns, key.name); }

ObjectKey key_of(const Json& object) {
  return {std::string(namespace_of(object)), std::string(name_of(object))};
}

std::string_view name_of(const Json& object) { return str(object, "metadata", "name"); }
std::string_view namespace_of(const Json& object) { return str(object, "metadata", "namespace"); }
std::string_view uid_of(const Json& object) { return str(object, "metadata", "uid"); }

int64_t resource_version_of(const Json& object) {
  std::string_view text = str(object, "metadata", "resourceVersion");
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value > 0 ? value : 0;
}

std::string_view label(const Json& object, std::string_view name) { return str(object, "metadata", "labels", name); }
std::string_view annotation(const Json& object, std::string_view name) {
  return str(object, "metadata", "annotations", name);
}
bool is_deleting(const Json& object) { return find(object, "metadata", "deletionTimestamp") != nullptr; }

namespace {
OwnerReference read_owner(const Json& reference) {
  return {std::string(str(reference, "apiVersion")), std::string(str(reference, "kind")),
          std::string(str(reference, "name")),       std::string(str(reference, "uid")),
          boolean(reference, "controller"),          boolean(reference, "blockOwnerDeletion")};
}
}  // namespace

std::vector<OwnerReference> owners_of(const Json& object) {
  std::vector<OwnerReference> owners;
  for (const Json& reference : array(object, "metadata", "ownerReferences")) owners.push_back(read_owner(reference));
  return owners;
}

std::optional<OwnerReference> controller_of(const Json& object) {
  for (const Json& reference : array(object, "metadata", "ownerReferences"))
    if (boolean(reference, "controller")) return read_owner(reference);
  return std::nullopt;
}

Json owner_reference_to(const Json& owner, bool controller) {
  JsonObject reference{{"apiVersion", str(owner, "apiVersion")},
                       {"kind", str(owner, "kind")},
                       {"name", name_of(owner)},
                       {"uid", uid_of(owner)}};
  if (controller) {
    reference["controller"] = true;
    reference["blockOwnerDeletion"] = true;
  }
  return reference;
}

const Json* condition(const Json& object, std::string_view type) {
  for (const Json& item : array(object, "status", "conditions"))
    if (str(item, "type") == type) return &item;
  return nullptr;
}

bool condition_is_true(const Json& object, std::string_view type) {
  const Json* found = condition(object, type);
  return found != nullptr && str(*found, "status") == "True";
}

bool set_condition(Json& object, std::string_view type, std::string_view status, std::string_view reason,
                   std::string_view message, WallTime now) {
  Json& list = ensure(object, "status", "conditions");
  if (!list.is_array()) list.emplace_array();
  Json* item = const_cast<Json*>(condition(object, type));
  if (item == nullptr) {
    item = &list.get_array().emplace_back(JsonObject{{"type", type}});
  } else if (str(*item, "status") == status && str(*item, "reason") == reason && str(*item, "message") == message) {
    return false;
  }
  auto& members = item->get_object();
  if (str(*item, "status") != status) members["lastTransitionTime"] = rfc3339(now);
  members["status"] = status;
  auto set_or_erase = [&](std::string_view name, std::string_view value) {
    if (value.empty()) members.erase(name);
    else members[name] = value;
  };
  set_or_erase("reason", reason);
  set_or_erase("message", message);
  return true;
}

bool remove_condition(Json& object, std::string_view type) {
  Json* list = find(object, "status", "conditions");
  if (list == nullptr || !list->is_array()) return false;
  auto& items = list->get_array();
  for (auto item = items.begin(); item != items.end(); ++item) {
    if (str(*item, "type") != type) continue;
    items.erase(item);
    return true;
  }
  return false;
}

}  // namespace rs::api
