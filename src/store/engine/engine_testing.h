// Engines for tests: one that passes everything on, and one in memory that remembers every batch,
// so that a test can ask what a crash between any two of them leaves.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "store/engine/engine.h"

namespace rs::store::engine {

class ForwardingEngine : public Engine {
 public:
  explicit ForwardingEngine(std::unique_ptr<Engine> engine) : inner(std::move(engine)) {}
  Result<void> write(const Batch& batch, bool sync) override { return inner->write(batch, sync); }
  Result<std::optional<std::string>> get(std::string_view key) const override {
    return inner->get(key);
  }
  Result<void> scan(
      std::string_view from, std::string_view to,
      const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    return inner->scan(from, to, visit);
  }
  int64_t bytes_on_disk() const override { return inner->bytes_on_disk(); }
  Result<void> resume() override { return inner->resume(); }
  void shutdown() override { inner->shutdown(); }

  std::unique_ptr<Engine> inner;
};

// Every batch written, in order, and whether it was synced. Outlives the engines that write into
// it.
class Journal {
 public:
  struct Entry {
    Batch batch;
    bool sync;
  };
  std::vector<Entry> entries;

  // An engine in memory that holds the first count batches, and goes on writing here after them.
  std::unique_ptr<Engine> engine_after(size_t count) {
    entries.resize(count);
    auto memory = make_memory_engine();
    for (const Entry& entry : entries) (void)memory->write(entry.batch, true);
    return std::make_unique<Recorder>(*this, std::move(memory));
  }

 private:
  class Recorder final : public ForwardingEngine {
   public:
    Recorder(Journal& journal, std::unique_ptr<Engine> engine)
        : ForwardingEngine(std::move(engine)), journal_(journal) {}
    Result<void> write(const Batch& batch, bool sync) override {
      journal_.entries.push_back({batch, sync});
      return inner->write(batch, sync);
    }

   private:
    Journal& journal_;
  };
};

}  // namespace rs::store::engine
