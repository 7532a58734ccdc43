#include "store/mvcc/index.h"

#include <algorithm>

#include "base/assert.h"

namespace rs::store::mvcc {
namespace {
constexpr int kFanout = 64;
}

const Version* KeyEntry::at(Revision revision) const {
  // Almost always the newest, or close to it.
  for (size_t i = versions.size(), steps = 0; i > 0 && steps < 4; --i, ++steps) {
    if (versions[i - 1].main <= revision) return versions[i - 1].tombstone ? nullptr : &versions[i - 1];
  }
  auto it = std::upper_bound(versions.begin(), versions.end(), revision,
                             [](Revision r, const Version& v) { return r < v.main; });
  if (it == versions.begin()) return nullptr;
  --it;
  return it->tombstone ? nullptr : &*it;
}

struct Index::Node {
  explicit Node(bool l) : leaf(l) {}
  const bool leaf;
  int size = 0;
  int64_t live = 0;
};
struct Index::Leaf : Node {
  Leaf() : Node(true) {}
  KeyEntry* entries[kFanout];
  // First position whose key is >= key.
  int position(std::string_view key) const {
    return int(std::lower_bound(entries, entries + size, key,
                                [](const KeyEntry* e, std::string_view k) { return std::string_view(e->key) < k; }) -
               entries);
  }
};
struct Index::Inner : Node {
  Inner() : Node(false) {}
  Node* children[kFanout];
  const KeyEntry* low[kFanout];  // the first entry below each child
  // The child that holds key, or would.
  int position(std::string_view key) const {
    auto it = std::upper_bound(low, low + size, key,
                               [](std::string_view k, const KeyEntry* e) { return k < std::string_view(e->key); });
    return std::max(0, int(it - low) - 1);
  }
};

Index::Index() : root_(new Leaf) {}
Index::~Index() { destroy(root_); }

void Index::destroy(Node* node) {
  if (node->leaf) {
    auto* leaf = static_cast<Leaf*>(node);
    for (int i = 0; i < leaf->size; ++i) delete leaf->entries[i];
    delete leaf;
    return;
  }
  auto* inner = static_cast<Inner*>(node);
  for (int i = 0; i < inner->size; ++i) destroy(inner->children[i]);
  delete inner;
}

const KeyEntry* Index::low_of(const Node* node) {
  while (!node->leaf) node = static_cast<const Inner*>(node)->children[0];
  return static_cast<const Leaf*>(node)->entries[0];
}

KeyEntry* Index::find(std::string_view key) const {
  const Node* node = root_;
  while (!node->leaf) {
    auto* inner = static_cast<const Inner*>(node);
    node = inner->children[inner->position(key)];
  }
  auto* leaf = static_cast<const Leaf*>(node);
  int i = leaf->position(key);
  return i < leaf->size && leaf->entries[i]->key == key ? leaf->entries[i] : nullptr;
}

KeyEntry& Index::append(std::string_view key, const Version& version) {
  int live_delta = 0;
  Node* split = nullptr;
  KeyEntry* entry = append_into(root_, key, version, live_delta, split);
  if (split != nullptr) {
    auto* top = new Inner;
    top->size = 2;
    top->children[0] = root_;
    top->children[1] = split;
    top->low[0] = low_of(root_);
    top->low[1] = low_of(split);
    top->live = root_->live + split->live;
    root_ = top;
  }
  return *entry;
}

KeyEntry* Index::append_into(Node* node, std::string_view key, const Version& version, int& live_delta, Node*& split) {
  if (node->leaf) {
    auto* leaf = static_cast<Leaf*>(node);
    int i = leaf->position(key);
    if (i < leaf->size && leaf->entries[i]->key == key) {
      KeyEntry* entry = leaf->entries[i];
      ASSERT(entry->latest().main < version.main ||
             (entry->latest().main == version.main && entry->latest().sub < version.sub));
      live_delta = int(!version.tombstone) - int(entry->live());
      entry->versions.push_back(version);
      leaf->live += live_delta;
      return entry;
    }
    auto* entry = new KeyEntry{std::string(key), {}};
    entry->versions.reserve(1);
    entry->versions.push_back(version);
    ++keys_;
    live_delta = version.tombstone ? 0 : 1;
    Leaf* target = leaf;
    if (leaf->size == kFanout) {
      // Keys that arrive in order leave full nodes behind them.
      int keep = i == kFanout ? kFanout - 1 : kFanout / 2;
      auto* right = new Leaf;
      right->size = kFanout - keep;
      std::copy(leaf->entries + keep, leaf->entries + kFanout, right->entries);
      leaf->size = keep;
      for (int k = 0; k < right->size; ++k) right->live += right->entries[k]->live();
      leaf->live -= right->live;
      split = right;
      if (i > keep) {
        target = right;
        i -= keep;
      }
    }
    std::copy_backward(target->entries + i, target->entries + target->size, target->entries + target->size + 1);
    target->entries[i] = entry;
    ++target->size;
    target->live += live_delta;
    return entry;
  }
  auto* inner = static_cast<Inner*>(node);
  int i = inner->position(key);
  Node* below = nullptr;
  KeyEntry* entry = append_into(inner->children[i], key, version, live_delta, below);
  inner->live += live_delta;
  if (key < std::string_view(inner->low[i]->key)) inner->low[i] = entry;
  if (below == nullptr) return entry;
  Inner* target = inner;
  int at = i + 1;
  if (inner->size == kFanout) {
    int keep = at == kFanout ? kFanout - 1 : kFanout / 2;
    auto* right = new Inner;
    right->size = kFanout - keep;
    std::copy(inner->children + keep, inner->children + kFanout, right->children);
    std::copy(inner->low + keep, inner->low + kFanout, right->low);
    inner->size = keep;
    if (at > keep) {
      target = right;
      at -= keep;
    }
    split = right;
  }
  std::copy_backward(target->children + at, target->children + target->size, target->children + target->size + 1);
  std::copy_backward(target->low + at, target->low + target->size, target->low + target->size + 1);
  target->children[at] = below;
  target->low[at] = low_of(below);
  ++target->size;
  if (split != nullptr) {
    auto* right = static_cast<Inner*>(split);
    right->live = 0;
    for (int k = 0; k < right->size; ++k) right->live += right->children[k]->live;
    inner->live = 0;
    for (int k = 0; k < inner->size; ++k) inner->live += inner->children[k]->live;
  }
  return entry;
}

void Index::visit(KeyRange range, const std::function<bool(const KeyEntry&)>& visit) const {
  if (range.single()) {
    if (const KeyEntry* entry = find(range.key)) visit(*entry);
    return;
  }
  if (range.empty()) return;
  // The path to the first leaf; then in-order from there.
  struct Step {
    const Inner* node;
    int child;
  };
  std::vector<Step> path;
  const Node* node = root_;
  while (!node->leaf) {
    auto* inner = static_cast<const Inner*>(node);
    int i = inner->position(range.key);
    path.push_back({inner, i});
    node = inner->children[i];
  }
  auto* leaf = static_cast<const Leaf*>(node);
  int i = leaf->position(range.key);
  while (true) {
    for (; i < leaf->size; ++i) {
      if (!range.before_end(leaf->entries[i]->key) || !visit(*leaf->entries[i])) return;
    }
    while (!path.empty() && path.back().child + 1 == path.back().node->size) path.pop_back();
    if (path.empty()) return;
    node = path.back().node->children[++path.back().child];
    while (!node->leaf) {
      auto* inner = static_cast<const Inner*>(node);
      path.push_back({inner, 0});
      node = inner->children[0];
    }
    leaf = static_cast<const Leaf*>(node);
    i = 0;
  }
}

int64_t Index::live_below(std::string_view key) const {
  int64_t count = 0;
  const Node* node = root_;
  while (!node->leaf) {
    auto* inner = static_cast<const Inner*>(node);
    int i = inner->position(key);
    for (int k = 0; k < i; ++k) count += inner->children[k]->live;
    node = inner->children[i];
  }
  auto* leaf = static_cast<const Leaf*>(node);
  int i = leaf->position(key);
  for (int k = 0; k < i; ++k) count += leaf->entries[k]->live();
  return count;
}

int64_t Index::live_count(KeyRange range) const {
  if (range.single()) {
    const KeyEntry* entry = find(range.key);
    return entry != nullptr && entry->live() ? 1 : 0;
  }
  if (range.empty()) return 0;
  return (range.unbounded() ? root_->live : live_below(range.end)) - live_below(range.key);
}

bool Index::compact_key(std::string_view key, Revision revision, size_t limit,
                        const std::function<void(const KeyEntry&, const Version&)>& dropped) {
  KeyEntry* entry = find(key);
  if (entry == nullptr) return true;
  auto& versions = entry->versions;
  size_t keep = size_t(std::upper_bound(versions.begin(), versions.end(), revision,
                                        [](Revision r, const Version& v) { return r < v.main; }) -
                       versions.begin());
  // The newest version at or below revision is still readable, unless it says that the key was gone by then.
  if (keep > 0) {
    const Version& seen = versions[keep - 1];
    if (!seen.tombstone || seen.main == revision) --keep;
  }
  if (keep == 0) return true;
  const bool all = keep <= limit;
  keep = std::min(keep, limit);
  for (size_t i = 0; i < keep; ++i) dropped(*entry, versions[i]);
  if (keep < versions.size()) {
    versions.erase(versions.begin(), versions.begin() + ptrdiff_t(keep));
    if (versions.capacity() > 2 * versions.size()) versions.shrink_to_fit();
    return all;
  }
  ASSERT(!entry->live(), "compaction drops a whole key only when it is deleted");
  erase_entry(entry);
  return true;
}

void Index::retract(std::string_view key) {
  KeyEntry* entry = find(key);
  ASSERT(entry != nullptr, "only what was appended is taken back");
  int before = entry->live();
  if (entry->versions.size() == 1) {
    if (before != 0) add_live(key, -1);
    erase_entry(entry);
    return;
  }
  entry->versions.pop_back();
  if (int after = entry->live(); after != before) add_live(key, after - before);
}

void Index::add_live(std::string_view key, int delta) {
  Node* node = root_;
  while (true) {
    node->live += delta;
    if (node->leaf) return;
    auto* inner = static_cast<Inner*>(node);
    node = inner->children[inner->position(key)];
  }
}

// Of an entry that no live count counts.
void Index::erase_entry(KeyEntry* entry) {
  erase_from(root_, entry->key);
  --keys_;
  delete entry;
  while (!root_->leaf && root_->size == 1) {
    auto* top = static_cast<Inner*>(root_);
    root_ = top->children[0];
    delete top;
  }
  if (!root_->leaf && root_->size == 0) {
    delete static_cast<Inner*>(root_);
    root_ = new Leaf;
  }
}

// Removes a dead key (so no live count changes). True when node is empty now. Nodes are not merged: an index that
// shrank a lot keeps some slack, which the next keys fill.
bool Index::erase_from(Node* node, std::string_view key) {
  if (node->leaf) {
    auto* leaf = static_cast<Leaf*>(node);
    int i = leaf->position(key);
    std::copy(leaf->entries + i + 1, leaf->entries + leaf->size, leaf->entries + i);
    return --leaf->size == 0;
  }
  auto* inner = static_cast<Inner*>(node);
  int i = inner->position(key);
  if (!erase_from(inner->children[i], key)) {
    inner->low[i] = low_of(inner->children[i]);
    return false;
  }
  destroy(inner->children[i]);
  std::copy(inner->children + i + 1, inner->children + inner->size, inner->children + i);
  std::copy(inner->low + i + 1, inner->low + inner->size, inner->low + i);
  return --inner->size == 0;
}

}  // namespace rs::store::mvcc
