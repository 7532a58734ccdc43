// A Machine over an engine in memory, for tests: commits batches at once, or when told to.
#pragma once

#include "store/engine/engine.h"
#include "store/mvcc/machine.h"

namespace rs::store::mvcc {

class TestMachine final : public Reader {
 public:
  explicit TestMachine(size_t history_bytes = 1 << 20)
      : engine(engine::make_memory_engine()), machine(*this, history_bytes) {}

  Result<std::optional<std::string>> value(Revision main, uint32_t sub) const override {
    return engine->get(record_key('v', main, sub));
  }
  Result<void> records(Revision from, const std::function<bool(const Record&)>& visit) const override {
    return engine->scan(record_key('i', from, 0), kRecordsEnd,
                        [&](auto key, auto bytes) { return visit(*parse_record(key, bytes)); });
  }
  // Makes what was written durable.
  void settle() {
    (void)engine->write(batch, true);
    batch.clear();
    machine.settle(machine.head());
    machine.forget();
  }
  void compact_to_end(size_t max_keys, size_t max_versions) {
    std::vector<Dropped> dropped;
    while (machine.compact_step(max_keys, max_versions, dropped)) {
    }
    for (const Dropped& record : dropped) erase_record(batch, record.main, record.sub, record.has_value);
    settle();
  }

  std::unique_ptr<engine::Engine> engine;
  engine::Batch batch;
  Machine machine;
};

}  // namespace rs::store::mvcc
