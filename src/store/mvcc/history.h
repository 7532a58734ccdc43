// History: the most recent commits, shared: what watchers that are nearly current read, and where the values of recent
// revisions are found without touching the engine. Bounded by bytes; only durable commits are forgotten. One loop.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "store/mvcc/index.h"

namespace rs::store::mvcc {

// One event of a commit. The encodings are made by who first needs one, and shared by all that follow.
struct EventSlot {
  std::shared_ptr<const Event> event;              // without prev_kv
  Version previous;                                // main 0: the key was not there before
  std::shared_ptr<const Event> with_previous;      // made by EventSlot's users on demand
  std::shared_ptr<const std::string> wire, wire_with_previous;
};

// All changes of one main revision.
struct Commit {
  Revision revision = 0;
  std::vector<EventSlot> slots;                    // ascending sub
  size_t bytes() const {
    size_t total = sizeof(Commit);
    for (const EventSlot& slot : slots) total += 256 + slot.event->kv.key.size() + slot.event->kv.value.size();
    return total;
  }
};

class History {
 public:
  explicit History(size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  void append(Commit commit) {
    bytes_ += commit.bytes();
    commits_.push_back(std::move(commit));
  }
  // Forgets the oldest commits above the byte limit, none after durable.
  void trim(Revision durable) {
    while (bytes_ > limit_bytes_ && !commits_.empty() && commits_.front().revision <= durable) {
      bytes_ -= commits_.front().bytes();
      commits_.pop_front();
    }
  }
  // Revisions are dense, so a commit is found by its distance from the first. nullptr: not held.
  Commit* find(Revision revision) {
    if (commits_.empty() || revision < commits_.front().revision || revision > commits_.back().revision) return nullptr;
    return &commits_[size_t(revision - commits_.front().revision)];
  }
  // Nothing before it is held; one after the last commit when nothing is held at all.
  Revision first(Revision next) const { return commits_.empty() ? next : commits_.front().revision; }
  size_t bytes() const { return bytes_; }
  // Takes the newest commit back.
  Commit pop() {
    Commit commit = std::move(commits_.back());
    commits_.pop_back();
    bytes_ -= commit.bytes();
    return commit;
  }

 private:
  const size_t limit_bytes_;
  size_t bytes_ = 0;
  std::deque<Commit> commits_;
};

}  // namespace rs::store::mvcc
