// What the files of the defaults share.
#pragma once

#include "base/json.h"

namespace rs::api::defaults {

inline bool is_unset(const Json* value) {
  return value == nullptr || value->is_null() || (value->is_string() && value->get_string().empty());
}
// Sets a member that is missing, null or "". A template, because 0 would also be a null pointer to characters.
template <class Value>
void put(Json& object, std::string_view name, Value value) {
  if (object.is_object() && is_unset(object.get_object().if_contains(name)))
    object.get_object()[name] = Json(std::move(value));
}
// The member as an object, made when it is missing; null when it is something else.
inline Json* child(Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  Json& value = object.get_object()[name];
  if (value.is_null()) value.emplace_object();
  return value.is_object() ? &value : nullptr;
}
// Calls function for each item of a list that is an object.
template <class Function>
void each(Json* list, Function function) {
  if (list == nullptr || !list->is_array()) return;
  for (Json& item : list->get_array())
    if (item.is_object()) function(item);
}

void workload(std::string_view kind, Json& object);                     // apps, batch, ReplicationController, PodTemplate
void pod(Json& object);
void claim_spec(Json& spec);                                            // PersistentVolumeClaimSpec

}  // namespace rs::api::defaults
