// Reading and changing the parts every object has (metav1.ObjectMeta). Accessors are tolerant (base/json.h).
#pragma once

#include "api/kind.h"
#include "base/clock.h"

namespace rs::api {

struct ObjectKey {
  std::string ns;    // empty: cluster scoped
  std::string name;
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
};
std::string to_string(const ObjectKey& key);  // "ns/name" or "name"
ObjectKey key_of(const Json& object);

std::string_view name_of(const Json& object);
std::string_view namespace_of(const Json& object);
std::string_view uid_of(const Json& object);
int64_t resource_version_of(const Json& object);  // 0: none
std::string_view label(const Json& object, std::string_view name);
std::string_view annotation(const Json& object, std::string_view name);
bool is_deleting(const Json& object);              // has a deletionTimestamp

struct OwnerReference {
  std::string api_version, kind, name, uid;
  bool controller = false, block_owner_deletion = false;
};
std::vector<OwnerReference> owners_of(const Json& object);
std::optional<OwnerReference> controller_of(const Json& object);
Json owner_reference_to(const Json& owner, bool controller = true);  // for metadata.ownerReferences

// Conditions ({type, status, reason, message, lastTransitionTime}): the usual list in .status.conditions.
const Json* condition(const Json& object, std::string_view type);
bool condition_is_true(const Json& object, std::string_view type);
// Adds or changes; lastTransitionTime moves only when status changes. True when anything but times changed.
bool set_condition(Json& object, std::string_view type, std::string_view status, std::string_view reason,
                   std::string_view message, WallTime now);
bool remove_condition(Json& object, std::string_view type);

// Equality as Kubernetes' apiequality.Semantic: null, missing and empty are equal; quantities by value ("1" == "1000m").
bool semantically_equal(const Json& a, const Json& b);

// Quantities (apimachinery resource.Quantity): "100m", "1.5Gi". In thousandths, saturating; kInvalid otherwise.
Result<int64_t> quantity_milli(std::string_view text);
Result<int64_t> quantity_value(std::string_view text);    // rounded up, as Quantity.Value()
std::string format_bytes_quantity(int64_t bytes);         // binary suffix
std::string format_milli_quantity(int64_t milli);

// IntOrString scaled to total ("25%" of 10), rounding as asked; kInvalid for anything else.
Result<int64_t> scaled_int_or_percent(const Json* value, int64_t total, bool round_up);

// apimachinery duration.HumanDuration: "5m", "3h12m", "2d".
std::string human_duration(Duration duration);

}  // namespace rs::api
