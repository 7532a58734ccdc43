#include "contract_engines.h"

#include <fstream>

#include <rocksdb/env.h>

#include "sqlite_engine.h"
#include "store/engine/rocks_engine.h"

namespace rs::store::engine {
namespace {

constexpr int64_t kSmallestDatabase = 1;  // SQLite takes less than there is for as much as there is
constexpr size_t kDamagedBytes = 4096;

struct DiskState {
  std::atomic<bool> full = false;
  std::atomic<int64_t> syncs = 0;
};

// A file that takes nothing more while the disk is full, and counts how often it is synced.
class WatchedFile final : public rocksdb::WritableFileWrapper {
 public:
  WatchedFile(std::unique_ptr<rocksdb::WritableFile> file, DiskState& disk)
      : WritableFileWrapper(file.get()), file_(std::move(file)), disk_(disk) {}
  rocksdb::Status Sync() override {
    ++disk_.syncs;
    return file_->Sync();
  }
  rocksdb::Status Fsync() override {
    ++disk_.syncs;
    return file_->Fsync();
  }
  rocksdb::Status Append(const rocksdb::Slice& data) override {
    if (disk_.full) return rocksdb::Status::NoSpace("no space left on device");
    return file_->Append(data);
  }
  rocksdb::Status Append(const rocksdb::Slice& data,
                         const rocksdb::DataVerificationInfo& info) override {
    if (disk_.full) return rocksdb::Status::NoSpace("no space left on device");
    return file_->Append(data, info);
  }

 private:
  const std::unique_ptr<rocksdb::WritableFile> file_;
  DiskState& disk_;
};

}  // namespace

std::string to_string(Kind kind) {
  switch (kind) {
    case Kind::kMemory:
      return "memory";
    case Kind::kSqlite:
      return "sqlite";
    case Kind::kRocks:
      return "rocks";
  }
  return "unknown";
}

std::optional<Kind> parse_kind(std::string_view name) {
  for (Kind kind : {Kind::kMemory, Kind::kSqlite, Kind::kRocks}) {
    if (to_string(kind) == name) return kind;
  }
  return std::nullopt;
}

class Place::WatchedDisk final : public rocksdb::EnvWrapper {
 public:
  WatchedDisk() : EnvWrapper(rocksdb::Env::Default()) {}
  rocksdb::Status NewWritableFile(const std::string& name,
                                  std::unique_ptr<rocksdb::WritableFile>* out,
                                  const rocksdb::EnvOptions& options) override {
    std::unique_ptr<rocksdb::WritableFile> file;
    auto status = EnvWrapper::NewWritableFile(name, &file, options);
    if (status.ok()) *out = std::make_unique<WatchedFile>(std::move(file), state);
    return status;
  }
  DiskState state;
};

Place::Place(Kind kind, std::filesystem::path directory)
    : kind_(kind), directory_(std::move(directory)), disk_(std::make_unique<WatchedDisk>()) {}
Place::~Place() = default;

Result<std::unique_ptr<Engine>> Place::open() {
  switch (kind_) {
    case Kind::kMemory:
      return make_memory_engine();
    case Kind::kSqlite:
      return open_sqlite_engine(directory_, {.bytes_max = &bytes_max_});
    case Kind::kRocks:
      break;
  }
  // Small buffers: tables are written after a few batches.
  return open_rocks_engine(directory_, {.env = disk_.get(), .write_buffer_bytes = 64 << 10});
}

void Place::set_full(bool full) {
  disk_->state.full = full;
  bytes_max_ = full ? kSmallestDatabase : 0;
}

std::optional<int64_t> Place::syncs() const {
  if (kind_ != Kind::kRocks) return std::nullopt;
  return disk_->state.syncs;
}

void Place::damage_tables() const {
  std::filesystem::path largest;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
    const auto extension = entry.path().extension();
    if (extension != ".sst" && extension != ".sqlite") continue;
    if (largest.empty() || entry.file_size() > std::filesystem::file_size(largest))
      largest = entry.path();
  }
  if (largest.empty()) return;
  const auto middle = std::filesystem::file_size(largest) / 2 / kDamagedBytes * kDamagedBytes;
  std::fstream file(largest, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(std::streamoff(middle));
  file << std::string(kDamagedBytes, '\xff');
}

}  // namespace rs::store::engine
