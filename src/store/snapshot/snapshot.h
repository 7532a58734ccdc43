// Snapshots in etcd's own form (docs/decisions/0004): a bbolt database in etcd's layout (server/storage/schema), and after
// it the 32 bytes of its SHA-256. What etcdctl saves from a real etcd, what ours streams, and what either restores is the
// same file. Blocking: for a thread of their own, or for commands.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "store/embedded.h"
#include "store/engine/engine.h"
#include "store/snapshot/bbolt_reader.h"

namespace rs::store::snapshot {

inline constexpr size_t kChecksumBytes = 32;
inline constexpr std::string_view kStorageVersion = "3.6.0";

// Who the member bucket names; etcd's restore replaces it by its own.
struct Member {
  uint64_t id = 0;
  std::string name;
  std::vector<std::string> peer_urls, client_urls;
};

// Writes what view holds to fd, an empty file, without the checksum; how many bytes. Ends soon, with kCancelled, once
// stop is true.
Result<uint64_t> write_database(const engine::View& view, const Member& member, int fd, const std::atomic<bool>& stop);

// The SHA-256 of the first bytes of source.
Result<std::string> checksum(const Source& source, uint64_t bytes);

// How much of a snapshot file is the database, its checksum verified. A file without one (copied from a data directory)
// needs skip_check. Errors in the words of etcdctl.
Result<uint64_t> verified_bytes(const Source& source, bool skip_check);

struct Summary {
  uint32_t hash = 0;              // CRC-32C over bucket names, keys and values, as etcdctl's
  Revision revision = 0;
  int64_t keys = 0;               // of all buckets
  uint64_t bytes = 0;             // of the database
  std::string version;            // of the storage; empty: older than 3.6
};
Result<Summary> summarize(const BboltReader& reader);

struct RestoreOptions {
  int64_t bump_revision = 0;      // the next revision is so much higher, and all before is compacted
  uint64_t cluster_id = 0, member_id = 0;
  std::function<void(int64_t records)> progress;
};
struct Restored {
  Revision revision = 0, compact_revision = 0;
  int64_t records = 0, leases = 0, users = 0;
};
// Writes the snapshot into an empty engine; durable when it returns.
Result<Restored> restore(const BboltReader& reader, engine::Engine& engine, const RestoreOptions& options);

}  // namespace rs::store::snapshot
