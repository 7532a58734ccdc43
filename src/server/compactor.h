// Compaction: history older than an interval is dropped from the store (apiserver etcd3/compact.go), so that it does not
// grow for ever; lists at older revisions then answer 410.
#pragma once

#include "server/core.h"

namespace rs::server {

// Runs until cancelled.
awaitable<void> compact_regularly(Core& core, Duration interval);

}  // namespace rs::server
