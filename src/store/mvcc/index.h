// Index: every user key with its versions, ordered, in memory.
//
// A counted B+-tree: each inner node knows how many live keys (latest version not a tombstone) lie below it, so that
// counting a range costs O(log n). Values are not here: a Version names the record (main, sub) that holds one.
// A resource; one loop. Pointers to entries stay valid until the entry is erased by compact_key().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/mvcc/key_range.h"
#include "store/store.h"

namespace rs::store::mvcc {

struct Version {
  Revision main = 0;
  uint32_t sub : 31 = 0;
  uint32_t tombstone : 1 = 0;
  uint32_t value_bytes = 0;
  Revision create = 0;   // first main revision of the generation; 0 in a tombstone
  int64_t version = 0;   // puts in the generation so far; 0 in a tombstone
  LeaseId lease = 0;
};

struct KeyEntry {
  std::string key;
  std::vector<Version> versions;  // ascending (main, sub); never empty

  const Version& latest() const { return versions.back(); }
  bool live() const { return !versions.back().tombstone; }
  // The version that is seen at a revision; nullptr when the key did not exist then.
  const Version* at(Revision revision) const;
};

class Index {
 public:
  Index();
  ~Index();
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  KeyEntry* find(std::string_view key) const;
  // Appends a version (newer than all of the key's); makes the entry when there is none.
  KeyEntry& append(std::string_view key, const Version& version);
  // Takes back the key's newest version; erases an entry without versions.
  void retract(std::string_view key);
  // Entries of the range in key order until visit says false. visit must not change the index.
  void visit(KeyRange range, const std::function<bool(const KeyEntry&)>& visit) const;
  // Keys of the range that are live in their latest version.
  int64_t live_count(KeyRange range) const;
  size_t keys() const { return keys_; }

  // Drops the versions that no read at or after revision can see, oldest first and at most limit of them, handing each to
  // dropped; false: there are more. A tombstone at exactly revision stays (a watch from there still tells of the delete:
  // etcd #19179). Erases an entry without versions.
  bool compact_key(std::string_view key, Revision revision, size_t limit,
                   const std::function<void(const KeyEntry&, const Version&)>& dropped);

 private:
  struct Node;
  struct Leaf;
  struct Inner;
  struct Split;
  static const KeyEntry* low_of(const Node* node);
  KeyEntry* append_into(Node* node, std::string_view key, const Version& version, int& live_delta, Node*& split);
  bool erase_from(Node* node, std::string_view key);
  void erase_entry(KeyEntry* entry);
  void add_live(std::string_view key, int delta);
  int64_t live_below(std::string_view key) const;  // live keys < key
  static void destroy(Node* node);

  Node* root_;
  size_t keys_ = 0;
};

}  // namespace rs::store::mvcc
