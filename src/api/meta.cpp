#include "api/meta.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "api/quantity.h"

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

namespace {

// Below these members every string is a quantity.
bool holds_quantities(std::string_view name) {
  static constexpr std::string_view kNames[] = {"requests", "limits", "capacity",  "allocatable",   "overhead",
                                                "hard",     "used",   "max",       "min",           "default",
                                                "podFixed", "divisor", "sizeLimit", "defaultRequest", "allocatedResources"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

bool is_empty(const Json& value) {
  if (value.is_null()) return true;
  if (value.is_string()) return value.get_string().empty();
  if (value.is_array()) return value.get_array().empty();
  if (!value.is_object()) return false;
  return std::ranges::all_of(value.get_object(), [](const auto& member) { return is_empty(member.value()); });
}

bool equal(const Json& a, const Json& b, bool quantities) {
  if (a.is_object() && b.is_object()) {
    const JsonObject &left = a.get_object(), &right = b.get_object();
    for (const auto& member : left) {
      const Json* other = right.if_contains(member.key());
      if (other == nullptr ? !is_empty(member.value())
                           : !equal(member.value(), *other, quantities || holds_quantities(member.key())))
        return false;
    }
    return std::ranges::all_of(
        right, [&](const auto& member) { return left.contains(member.key()) || is_empty(member.value()); });
  }
  if (a.is_array() && b.is_array() && a.get_array().size() == b.get_array().size()) {
    for (size_t i = 0; i < a.get_array().size(); ++i)
      if (!equal(a.get_array()[i], b.get_array()[i], quantities)) return false;
    return true;
  }
  if (a == b || (is_empty(a) && is_empty(b))) return true;
  if (!quantities) return false;
  auto quantity = [](const Json& value) {
    return Quantity::parse(value.is_string() ? std::string(value.get_string()) : to_text(value));
  };
  auto left = quantity(a), right = quantity(b);
  return left && right && left->nanos == right->nanos;
}

int64_t saturated(__int128 value) {
  constexpr __int128 kLimit = std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(std::clamp(value, -kLimit - 1, kLimit));
}

// Away from zero, as Quantity.ScaledValue.
Result<int64_t> scaled_quantity(std::string_view text, int64_t nanos) {
  auto quantity = Quantity::parse(text);
  if (!quantity) return fail(Code::kInvalid, "{}", Quantity::kMalformed);
  __int128 value = quantity->nanos / nanos, rest = quantity->nanos % nanos;
  if (rest != 0) value += rest > 0 ? 1 : -1;
  return saturated(value);
}

}  // namespace

bool semantically_equal(const Json& a, const Json& b) { return equal(a, b, false); }

Result<int64_t> quantity_milli(std::string_view text) { return scaled_quantity(text, 1'000'000); }
Result<int64_t> quantity_value(std::string_view text) { return scaled_quantity(text, 1'000'000'000); }

std::string format_bytes_quantity(int64_t bytes) {
  return Quantity{__int128(bytes) * 1'000'000'000, Quantity::Format::kBinarySi}.canonical();
}
std::string format_milli_quantity(int64_t milli) {
  return Quantity{__int128(milli) * 1'000'000, Quantity::Format::kDecimalSi}.canonical();
}

Result<int64_t> scaled_int_or_percent(const Json* value, int64_t total, bool round_up) {
  if (value == nullptr) return fail(Code::kInvalid, "nil value for IntOrString");
  if (value->is_number() && !value->is_double()) return integer_of(value, 0);
  if (!value->is_string())
    return fail(Code::kInvalid, "invalid value for IntOrString: invalid type: neither int nor percentage");
  std::string_view text = value->get_string();
  if (!text.ends_with('%')) return fail(Code::kInvalid, "invalid value for IntOrString: invalid type: string is not a percentage");
  int32_t percent = 0;
  const char* last = text.data() + text.size() - 1;
  if (auto [end, error] = std::from_chars(text.data(), last, percent); error != std::errc() || end != last)
    return fail(Code::kInvalid, "invalid value for IntOrString: invalid value \"{}\": invalid syntax", text);
  __int128 product = __int128(percent) * total;
  __int128 whole = product / 100, rest = product % 100;
  if (rest > 0 && round_up) ++whole;
  if (rest < 0 && !round_up) --whole;
  return saturated(whole);
}

std::string human_duration(Duration duration) {
  using namespace std::chrono;
  int64_t total = duration_cast<seconds>(duration).count();
  if (total < -1) return "<invalid>";
  if (total < 0) return "0s";
  if (total < 120) return fmt::format("{}s", total);
  // A large unit, and a small one unless it is zero.
  auto two = [](int64_t large, std::string_view large_unit, int64_t small, std::string_view small_unit) {
    return small == 0 ? fmt::format("{}{}", large, large_unit) : fmt::format("{}{}{}{}", large, large_unit, small, small_unit);
  };
  int64_t minutes = total / 60, hours = minutes / 60, days = hours / 24;
  if (minutes < 10) return two(minutes, "m", total % 60, "s");
  if (minutes < 180) return fmt::format("{}m", minutes);
  if (hours < 8) return two(hours, "h", minutes % 60, "m");
  if (hours < 48) return fmt::format("{}h", hours);
  if (hours < 24 * 8) return two(days, "d", hours % 24, "h");
  if (hours < 24 * 365 * 2) return fmt::format("{}d", days);
  if (hours < 24 * 365 * 8) return two(days / 365, "y", days % 365, "d");
  return fmt::format("{}y", days / 365);
}

}  // namespace rs::api
