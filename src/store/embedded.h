// Embedded: the store inside this process. A committer thread writes groups of transactions with one fsync each; the
// pure state machine (mvcc/) runs on the store's loop.
#pragma once

#include <filesystem>

#include "store/store.h"

namespace rs::store {

struct EmbeddedOptions {
  std::filesystem::path directory;            // made with mode 0700; empty: in memory, for tests
  int64_t quota_bytes = 2ll << 30;            // of live logical bytes; beyond it: NOSPACE alarm, writes refused
  Revision retain_revisions = 0;              // auto compaction by the owner: 0 here means none
};

class Embedded : public Store {
 public:
  // kAlreadyExists "…is in use by process N" when another process holds the directory; kDataLoss when it is damaged.
  static awaitable<Result<std::unique_ptr<Embedded>>> open(async::Loop& loop, EmbeddedOptions options);
  virtual awaitable<void> close() = 0;        // durable and released; no call after it
};

}  // namespace rs::store
