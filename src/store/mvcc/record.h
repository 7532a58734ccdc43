// How the store lies in the engine (one ordered key space; all integers big-endian or LEB128):
//
//   'i' main:8 sub:4  ->  what a revision did to a key, without the value: read wholly at start
//   'v' main:8 sub:4  ->  the value; absent when it is empty
//   'l' id:8          ->  granted TTL in seconds, and what was left of it at the lease's last checkpoint, if it had one
//   'm' name          ->  "head": last revision and number of commits; "compact": no reads below it;
//                     "compacted": the last "compact" whose records were all dropped; "ids"; "alarms"; "auth"
//
// Decoders trust nothing: a record that does not parse is kDataLoss. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/engine/engine.h"
#include "store/store.h"

namespace rs::store::mvcc {

struct Record {
  Revision main = 0;
  uint32_t sub = 0;
  bool tombstone = false;
  bool last = false;             // of its revision: a revision is whole when its last record is there
  Revision create = 0;
  int64_t version = 0;
  LeaseId lease = 0;
  uint32_t value_bytes = 0;
  std::string_view key;
};

struct StoredLease {
  LeaseId id = 0;
  int64_t ttl_seconds = 0;        // granted
  int64_t remaining_seconds = 0;  // at its last checkpoint; 0: it had none since it was granted or renewed
};

struct Head {
  Revision revision = 1;
  uint64_t commits = 0;
};

std::string meta_key(std::string_view name);
std::string lease_key(LeaseId id);
std::string record_key(char kind, Revision main, uint32_t sub);
inline constexpr std::string_view kRecordsEnd = "j", kLeasesBegin = "l", kLeasesEnd = "m";

void put_record(engine::Batch& batch, const Record& record, std::string_view value);
void erase_record(engine::Batch& batch, Revision main, uint32_t sub, bool has_value);
void put_lease(engine::Batch& batch, const StoredLease& lease);
void put_head(engine::Batch& batch, const Head& head);
void put_number(engine::Batch& batch, std::string_view name, int64_t number);

// record.key is a view into value.
std::optional<Record> parse_record(std::string_view key, std::string_view value);
std::optional<StoredLease> parse_lease(std::string_view key, std::string_view value);
std::optional<Head> parse_head(std::string_view value);
std::optional<int64_t> parse_number(std::string_view value);

}  // namespace rs::store::mvcc
