// Committer: writes batches one after the other, off the loop, and says on the loop when each is on disk. The caller
// evaluates the next group meanwhile. Inline committers (for engines without a disk) write at once and answer soon.
#pragma once

#include <functional>
#include <memory>

#include "async/loop.h"
#include "base/metrics.h"
#include "store/engine/engine.h"

namespace rs::store::engine {

class Committer {
 public:
  using Done = std::move_only_function<void(Result<void>)>;
  virtual ~Committer() = default;   // waits for the write under way; its done is not called any more
  // One at a time: not again before done was called.
  virtual void write(Batch batch, bool sync, Done done) = 0;
};

std::unique_ptr<Committer> make_inline_committer(async::Loop& loop, Engine& engine);
// How long writes took; null: nobody asks.
struct CommitTimes {
  metrics::Histogram* write_seconds = nullptr;  // each write
  metrics::Histogram* sync_seconds = nullptr;   // those that were synced
};
std::unique_ptr<Committer> make_threaded_committer(async::Loop& loop, Engine& engine, CommitTimes times);

}  // namespace rs::store::engine
