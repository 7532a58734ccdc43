// WatchHub: who is told of which commit. Pure: the owner calls publish() with commits that are durable, and catch_up()
// while there are watchers that have to read history first.
//
// A watcher is synced (told by publish()) or not (told by catch_up(), from its own next revision). A sink that refuses a
// delivery makes its watcher unsynced and blocked until resume(): nothing is ever dropped, nobody waits for anybody, and
// the hub keeps nothing for a slow reader but its position. One loop. Sinks must not call the hub from deliver().
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/mvcc/machine.h"

namespace rs::store::mvcc {

class WatchSink;

struct Watcher {
  std::string key, range_end;
  Revision start = 0;            // events before it are not told
  bool prev_kv = false, no_put = false, no_delete = false;
  int64_t tag = 0;               // the owner's
  WatchSink* sink = nullptr;

  // The hub's:
  Revision next = 0;             // while unsynced: first revision not told yet
  bool synced = false, blocked = false;
  bool from_now = false;         // no start was asked for
  size_t place = 0;              // while synced: in its group
  std::list<Watcher*>::iterator line;  // while neither synced nor blocked: in the line of those that read history
  std::vector<EventSlot*> batch; // while publishing

  KeyRange range() const { return {key, range_end}; }
};

class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // Everything of the watcher up to and including revision, in order, whole revisions. False: no room, try again after
  // resume(). The slots live only during the call; their shared events live on.
  virtual bool deliver(Watcher& watcher, Revision revision, std::span<EventSlot* const> slots) = 0;
  // What the watcher needs next is gone, or cannot be read (error). It is removed when this returns.
  virtual void ended(Watcher& watcher, const Error& error) = 0;
};

class WatchHub {
 public:
  explicit WatchHub(Machine& machine) : machine_(machine) {}

  // watcher.start 0: after now. Tells nothing before it returns. The pointer lives until remove() or ended().
  Watcher* add(Watcher watcher);
  void remove(Watcher* watcher);
  // The watcher's sink has room again.
  void resume(Watcher* watcher);
  // Tells the commits (from, durable()]. Call after each settle().
  void publish(Revision from);
  // Lets up to max_watchers unsynced watchers read on; true while more is to do.
  bool catch_up(size_t max_watchers);
  // Has the watcher everything up to durable()?
  bool current(const Watcher& watcher) const { return watcher.synced && watcher.start <= machine_.durable() + 1; }
  // And may a client be told so? Not before the revision that it asked to begin with.
  bool may_mark(const Watcher& watcher) const {
    return current(watcher) && (watcher.from_now || watcher.start <= machine_.durable());
  }
  size_t size() const { return watchers_.size(); }
  size_t unsynced() const { return unsynced_.size(); }

 private:
  using Group = std::vector<Watcher*>;
  struct Interval {
    std::string_view start, end, max_end;  // kNoEnd as end: none
    Group* group;
  };
  void insert(Watcher* watcher);
  void queue(Watcher* watcher) { watcher->line = unsynced_.insert(unsynced_.end(), watcher); }
  void extract(Watcher* watcher);
  void rebuild();
  void match(std::string_view key, size_t low, size_t high, EventSlot& slot);
  void offer(Group& group, EventSlot& slot);
  void step(Watcher* watcher);
  void end(Watcher* watcher, const Error& error);

  Machine& machine_;
  std::unordered_map<Watcher*, std::unique_ptr<Watcher>> watchers_;
  std::list<Watcher*> unsynced_;    // and not blocked; the front reads next
  std::map<std::string, Group, std::less<>> keys_;
  std::map<std::pair<std::string, std::string>, Group> ranges_;
  std::vector<Interval> intervals_;  // ranges_ by start, an implicit balanced tree with the greatest end below each
  bool stale_intervals_ = false;
  std::vector<Watcher*> touched_;
  Revision publishing_ = 0;
};

}  // namespace rs::store::mvcc
