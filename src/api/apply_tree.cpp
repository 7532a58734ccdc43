#include "api/apply_tree.h"

#include "api/schema.h"

namespace rs::api {
namespace {

// How apply sees a value.
struct Ref {
  enum class Form {
    kLeaf,    // one owner for all of it
    kObject,  // members by the schema
    kMap,     // any members, all alike
    kSet,     // a list of different scalars
    kKeyed,   // a list of objects told apart by some members
    kFree,    // no schema: objects by member, the rest whole
  };
  Form form = Form::kLeaf;
  const TypeInfo* type = nullptr;    // of the object, or of each member or item; null: scalars
  const FieldInfo* field = nullptr;  // says the keys of a kKeyed
  bool always_there = false;         // Go always writes it: an empty struct, a null list
};

Ref object_ref(const TypeInfo* type) {
  if (type == nullptr || type->atomic) return {};
  return {Ref::Form::kObject, type};
}

Ref ref_of(const FieldInfo& field) {
  Ref out;
  out.field = &field;
  out.type = field.value == ValueType::kMessage ? field.type : nullptr;
  out.always_there = field.shape == Shape::kSingle ? field.value == ValueType::kMessage && !field.pointer : !field.omit_empty;
  if (field.atomic()) out.form = Ref::Form::kLeaf;
  else if (field.shape == Shape::kList)
    out.form = field.list_type == ListType::kSet ? Ref::Form::kSet : field.list_type == ListType::kMap ? Ref::Form::kKeyed : Ref::Form::kLeaf;
  else if (field.shape == Shape::kMap) out.form = Ref::Form::kMap;
  else if (field.value == ValueType::kMessage) out.form = Ref::Form::kObject;
  else out.form = Ref::Form::kFree;
  return out;
}

Ref member_ref(const Ref& ref, std::string_view name) {
  switch (ref.form) {
    case Ref::Form::kObject: {
      const FieldInfo* field = ref.type->field(name);
      return field == nullptr ? Ref{Ref::Form::kFree} : ref_of(*field);
    }
    case Ref::Form::kMap: return object_ref(ref.type);
    case Ref::Form::kFree: return {Ref::Form::kFree};
    default: return {};
  }
}

Ref root_ref(const Kind& kind) { return kind.type == nullptr ? Ref{Ref::Form::kFree} : Ref{Ref::Form::kObject, kind.type}; }

bool by_members(const Ref& ref) {
  return ref.form == Ref::Form::kObject || ref.form == Ref::Form::kMap || ref.form == Ref::Form::kFree;
}
bool by_items(const Ref& ref) { return ref.form == Ref::Form::kSet || ref.form == Ref::Form::kKeyed; }

// "k:{…}" or "v:…" of an item; a key that is missing has its default (protocol: TCP).
std::string item_element(const Ref& list, const Json& item) {
  if (list.form == Ref::Form::kSet) return "v:" + to_text(item);
  std::map<std::string, Json> keys;
  for (std::string_view key : list.field->list_keys) {
    const Json* value = detail::step(&item, key);
    if (value != nullptr && !value->is_null()) {
      keys[std::string(key)] = *value;
      continue;
    }
    const FieldInfo* field = list.type == nullptr ? nullptr : list.type->field(key);
    if (field == nullptr || field->default_value.empty()) continue;
    if (Result<Json> standard = parse_json(field->default_value)) keys[std::string(key)] = std::move(*standard);
  }
  JsonObject out;
  for (auto& [key, value] : keys) out[key] = std::move(value);
  return "k:" + to_text(out);
}

Ref item_ref(const Ref& list) { return list.form == Ref::Form::kKeyed ? object_ref(list.type) : Ref{}; }

std::vector<std::string> item_elements(const Ref& list, const JsonArray& items) {
  std::vector<std::string> out;
  out.reserve(items.size());
  for (const Json& item : items) out.push_back(item_element(list, item));
  return out;
}

bool is_null(const Json* value) { return value == nullptr || value->is_null(); }

// The paths of one value, collected below path.
class Collector {
 public:
  Result<FieldSet> run(const Ref& ref, const Json& value) {
    visit(ref, value);
    if (error_) return fail(std::move(*error_));
    return std::move(set_);
  }

 private:
  void visit(const Ref& ref, const Json& value) {
    if (error_) return;
    if (by_members(ref) && value.is_object()) {
      for (const auto& [name, member] : value.get_object()) {
        if (member.is_null()) continue;
        Ref below = member_ref(ref, name);
        path_.push_back(fmt::format("f:{}", std::string_view(name)));
        visit(below, member);
        if (member.is_object() && member.get_object().empty()) set_.insert(path_);
        path_.pop_back();
      }
    } else if (by_items(ref) && value.is_array()) {
      std::set<std::string> seen;
      for (const Json& item : value.get_array()) {
        std::string element = item_element(ref, item);
        path_.push_back(element);
        if (!seen.insert(element).second && !error_)
          error_ = Error{Code::kBadRequest, fmt::format("failed to create typed patch object: errors:\n  {}: duplicate entries "
                                                        "for key {}", to_string(FieldSet::Path(path_.begin(), path_.end() - 1)),
                                                        to_string(FieldSet::Path{element}))};
        visit(item_ref(ref), item);
        set_.insert(path_);
        path_.pop_back();
      }
    } else {
      set_.insert(path_);
    }
  }

  FieldSet set_;
  FieldSet::Path path_;
  std::optional<Error> error_;
};

class Comparer {
 public:
  Comparison run(const Ref& ref, const Json& before, const Json& after) {
    visit(ref, &before, &after, true);
    return std::move(out_);
  }

 private:
  void visit(const Ref& ref, const Json* before, const Json* after, bool there) {
    if (is_null(before) && is_null(after)) return;
    bool members = by_members(ref) && (is_null(before) || before->is_object()) && (is_null(after) || after->is_object());
    bool items = by_items(ref) && (is_null(before) || before->is_array()) && (is_null(after) || after->is_array());
    bool nothing_below = (is_null(before) || is_empty(*before)) && (is_null(after) || is_empty(*after));
    if ((members || items) && !nothing_below) {
      if (members) visit_members(ref, before, after, there);
      else visit_items(ref, before, after);
      // A struct that is not a pointer is always there in Go, empty or not: nobody adds or removes it.
      if (!there && is_null(before)) out_.added.insert(path_);
      else if (!there && is_null(after)) out_.removed.insert(path_);
      return;
    }
    if (is_null(before)) out_.added.insert(path_);
    else if (is_null(after)) out_.removed.insert(path_);
    else if (*before != *after) out_.modified.insert(path_);
  }

  static bool is_empty(const Json& value) {
    return (value.is_object() && value.get_object().empty()) || (value.is_array() && value.get_array().empty());
  }

  void visit_members(const Ref& ref, const Json* before, const Json* after, bool there) {
    static const JsonObject kEmpty;
    const JsonObject& left = is_null(before) ? kEmpty : before->get_object();
    const JsonObject& right = is_null(after) ? kEmpty : after->get_object();
    bool both = there || (!is_null(before) && !is_null(after));
    auto member = [&](std::string_view name, const Json* a, const Json* b) {
      Ref below = member_ref(ref, name);
      path_.push_back(fmt::format("f:{}", name));
      visit(below, a, b, both && below.always_there);
      path_.pop_back();
    };
    for (const auto& [name, value] : left) member(name, &value, right.if_contains(name));
    for (const auto& [name, value] : right)
      if (!left.contains(name)) member(name, nullptr, &value);
  }

  void visit_items(const Ref& ref, const Json* before, const Json* after) {
    static const JsonArray kEmpty;
    const JsonArray& left = is_null(before) ? kEmpty : before->get_array();
    const JsonArray& right = is_null(after) ? kEmpty : after->get_array();
    std::map<std::string, std::pair<const Json*, const Json*>> pairs;
    for (const Json& item : left) pairs[item_element(ref, item)].first = &item;
    for (const Json& item : right) pairs[item_element(ref, item)].second = &item;
    for (const auto& [element, pair] : pairs) {
      path_.push_back(element);
      visit(item_ref(ref), pair.first, pair.second, false);
      path_.pop_back();
    }
  }

  Comparison out_;
  FieldSet::Path path_;
};

Json merge_values(const Ref& ref, const Json& live, const Json& config);

// Items of config in config's order; those that only live has stay as far in front as they were among live's items
// (mergingWalker.visitListItems).
Json merge_items(const Ref& ref, const JsonArray& live, const JsonArray& config) {
  std::vector<std::string> left = item_elements(ref, live), right = item_elements(ref, config);
  std::map<std::string_view, size_t> in_left, in_right;
  for (size_t i = 0; i < left.size(); ++i) in_left.try_emplace(left[i], i);
  for (size_t i = 0; i < right.size(); ++i) in_right.try_emplace(right[i], i);
  JsonArray out;
  size_t l = 0, r = 0, next_shared = 0;  // the first item of config from r on that live has too
  while (l < left.size() || r < right.size()) {
    while (next_shared < right.size() && (next_shared < r || !in_left.contains(right[next_shared]))) ++next_shared;
    if (l < left.size() && !in_right.contains(left[l])) {
      out.push_back(live[l++]);
      continue;
    }
    if (r == right.size()) break;  // what is left of live has been taken with config's items
    bool same = l < left.size() && left[l] == right[r];
    if (!same && l < left.size() && next_shared < right.size() && right[next_shared] != left[l]) {
      ++l;  // stands elsewhere in config
      continue;
    }
    auto shared = in_left.find(right[r]);
    out.push_back(shared == in_left.end() ? config[r] : merge_values(item_ref(ref), live[shared->second], config[r]));
    l += same;
    ++r;
  }
  // Duplicates and items passed over end the loop early: what only live has must not be lost.
  for (; l < left.size(); ++l)
    if (!in_right.contains(left[l])) out.push_back(live[l]);
  return out;
}

Json merge_values(const Ref& ref, const Json& live, const Json& config) {
  if (by_members(ref) && live.is_object() && config.is_object()) {
    JsonObject out = live.get_object();
    for (const auto& [name, value] : config.get_object()) {
      if (value.is_null()) continue;
      Json* have = out.if_contains(name);
      if (is_null(have)) out[name] = value;
      else *have = merge_values(member_ref(ref, name), *have, value);
    }
    return out;
  }
  if (by_items(ref) && live.is_array() && config.is_array()) return merge_items(ref, live.get_array(), config.get_array());
  return config;
}

Json prune_value(const Ref& ref, const Json& value, const FieldSet& gone, const FieldSet* kept) {
  auto goes = [&](const std::string& element, const FieldSet*& below, const FieldSet*& kept_below) {
    below = gone.child(element);
    kept_below = kept == nullptr ? nullptr : kept->child(element);
    return below != nullptr && below->member() && (kept_below == nullptr || !kept_below->member());
  };
  const FieldSet* below = nullptr;
  const FieldSet* kept_below = nullptr;
  if (by_members(ref) && value.is_object()) {
    JsonObject out;
    for (const auto& [name, member] : value.get_object()) {
      if (goes(fmt::format("f:{}", std::string_view(name)), below, kept_below)) continue;
      out[name] = below == nullptr ? member : prune_value(member_ref(ref, name), member, *below, kept_below);
    }
    return out;
  }
  if (by_items(ref) && value.is_array()) {
    JsonArray out;
    for (const Json& item : value.get_array()) {
      if (goes(item_element(ref, item), below, kept_below)) continue;
      out.push_back(below == nullptr ? item : prune_value(item_ref(ref), item, *below, kept_below));
    }
    return out;
  }
  return value;
}

}  // namespace

Result<FieldSet> fields_of(const Kind& kind, const Json& config) { return Collector().run(root_ref(kind), config); }

Comparison compare(const Kind& kind, const Json& before, const Json& after) {
  return Comparer().run(root_ref(kind), before, after);
}

Json merged(const Kind& kind, const Json& live, const Json& config) { return merge_values(root_ref(kind), live, config); }

Json pruned(const Kind& kind, const Json& object, const FieldSet& gone, const FieldSet& kept) {
  return prune_value(root_ref(kind), object, gone, &kept);
}

}  // namespace rs::api
