// What etcd's log (its WAL, server/storage/wal) has beyond a database file of the same data
// directory. etcd writes the database ten times a second, and reads the log when it starts: who
// takes the file alone may miss the end. Blocking.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string_view>

#include "base/result.h"

namespace rs::store::snapshot {

// How many entries of the log in directory come after applied_index and ask for a change of keys,
// users or roles. What cannot be read counts as the log's end: a crash leaves one.
Result<uint64_t> changes_after(const std::filesystem::path& directory, uint64_t applied_index);

// The same of one segment's bytes, which follow those that were read before: adds to changes the
// index of each such entry, and takes away what is replaced. Pure.
void read_log_segment(std::string_view bytes, uint64_t applied_index, std::set<uint64_t>& changes);

}  // namespace rs::store::snapshot
