// What the disk under a store has really got: shared, through a mapped file, by disk_shim.cpp
// inside the server's process and the test outside, so that it outlives a kill -9. Plain data of
// fixed size: the shim may not allocate.
#pragma once

#include <cstdint>

namespace rs::store::crash {

enum class StepKind : uint32_t { kWrite, kSync, kRename, kUnlink, kCreate, kTruncate };
constexpr uint32_t kStepKinds = 6;

enum class FaultKind : uint32_t {
  kNone,
  kKillBefore,  // SIGKILL instead of the step
  kKillAfter,   // SIGKILL once the step is done, before its caller knows
  kTorn,        // a part of what is written, then SIGKILL
  kNoSpace,     // ENOSPC, the first time maybe after a part was written
  kIoError,     // EIO; what a failed sync should have made durable never will be
};

// One fault of one life of the server: at the step-th step of these kinds on files whose name
// contains file.
struct FaultPlan {
  FaultKind fault = FaultKind::kNone;
  uint32_t kinds = 0;  // bits of StepKind
  uint64_t step = 0;   // from 1
  uint64_t count = 1;  // of steps that fail, for kNoSpace and kIoError
  uint64_t seed = 0;   // how much of a torn write is written
  uint64_t sync_us =
      0;  // how long each sync takes longer: what is told too early is told within that time
  char file[24] = {};  // "": any
};

constexpr uint32_t kFilesMax = 2048, kNamesMax = 2048, kPathMax = 96;

// Bytes of a file beyond synced are in the page cache only.
struct FileState {
  char path[kPathMax];  // below the directory; "": no entry
  int64_t synced;
  uint32_t
      poisoned;  // a sync failed: nothing later is certain either (Linux marks the pages clean)
  uint32_t unused;
};

// A change of names that no fsync of its directory has made durable yet. saved: a link to what it
// removed.
struct NameState {
  StepKind kind;   // kCreate, kRename, kUnlink
  uint32_t saved;  // number of a link in the trash; 0: none
  char path[kPathMax];
  char to[kPathMax];  // of a rename
};

struct DiskState {
  FaultPlan plan;
  uint64_t steps[kStepKinds];  // of this life
  uint64_t matched;            // steps that the plan counts
  uint64_t injected;           // faults that happened in this life
  uint32_t overflowed;         // a table is full: the run proves nothing
  uint32_t saved;              // links made in the trash so far
  uint32_t name_count;
  NameState names[kNamesMax];
  FileState files[kFilesMax];
};

// Environment of the server: the mapped file, the directory that is watched (canonical), and where
// removed files are kept (on the same file system).
constexpr const char* kStateVariable = "RS_DISK_STATE";
constexpr const char* kDirectoryVariable = "RS_DISK_DIRECTORY";
constexpr const char* kTrashVariable = "RS_DISK_TRASH";

}  // namespace rs::store::crash
