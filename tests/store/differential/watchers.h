// Watchers: the same watchers on two servers, and what each was told. Events of a watcher must be
// the same in the same order; how they are grouped into answers may differ, but a revision is never
// split.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "async/event.h"
#include "compare.h"
#include "session.h"

namespace rs::store::differential {

// One watch stream of one server, read to its end by a task.
class WatchSession {
 public:
  WatchSession(async::Loop& loop, Session& session);
  awaitable<Result<void>> open();
  awaitable<void> write(std::string request);
  awaitable<void> close();

  // What a watcher was told, in order: events as text, and at which revision each answer began.
  struct Told {
    std::vector<std::string> events;
    std::vector<Revision> revisions;  // of the events
    Revision last = 0;                // of the newest event ever
    bool over = false;                // canceled
  };
  std::map<int64_t, Told> watchers;   // by watch_id; what was compared is taken out
  std::vector<std::string> controls;  // created and canceled, in order; canceled for compaction
                                      // among its watcher's events
  size_t answered = 0;                // creates, and cancels of what there was
  int64_t created_id = -1;            // of the last one; -1: refused
  size_t progress = 0;                // answers with watch_id -1 and nothing else
  Revision flushed = 0;               // newest revision of the sentinel's watcher
  std::string problem;                // a promise broken, or the stream's end
  async::Event& changed() { return changed_; }

  // Watch ids of the watcher that tells how far the stream is, and of one with history.
  static constexpr int64_t kSentinel = 1'000'000, kHistorySentinel = kSentinel + 1;
  bool history_read = false;          // the latter was told something

 private:
  awaitable<void> read_all();
  void handle(const std::string& message);

  Session& session_;
  async::Event changed_;
  std::unique_ptr<net::grpc::ClientStream> stream_;
  bool ready_ = false, fragmented_ = false;
  async::TaskGroup tasks_;
};

// Key that only flush() writes; every stream watches it.
inline const std::string kSentinelKey = "~";

// Pairs of streams, and the operations on both.
class WatchPairs {
 public:
  WatchPairs(async::Loop& loop, Session& etcd, Session& ours, size_t streams);
  awaitable<Result<void>> open();
  // A random create, cancel or progress request on one pair; only between operations, and after
  // settle(): what a watcher has not been told yet when it is canceled, it may be told or not.
  // with_history cancels nothing.
  awaitable<void> act(Generator& generator, bool with_history);
  // After act() with history: etcd has looked at what each watcher asked for.
  awaitable<void> history_is_read();
  // Puts the sentinel, waits until both servers have told everything, and compares. Nothing: alike.
  awaitable<std::optional<std::string>> settle(Generator& generator, Allowed& allowed);
  awaitable<void> close();
  size_t events() const { return events_; }
  size_t live() const;

 private:
  struct Pair {
    std::unique_ptr<WatchSession> etcd, ours;
    size_t answers = 0;      // that requests must have had so far
    std::set<int64_t> open;  // watchers that nobody canceled yet
    Revision future = 0;     // the latest first revision that a watcher asked for
    std::map<int64_t, Revision> from_compaction;  // watchers that begin at the compacted revision
    std::vector<std::string> requests;            // since what was last alike; for messages
  };
  awaitable<bool> ours_told_all(Pair& pair, Revision revision);
  awaitable<bool> etcd_told_all(Pair& pair, Revision revision, Allowed& allowed);
  // Takes out what was told when both told the same.
  bool alike(Pair& pair, Allowed& allowed);
  static std::string difference(const Pair& pair);

  async::Loop& loop_;
  Session& etcd_;
  Session& ours_;
  std::vector<Pair> pairs_;
  size_t events_ = 0;
};

}  // namespace rs::store::differential
