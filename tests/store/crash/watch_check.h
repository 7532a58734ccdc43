// The guarantees of watches (reference etcd-api.md A.6), checked on what watchers were told:
// Ordered, Unique, Atomic, Reliable, Resumable, Bookmarkable; prev_kv, what is a creation, and
// filters. Pure.
#pragma once

#include <optional>
#include <span>

#include "linearizability.h"
#include "store/etcd/client_messages.h"

namespace rs::store::crash {

// One answer for one watcher. A progress mark of a whole stream is told to each of its watchers.
struct Told {
  Moment moment = 0;
  etcd::WatchResponse response;
  bool progress = false;
};

// One watcher on one stream, from its creation to its end or the stream's. A watcher that is
// resumed after a restart is another, whose request starts where this one had got to.
struct WatcherRecord {
  etcd::WatchCreate create;
  Moment asked = 0;
  Revision known = 0;      // the highest revision in any answer before it was asked for
  std::vector<Told> told;  // in their order; the first is created
  Revision next = 0;       // where a client would resume
  Revision settled = 0;    // it had to be told everything up to it
};

// state: the last one of the order of the calls. What is wrong, or nothing.
std::optional<std::string> check_watcher(const WatcherRecord& watcher, const State& state,
                                         std::span<const Call> calls);

// What watchers of all keys were told, put together. An error: a gap, or two of them were told
// different things.
Result<Log> make_log(std::span<const WatcherRecord* const> watchers);

}  // namespace rs::store::crash
