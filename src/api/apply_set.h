// Sets of field paths, as managedFields hold them (structured-merge-diff fieldpath.Set; the fieldsV1 format). A value
// type; pure. Elements are kept in their fieldsV1 text: "f:name" a member, "k:{…}" an item by its keys, "v:…" an item of a
// set, "i:0" an index. A node may be in the set itself (".") and have members below it.
#pragma once

#include <map>
#include <optional>

#include "base/json.h"

namespace rs::api {

class FieldSet {
 public:
  using Path = std::vector<std::string>;

  void insert(const Path& path);
  bool empty() const { return !member_ && children_.empty(); }
  bool member() const { return member_; }
  const std::map<std::string, FieldSet, std::less<>>& children() const { return children_; }
  const FieldSet* child(std::string_view element) const;

  FieldSet united(const FieldSet& other) const;
  FieldSet minus(const FieldSet& other) const;          // path by path: what is below a path is another path
  FieldSet intersected(const FieldSet& other) const;
  // Every named member on the way to a path counts as in the set (EnsureNamedFieldsAreMembers).
  FieldSet with_named_parents() const;
  void erase_below(const Path& path);                   // path and everything below it
  void erase_member(const Path& path);                  // the path alone
  FieldSet only_below(const Path& path) const;
  std::vector<Path> paths() const;

  static std::optional<FieldSet> from_json(const Json& fields);  // nullopt: not fieldsV1
  Json to_json() const;
  friend bool operator==(const FieldSet&, const FieldSet&) = default;

 private:
  void collect(Path& path, std::vector<Path>& out) const;
  void prune_empty();

  bool member_ = false;
  std::map<std::string, FieldSet, std::less<>> children_;
};

// ".spec.containers[name=\"a\"].image", as conflicts are told.
std::string to_string(const FieldSet::Path& path);

}  // namespace rs::api
