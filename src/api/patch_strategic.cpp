// Strategic merge patch. The rules are those of apimachinery util/strategicpatch (mergeMap, mergeSlice and the order they
// leave lists in); which lists merge, and by which key, is the schema's knowledge.
#include "api/patch.h"
#include "api/schema.h"

namespace rs::api {
namespace {

constexpr std::string_view kPatch = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kDeleteFromList = "$deleteFromPrimitiveList/";
constexpr std::string_view kSetOrder = "$setElementOrder/";

bool is_directive(std::string_view name) {
  return name == kPatch || name == kRetainKeys || name.starts_with(kDeleteFromList) || name.starts_with(kSetOrder);
}

// What the schema says of the members of an object: a struct, or a map whose values are all alike. Nothing known: both null.
struct Level {
  const TypeInfo* type = nullptr;
  const TypeInfo* values = nullptr;
};

struct Member {
  Level below;                 // of the object, or of each item of the list
  bool merge = false;          // a list: items are merged, not replaced
  bool replace = false;        // an object: replaced, not merged
  std::string_view merge_key;  // a list of objects
};

Member member_of(const Level& level, std::string_view name) {
  Member out;
  if (level.values != nullptr) out.below.type = level.values;
  const FieldInfo* field = level.type == nullptr ? nullptr : level.type->field(name);
  if (field == nullptr) return out;
  const TypeInfo* type = field->value == ValueType::kMessage ? field->type : nullptr;
  if (field->shape == Shape::kMap) out.below.values = type;
  else out.below.type = type;
  out.merge = field->patch_merge;
  out.replace = field->patch_replace;
  out.merge_key = field->patch_merge_key;
  return out;
}

// The value without directives and nulls: what a patch adds where there was nothing.
Json plain(const Json& value) {
  if (value.is_object()) {
    JsonObject out;
    for (const auto& [name, member] : value.get_object())
      if (!member.is_null() && !is_directive(name)) out[name] = plain(member);
    return out;
  }
  if (value.is_array()) {
    JsonArray out;
    for (const Json& item : value.get_array())
      if (!item.is_object() || !item.get_object().contains(kPatch)) out.push_back(plain(item));
    return out;
  }
  return value;
}

// What identifies an item of a merging list: its merge key's value, or the item itself.
std::string identity(const Json& item, std::string_view merge_key) {
  if (merge_key.empty()) return to_text(item);
  const Json* value = detail::step(&item, merge_key);
  return value == nullptr ? std::string() : to_text(*value);
}

using Positions = std::unordered_map<std::string, size_t>;

Positions positions_of(const JsonArray& list, std::string_view merge_key) {
  Positions out;
  for (size_t i = 0; i < list.size(); ++i) out.try_emplace(identity(list[i], merge_key), i);
  return out;
}

// Puts merged into order: items that the patch names in the patch's order; the others keep the live list's order and go
// before the first patched item that stood behind them in the live list (normalizeElementOrder, mergeSortedSlice).
JsonArray ordered(JsonArray merged, const JsonArray& patch_order, const JsonArray& live, std::string_view merge_key) {
  struct Item {
    size_t rank = 0;       // in the order that rules it
    size_t position = 0;   // in merged: keeps equal ones stable
    std::optional<size_t> live;
  };
  Positions in_patch = positions_of(patch_order, merge_key), in_live = positions_of(live, merge_key);
  std::vector<Item> patched, others;
  for (size_t i = 0; i < merged.size(); ++i) {
    std::string id = identity(merged[i], merge_key);
    auto wanted = in_patch.find(id);
    auto had = in_live.find(id);
    Item item{.position = i};
    if (had != in_live.end()) item.live = had->second;
    if (wanted != in_patch.end()) {
      item.rank = wanted->second;
      patched.push_back(item);
    } else {
      item.rank = item.live.value_or(live.size());
      others.push_back(item);
    }
  }
  auto by_rank = [](const Item& a, const Item& b) { return std::tie(a.rank, a.position) < std::tie(b.rank, b.position); };
  std::sort(patched.begin(), patched.end(), by_rank);
  std::sort(others.begin(), others.end(), by_rank);
  JsonArray out;
  for (size_t i = 0, j = 0; i < others.size() || j < patched.size();) {
    bool take_other = j == patched.size() ||
                      (i < others.size() && others[i].live && patched[j].live && *others[i].live < *patched[j].live);
    out.push_back(std::move(merged[take_other ? others[i++].position : patched[j++].position]));
  }
  return out;
}

class StrategicPatcher {
 public:
  Result<Json> run(const Kind& kind, Json object, const Json& patch) {
    if (!patch.is_object()) return fail(Code::kBadRequest, "error decoding patch: a strategic merge patch is an object");
    if (!object.is_object()) object.emplace_object();
    merge_objects(object.get_object(), patch.get_object(), {.type = kind.type});
    if (error_) return fail(std::move(*error_));
    return object;
  }

 private:
  void malformed(std::string why) {
    if (!error_) error_ = Error{Code::kBadRequest, std::move(why)};
  }
  void refused(std::string why) {
    if (!error_)
      error_ = Error{Code::kInvalid, "the server rejected our request due to an error in our request: " + std::move(why)};
  }

  void merge_objects(JsonObject& live, const JsonObject& patch, const Level& level) {
    if (const Json* directive = patch.if_contains(kPatch)) {
      std::string_view text = directive->is_string() ? std::string_view(directive->get_string()) : "";
      if (text == "replace") live = plain(patch).get_object();
      else if (text == "delete") live.clear();
      else refused(fmt::format("unknown patch type: {} in map: {}", to_text(*directive), to_text(patch)));
      return;
    }
    retain_keys(live, patch);
    for (const auto& [name, value] : patch) {
      if (error_) return;
      std::string_view text = name;
      if (text.starts_with(kSetOrder)) merge_in_order(live, patch, text.substr(kSetOrder.size()), value, level);
      else if (text.starts_with(kDeleteFromList)) delete_from_list(live, text.substr(kDeleteFromList.size()), value);
      else if (text != kRetainKeys && !patch.contains(std::string(kSetOrder) + std::string(text)))
        merge_member(live, text, value, level);
    }
  }

  void merge_member(JsonObject& live, std::string_view name, const Json& value, const Level& level) {
    if (value.is_null()) {
      live.erase(name);
      return;
    }
    Json* have = live.if_contains(name);
    if (have != nullptr && have->is_object() && value.is_object()) {
      Member member = member_of(level, name);
      if (member.replace) *have = plain(value);
      else merge_objects(have->get_object(), value.get_object(), member.below);
    } else if (have != nullptr && have->is_array() && value.is_array()) {
      *have = merge_lists(std::move(have->get_array()), value.get_array(), member_of(level, name));
    } else {
      live[name] = plain(value);
    }
  }

  JsonArray merge_lists(JsonArray live, const JsonArray& patch, const Member& member) {
    if (!member.merge) return plain(patch).get_array();
    auto is_map = [](const Json& item) { return item.is_object(); };
    bool objects = std::all_of(live.begin(), live.end(), is_map) && std::all_of(patch.begin(), patch.end(), is_map);
    if (objects != !member.merge_key.empty() && !(live.empty() && patch.empty())) {
      refused("expected a list of items of one type");
      return live;
    }
    if (member.merge_key.empty()) return merge_primitives(std::move(live), patch);
    return merge_keyed(std::move(live), patch, member);
  }

  static JsonArray merge_primitives(JsonArray live, const JsonArray& patch) {
    JsonArray before = std::move(live), merged;
    std::unordered_set<std::string> seen;
    for (const JsonArray* part : std::initializer_list<const JsonArray*>{&before, &patch})
      for (const Json& item : *part)
        if (seen.insert(to_text(item)).second) merged.push_back(item);
    return ordered(std::move(merged), patch, before, "");
  }

  JsonArray merge_keyed(JsonArray live, const JsonArray& patch, const Member& member) {
    std::unordered_set<std::string> deleted;
    bool replace = false;
    JsonArray items;  // the patch without its directives
    for (const Json& item : patch) {
      const Json* directive = item.get_object().if_contains(kPatch);
      std::string_view text = directive != nullptr && directive->is_string() ? std::string_view(directive->get_string()) : "";
      if (text == "replace") {
        replace = true;
        continue;
      }
      if (directive != nullptr && text != "delete") {
        refused(text == "merge" ? "merging lists cannot yet be specified in the patch"
                                : fmt::format("unknown patch type: {} in map: {}", to_text(*directive), to_text(item)));
        return live;
      }
      if (!item.get_object().contains(member.merge_key)) {
        refused(fmt::format("map: {} does not contain declared merge key: {}", to_text(item), member.merge_key));
        return live;
      }
      if (directive != nullptr) deleted.insert(identity(item, member.merge_key));
      else items.push_back(item);
    }
    if (replace) return plain(items).get_array();
    if (!deleted.empty())
      live.erase(std::remove_if(live.begin(), live.end(),
                                [&](const Json& item) { return deleted.contains(identity(item, member.merge_key)); }),
                 live.end());
    JsonArray before = live;
    Positions places = positions_of(live, member.merge_key);
    for (const Json& item : items) {
      auto [place, added] = places.try_emplace(identity(item, member.merge_key), live.size());
      if (added) live.push_back(plain(item));
      else merge_objects(live[place->second].get_object(), item.get_object(), member.below);
    }
    return ordered(std::move(live), items, before, member.merge_key);
  }

  // $setElementOrder/name: the list's whole order, given beside (or without) a patch of its items.
  void merge_in_order(JsonObject& live, const JsonObject& patch, std::string_view name, const Json& order, const Level& level) {
    if (!order.is_array()) return malformed("invalid patch format of setElementOrder list");
    const Json* value = patch.if_contains(name);
    if (value != nullptr && value->is_null()) {
      live.erase(name);
      return;
    }
    if (value != nullptr && !value->is_array()) return malformed("invalid patch format of setElementOrder list");
    Member member = member_of(level, name);
    if (value != nullptr && !follows(value->get_array(), order.get_array(), member.merge_key))
      return refused(fmt::format("The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                                 to_text(*value), to_text(order)));
    Json* have = live.if_contains(name);
    JsonArray before = have != nullptr && have->is_array() ? have->get_array() : JsonArray();
    JsonArray merged;
    if (have != nullptr && have->is_array() && value != nullptr) merged = merge_lists(before, value->get_array(), member);
    else if (value != nullptr) merged = plain(*value).get_array();
    else if (have != nullptr && have->is_array()) merged = before;
    else return;
    if (!error_) live[name] = ordered(std::move(merged), order.get_array(), before, member.merge_key);
  }

  // Are the items of a patch in the order that is asked for? Those to be deleted need not be in it.
  static bool follows(const JsonArray& items, const JsonArray& order, std::string_view merge_key) {
    Positions places = positions_of(order, merge_key);
    size_t last = 0;
    for (const Json& item : items) {
      if (item.is_object() && item.get_object().contains(kPatch)) continue;
      auto place = places.find(identity(item, merge_key));
      if (place == places.end() || place->second < last) return false;
      last = place->second;
    }
    return true;
  }

  void delete_from_list(JsonObject& live, std::string_view name, const Json& values) {
    if (!values.is_array()) return malformed("invalid patch format of primitive list");
    Json* have = live.if_contains(name);
    if (have == nullptr || !have->is_array()) return;
    std::unordered_set<std::string> gone;
    for (const Json& value : values.get_array()) gone.insert(to_text(value));
    JsonArray& items = have->get_array();
    items.erase(std::remove_if(items.begin(), items.end(), [&](const Json& item) { return gone.contains(to_text(item)); }),
                items.end());
  }

  void retain_keys(JsonObject& live, const JsonObject& patch) {
    const Json* directive = patch.if_contains(kRetainKeys);
    if (directive == nullptr) return;
    if (!directive->is_array()) return malformed("invalid patch format of retainKeys");
    std::unordered_set<std::string> kept;
    for (const Json& name : directive->get_array()) {
      if (!name.is_string()) return malformed("invalid patch format of retainKeys");
      kept.emplace(std::string_view(name.get_string()));
    }
    for (const auto& [name, value] : patch)
      if (!value.is_null() && !is_directive(name) && !kept.contains(std::string(name)))
        return malformed("invalid patch format of retainKeys");
    JsonObject out;
    for (auto& [name, value] : live)
      if (kept.contains(std::string(name))) out[name] = std::move(value);
    live = std::move(out);
  }

  std::optional<Error> error_;
};

}  // namespace

Result<Json> strategic_merge_patch(const Kind& kind, Json object, const Json& patch) {
  return StrategicPatcher().run(kind, std::move(object), patch);
}

}  // namespace rs::api
