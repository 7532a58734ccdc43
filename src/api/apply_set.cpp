#include "api/apply_set.h"

#include <fmt/format.h>

namespace rs::api {
namespace {

// One spelling for one element: keys sorted, no blanks.
std::optional<std::string> canonical_element(std::string_view text) {
  if (text.size() < 2 || text[1] != ':') return std::nullopt;
  std::string_view rest = text.substr(2);
  switch (text[0]) {
    case 'f': return std::string(text);
    case 'i':
      if (rest.empty() || rest.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
      return std::string(text);
    case 'v': {
      Result<Json> value = parse_json(rest);
      if (!value) return std::nullopt;
      return "v:" + to_text(*value);
    }
    case 'k': {
      Result<Json> keys = parse_json(rest);
      if (!keys || !keys->is_object()) return std::nullopt;
      std::map<std::string, Json> sorted;
      for (const auto& [name, value] : keys->get_object()) sorted[std::string(name)] = value;
      JsonObject out;
      for (auto& [name, value] : sorted) out[name] = std::move(value);
      return "k:" + to_text(out);
    }
    default: return std::nullopt;
  }
}

}  // namespace

void FieldSet::insert(const Path& path) {
  FieldSet* node = this;
  for (const std::string& element : path) node = &node->children_[element];
  node->member_ = true;
}

const FieldSet* FieldSet::child(std::string_view element) const {
  auto found = children_.find(element);
  return found == children_.end() ? nullptr : &found->second;
}

FieldSet FieldSet::united(const FieldSet& other) const {
  FieldSet out = *this;
  out.member_ |= other.member_;
  for (const auto& [element, theirs] : other.children_) {
    auto [mine, added] = out.children_.try_emplace(element);
    mine->second = added ? theirs : mine->second.united(theirs);
  }
  return out;
}

FieldSet FieldSet::minus(const FieldSet& other) const {
  FieldSet out;
  out.member_ = member_ && !other.member_;
  for (const auto& [element, mine] : children_) {
    const FieldSet* theirs = other.child(element);
    FieldSet rest = theirs == nullptr ? mine : mine.minus(*theirs);
    if (!rest.empty()) out.children_.emplace(element, std::move(rest));
  }
  return out;
}

FieldSet FieldSet::intersected(const FieldSet& other) const {
  FieldSet out;
  out.member_ = member_ && other.member_;
  for (const auto& [element, mine] : children_)
    if (const FieldSet* theirs = other.child(element))
      if (FieldSet both = mine.intersected(*theirs); !both.empty()) out.children_.emplace(element, std::move(both));
  return out;
}

FieldSet FieldSet::with_named_parents() const {
  FieldSet out;
  out.member_ = member_;
  for (const auto& [element, below] : children_) {
    FieldSet named = below.with_named_parents();
    if (element.starts_with("f:")) named.member_ = true;
    out.children_.emplace(element, std::move(named));
  }
  return out;
}

void FieldSet::prune_empty() {
  std::erase_if(children_, [](const auto& entry) { return entry.second.empty(); });
}

void FieldSet::erase_below(const Path& path) {
  if (path.empty()) {
    *this = {};
    return;
  }
  auto found = children_.find(path.front());
  if (found == children_.end()) return;
  found->second.erase_below(Path(path.begin() + 1, path.end()));
  prune_empty();
}

void FieldSet::erase_member(const Path& path) {
  if (path.empty()) {
    member_ = false;
    return;
  }
  auto found = children_.find(path.front());
  if (found == children_.end()) return;
  found->second.erase_member(Path(path.begin() + 1, path.end()));
  prune_empty();
}

FieldSet FieldSet::only_below(const Path& path) const {
  if (path.empty()) return *this;
  FieldSet out;
  if (const FieldSet* below = child(path.front()))
    if (FieldSet rest = below->only_below(Path(path.begin() + 1, path.end())); !rest.empty())
      out.children_.emplace(path.front(), std::move(rest));
  return out;
}

void FieldSet::collect(Path& path, std::vector<Path>& out) const {
  if (member_) out.push_back(path);
  for (const auto& [element, below] : children_) {
    path.push_back(element);
    below.collect(path, out);
    path.pop_back();
  }
}

std::vector<FieldSet::Path> FieldSet::paths() const {
  std::vector<Path> out;
  Path path;
  collect(path, out);
  return out;
}

std::optional<FieldSet> FieldSet::from_json(const Json& fields) {
  if (!fields.is_object()) return std::nullopt;
  FieldSet out;
  for (const auto& [key, value] : fields.get_object()) {
    if (key == ".") {
      out.member_ = true;
      continue;
    }
    std::optional<std::string> element = canonical_element(key);
    std::optional<FieldSet> below = from_json(value);
    if (!element || !below) return std::nullopt;
    if (below->empty()) below->member_ = true;
    out.children_[*element] = std::move(*below);
  }
  return out;
}

Json FieldSet::to_json() const {
  JsonObject out;
  if (member_ && !children_.empty()) out["."] = JsonObject();
  for (const auto& [element, below] : children_) out[element] = below.to_json();
  return out;
}

std::string to_string(const FieldSet::Path& path) {
  std::string out;
  for (const std::string& element : path) {
    std::string_view rest = std::string_view(element).substr(2);
    if (element.starts_with("f:")) {
      out += fmt::format(".{}", rest);
    } else if (element.starts_with("i:")) {
      out += fmt::format("[{}]", rest);
    } else if (element.starts_with("v:")) {
      out += fmt::format("[={}]", rest);
    } else {
      std::string keys;
      if (Result<Json> parsed = parse_json(rest); parsed && parsed->is_object())
        for (const auto& [name, value] : parsed->get_object())
          keys += fmt::format("{}{}={}", keys.empty() ? "" : ",", std::string_view(name), to_text(value));
      out += fmt::format("[{}]", keys);
    }
  }
  return out;
}

}  // namespace rs::api
