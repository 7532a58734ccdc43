#include "store/mvcc/watch_hub.h"

#include <algorithm>

#include "base/assert.h"
#include "store/mvcc/errors.h"

namespace rs::store::mvcc {
namespace {
// How much of history one step of one watcher reads: etcd sends at most 1000 revisions in a response.
constexpr size_t kStepEvents = 1000, kStepRecords = 4000;

bool ends_after(std::string_view end, std::string_view key) { return end == kNoEnd || end > key; }
bool ends_later(std::string_view a, std::string_view b) { return b != kNoEnd && (a == kNoEnd || a > b); }

bool wanted(const Watcher& watcher, const EventSlot& slot) {
  return slot.event->type == Event::Type::kPut ? !watcher.no_put : !watcher.no_delete;
}
}  // namespace

Watcher* WatchHub::add(Watcher given) {
  auto owned = std::make_unique<Watcher>(std::move(given));
  Watcher* watcher = owned.get();
  watchers_.emplace(watcher, std::move(owned));
  Revision next = machine_.durable() + 1;
  watcher->from_now = watcher->start <= 0;
  if (watcher->from_now) watcher->start = next;
  if (watcher->start >= next) {
    watcher->synced = true;
    insert(watcher);
  } else {
    watcher->next = watcher->start;
    queue(watcher);
  }
  return watcher;
}

void WatchHub::remove(Watcher* watcher) {
  if (watcher->synced) {
    extract(watcher);
  } else if (!watcher->blocked) {
    unsynced_.erase(watcher->line);
  }
  watchers_.erase(watcher);
}

void WatchHub::resume(Watcher* watcher) {
  if (!watcher->blocked) return;
  watcher->blocked = false;
  queue(watcher);
}

void WatchHub::insert(Watcher* watcher) {
  auto append = [watcher](Group& group) {
    watcher->place = group.size();
    group.push_back(watcher);
  };
  if (watcher->range().single()) return append(keys_[watcher->key]);
  auto [it, added] = ranges_.try_emplace({watcher->key, watcher->range_end});
  stale_intervals_ |= added;
  append(it->second);
}

void WatchHub::extract(Watcher* watcher) {
  auto take = [watcher](Group& group) {
    ASSERT(watcher->place < group.size() && group[watcher->place] == watcher);
    group[watcher->place] = group.back();
    group[watcher->place]->place = watcher->place;
    group.pop_back();
    return group.empty();
  };
  if (watcher->range().single()) {
    auto it = keys_.find(watcher->key);
    if (take(it->second)) keys_.erase(it);
    return;
  }
  auto it = ranges_.find({watcher->key, watcher->range_end});
  if (take(it->second)) {
    ranges_.erase(it);
    stale_intervals_ = true;
  }
}

void WatchHub::rebuild() {
  stale_intervals_ = false;
  intervals_.clear();
  intervals_.reserve(ranges_.size());
  for (auto& [range, group] : ranges_) intervals_.push_back({range.first, range.second, range.second, &group});
  // The middle of [low, high) is the root of its part.
  auto build = [this](auto& self, size_t low, size_t high) -> std::string_view {
    size_t middle = low + (high - low) / 2;
    Interval& root = intervals_[middle];
    if (low < middle) {
      std::string_view end = self(self, low, middle);
      if (ends_later(end, root.max_end)) root.max_end = end;
    }
    if (middle + 1 < high) {
      std::string_view end = self(self, middle + 1, high);
      if (ends_later(end, root.max_end)) root.max_end = end;
    }
    return root.max_end;
  };
  if (!intervals_.empty()) build(build, 0, intervals_.size());
}

void WatchHub::match(std::string_view key, size_t low, size_t high, EventSlot& slot) {
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const Interval& root = intervals_[middle];
    if (!ends_after(root.max_end, key)) return;
    match(key, low, middle, slot);
    if (root.start > key) return;
    if (ends_after(root.end, key)) offer(*root.group, slot);
    low = middle + 1;
  }
}

void WatchHub::offer(Group& group, EventSlot& slot) {
  for (Watcher* watcher : group) {
    if (publishing_ < watcher->start || !wanted(*watcher, slot)) continue;
    if (watcher->prev_kv) machine_.with_previous(slot);
    if (watcher->batch.empty()) touched_.push_back(watcher);
    watcher->batch.push_back(&slot);
  }
}

void WatchHub::publish(Revision from) {
  if (stale_intervals_) rebuild();
  Revision to = machine_.durable();
  if (keys_.empty() && intervals_.empty()) return;
  for (publishing_ = from + 1; publishing_ <= to; ++publishing_) {
    Commit* commit = machine_.history().find(publishing_);
    ASSERT(commit != nullptr, "a commit is told before it is forgotten");
    for (EventSlot& slot : commit->slots) {
      std::string_view key = slot.event->kv.key;
      if (!keys_.empty()) {
        if (auto it = keys_.find(key); it != keys_.end()) offer(it->second, slot);
      }
      match(key, 0, intervals_.size(), slot);
    }
  }
  auto touched = std::move(touched_);
  touched_.clear();
  for (Watcher* watcher : touched) {
    bool taken = watcher->sink->deliver(*watcher, to, watcher->batch);
    watcher->batch.clear();
    if (watcher->batch.capacity() > 64) watcher->batch.shrink_to_fit();
    if (taken) continue;
    extract(watcher);
    watcher->synced = false;
    watcher->blocked = true;
    watcher->next = std::max(from + 1, watcher->start);
  }
}

bool WatchHub::catch_up(size_t max_watchers) {
  for (size_t steps = std::min(max_watchers, unsynced_.size()); steps > 0; --steps) {
    Watcher* watcher = unsynced_.front();
    unsynced_.pop_front();
    step(watcher);
  }
  return !unsynced_.empty();
}

// One slice of history for one watcher, which is in no list meanwhile.
void WatchHub::step(Watcher* watcher) {
  if (watcher->next < machine_.compacted()) return end(watcher, errors::compacted());
  auto slice = machine_.read_history(watcher->next, watcher->range(), kStepEvents, kStepRecords);
  if (!slice) return end(watcher, slice.error());
  std::vector<EventSlot*> slots;
  for (Commit& commit : slice->commits) {
    for (EventSlot& slot : commit.slots) {
      if (!wanted(*watcher, slot)) continue;
      if (watcher->prev_kv) machine_.with_previous(slot);
      slots.push_back(&slot);
    }
  }
  if (!slots.empty() && !watcher->sink->deliver(*watcher, slice->next - 1, slots)) {
    watcher->blocked = true;
    return;
  }
  watcher->next = slice->next;
  if (watcher->next <= machine_.durable()) {
    // To the end of the line, so that one long history does not hold up the rest.
    queue(watcher);
    return;
  }
  watcher->synced = true;
  insert(watcher);
}

void WatchHub::end(Watcher* watcher, const Error& error) {
  watcher->sink->ended(*watcher, error);
  watchers_.erase(watcher);
}

}  // namespace rs::store::mvcc
