#include "server/compactor.h"

#include "base/log.h"

namespace rs::server {

awaitable<void> compact_regularly(Core& core, Duration interval) {
  int64_t before = core.cache.revision();
  while (true) {
    co_await core.loop.sleep(interval);
    int64_t now = core.cache.revision();
    if (before > 1 && before < now) {
      auto compacted = co_await core.store.compact(before);
      // Another server may have been faster.
      if (!compacted && compacted.error().code != Code::kOutOfRange)
        log::warning("server", "compaction failed", {{"revision", before}, {"why", to_string(compacted.error())}});
    }
    before = now;
  }
}

}  // namespace rs::server
