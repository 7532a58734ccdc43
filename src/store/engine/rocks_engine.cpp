#include "store/engine/rocks_engine.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/table_properties_collectors.h>
#include <rocksdb/write_batch.h>

#include "base/log.h"
#include "store/engine/log_check.h"

namespace rs::store::engine {
namespace {

constexpr size_t kWriteBufferBytes = 8 << 20;

// Records and values come in ascending order and never overlap: in column families of their own, whose files move down
// the levels without being rewritten, unlike the small keys that are overwritten all the time. One log serves them all.
struct Family {
  const char* name;
  char first;                // of its keys
};
constexpr Family kFamilies[] = {{"records", 'i'}, {"values", 'v'}};
constexpr size_t kFamilyCount = std::size(kFamilies);
constexpr size_t kBlockCacheBytes = 8 << 20;
constexpr size_t kViewReadaheadBytes = 256 << 10;

Error to_error(const rocksdb::Status& status) {
  if (status.IsNoSpace()) return {Code::kResourceExhausted, "the disk is full: " + status.ToString()};
  if (status.IsCorruption()) return {Code::kDataLoss, "the store is damaged: " + status.ToString()};
  return {Code::kUnavailable, "disk error: " + status.ToString()};
}

rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view text(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

// An exclusive hold on a directory that ends with the process, whatever happens to it.
class DirectoryLock {
 public:
  static Result<std::unique_ptr<DirectoryLock>> take(const std::filesystem::path& directory) {
    auto path = directory / "lock";
    int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fail(Code::kUnavailable, "cannot open {}: {}", path.string(), std::strerror(errno));
    std::unique_ptr<DirectoryLock> lock(new DirectoryLock(fd));
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      char holder[32] = {};
      auto length = ::pread(fd, holder, sizeof holder - 1, 0);
      return fail(Code::kAlreadyExists, "{} is in use by process {}", directory.string(),
                  length > 0 ? std::string(holder, size_t(length)) : "unknown");
    }
    std::string pid = std::to_string(::getpid());
    if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0)
      return fail(Code::kUnavailable, "cannot write {}: {}", path.string(), std::strerror(errno));
    return lock;
  }
  ~DirectoryLock() { ::close(fd_); }

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_;
};

class RocksCursor final : public Cursor {
 public:
  RocksCursor(rocksdb::DB& db, rocksdb::ReadOptions options, rocksdb::ColumnFamilyHandle* family, std::string_view from,
              std::string_view to)
      : to_(to), upper_(to_) {
    options.iterate_upper_bound = &upper_;
    it_.reset(db.NewIterator(options, family));
    it_->Seek(slice(from));
  }
  bool valid() const override { return it_->Valid(); }
  std::string_view key() const override { return text(it_->key()); }
  std::string_view value() const override { return text(it_->value()); }
  void next() override { it_->Next(); }
  Result<void> status() const override {
    if (!it_->status().ok()) return fail(to_error(it_->status()));
    return {};
  }

 private:
  const std::string to_;
  const rocksdb::Slice upper_;
  std::unique_ptr<rocksdb::Iterator> it_;
};

class RocksEngine final : public Engine {
 public:
  // families: of kFamilies, in their order, then the default one.
  RocksEngine(std::unique_ptr<DirectoryLock> lock, std::unique_ptr<rocksdb::DB> db,
              std::vector<rocksdb::ColumnFamilyHandle*> families)
      : lock_(std::move(lock)), db_(std::move(db)), families_(std::move(families)) {}
  ~RocksEngine() override { shutdown(); }

  Result<void> write(const Batch& batch, bool sync) override {
    rocksdb::WriteBatch out(batch.bytes() + batch.size() * 12 + 16);
    for (size_t i = 0; i < batch.size(); ++i) {
      Batch::Op op = batch.op(i);
      rocksdb::Status status = op.erase ? out.Delete(family(op.key), slice(op.key))
                                         : out.Put(family(op.key), slice(op.key), slice(op.value));
      if (!status.ok()) return fail(to_error(status));
    }
    rocksdb::WriteOptions options;
    options.sync = sync;
    rocksdb::Status status = db_->Write(options, &out);
    if (!status.ok()) return fail(to_error(status));
    return {};
  }

  Result<std::optional<std::string>> get(std::string_view key) const override {
    std::string value;
    rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), family(key), slice(key), &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return fail(to_error(status));
    return std::optional<std::string>(std::move(value));
  }

  Result<void> scan(std::string_view from, std::string_view to,
                    const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    rocksdb::Slice upper = slice(to);
    options.iterate_upper_bound = &upper;
    std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options, family(from)));
    for (it->Seek(slice(from)); it->Valid(); it->Next()) {
      if (!visit(text(it->key()), text(it->value()))) return {};
    }
    if (!it->status().ok()) return fail(to_error(it->status()));
    return {};
  }

  Result<std::unique_ptr<View>> view() const override { return std::unique_ptr<View>(new RocksView(*this)); }

  int64_t bytes_on_disk() const override {
    uint64_t tables = 0, memory = 0;
    db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &tables);
    db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kSizeAllMemTables, &memory);
    return int64_t(tables + memory);
  }

  Result<void> resume() override {
    rocksdb::Status status = db_->Resume();
    if (!status.ok()) return fail(to_error(status));
    return {};
  }

  void shutdown() override {
    if (db_ == nullptr) return;
    for (auto* handle : families_) (void)db_->DestroyColumnFamilyHandle(handle);
    families_.clear();
    rocksdb::Status status = db_->Close();
    if (!status.ok()) log::warning("store", "closing the database failed", {{"why", status.ToString()}});
    db_.reset();
    lock_.reset();
  }

 private:
  class RocksView final : public View {
   public:
    explicit RocksView(const RocksEngine& engine) : engine_(engine), snapshot_(engine.db_->GetSnapshot()) {
      options_.snapshot = snapshot_;
      options_.fill_cache = false;
      options_.readahead_size = kViewReadaheadBytes;
    }
    ~RocksView() override { engine_.db_->ReleaseSnapshot(snapshot_); }
    Result<std::optional<std::string>> get(std::string_view key) const override {
      std::string value;
      rocksdb::Status status = engine_.db_->Get(options_, engine_.family(key), slice(key), &value);
      if (status.IsNotFound()) return std::optional<std::string>();
      if (!status.ok()) return fail(to_error(status));
      return std::optional<std::string>(std::move(value));
    }
    std::unique_ptr<Cursor> cursor(std::string_view from, std::string_view to) const override {
      return std::make_unique<RocksCursor>(*engine_.db_, options_, engine_.family(from), from, to);
    }

   private:
    const RocksEngine& engine_;
    const rocksdb::Snapshot* const snapshot_;
    rocksdb::ReadOptions options_;
  };

  rocksdb::ColumnFamilyHandle* family(std::string_view key) const {
    for (size_t i = 0; i < kFamilyCount; ++i) {
      if (key.starts_with(kFamilies[i].first)) return families_[i];
    }
    return families_[kFamilyCount];
  }
  std::unique_ptr<DirectoryLock> lock_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
};

// RocksDB would go on by itself once a full disk has room, and refuse resume() meanwhile. Whether writes go on is the
// store's to say, which has to forget what was lost first.
class NoRecoveryUnasked final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* unasked) override { *unasked = false; }
};

rocksdb::Options options_of_store(const RocksTuning& tuning) {
  rocksdb::Options options;
  if (tuning.env != nullptr) options.env = tuning.env;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.paranoid_checks = true;
  // The default mode drops what follows a damaged record without a word. This one forgives only a torn tail; the
  // machine's own check of dense revisions finds what a torn tail in the middle would hide.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.track_and_verify_wals_in_manifest = true;
  options.listeners.push_back(std::make_shared<NoRecoveryUnasked>());
  options.max_bgerror_resume_count = 0;
  options.write_buffer_size = kWriteBufferBytes;
  options.max_write_buffer_number = 3;
  options.db_write_buffer_size = 2 * kWriteBufferBytes;  // of all families together
  options.max_background_jobs = 2;
  // Compactions yield to whoever serves clients; flushes do not, since writes would wait for them.
  options.env->LowerThreadPoolCPUPriority(rocksdb::Env::Priority::LOW, rocksdb::CpuPriority::kLow);
  options.max_open_files = 128;
  options.allow_concurrent_memtable_write = false;  // one writer
  // Records of a kind arrive in ascending order: each goes in beside the one before it.
  options.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(1));
  options.avoid_flush_during_shutdown = true;       // the log has it
  options.max_total_wal_size = 64 << 20;
  options.bytes_per_sync = 1 << 20;
  options.compression = rocksdb::kLZ4Compression;
  options.level_compaction_dynamic_level_bytes = true;
  options.target_file_size_base = 16 << 20;
  options.max_bytes_for_level_base = 64 << 20;
  options.keep_log_file_num = 2;
  options.max_log_file_size = 1 << 20;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  // Half of a table's recent entries being erasures: rewrite it soon, so that compacted revisions give their space back.
  options.table_properties_collector_factories.push_back(rocksdb::NewCompactOnDeletionCollectorFactory(4096, 2048));
  if (tuning.write_buffer_bytes > 0) options.write_buffer_size = tuning.write_buffer_bytes;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes, 0);
  table.cache_index_and_filter_blocks = true;
  table.format_version = 5;
  table.checksum = rocksdb::kCRC32c;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

// The names of new directories, which no fsync of the files in them makes durable.
Result<void> sync_directory(const std::filesystem::path& directory) {
  int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int error = fd < 0 || ::fsync(fd) != 0 ? errno : 0;
  if (fd >= 0) ::close(fd);
  // Some file systems know no fsync of a directory.
  if (error == 0 || error == EINVAL) return {};
  return fail(Code::kUnavailable, "cannot sync {}: {}", directory.string(), std::strerror(error));
}

Result<void> make_directories(const std::filesystem::path& directory) {
  std::error_code ec;
  const auto whole = std::filesystem::absolute(directory);
  if (std::filesystem::is_directory(whole / "db", ec)) return {};
  std::filesystem::create_directories(whole / "db", ec);
  if (ec) return fail(Code::kUnavailable, "cannot make {}: {}", directory.string(), ec.message());
  if (auto synced = sync_directory(whole); !synced) return synced;
  // Its parent may be somebody else's, closed to us.
  if (auto synced = sync_directory(whole.parent_path()); !synced)
    log::warning("store", "the new data directory may not survive a power failure", {{"why", synced.error().message}});
  return {};
}

}  // namespace

Result<std::unique_ptr<Engine>> open_rocks_engine(const std::filesystem::path& directory, const RocksTuning& tuning) {
  if (auto made = make_directories(directory); !made) return fail(made.error());
  if (::chmod(directory.c_str(), 0700) != 0)
    return fail(Code::kUnavailable, "cannot restrict {} to its owner: {}", directory.string(), std::strerror(errno));
  auto lock = DirectoryLock::take(directory);
  if (!lock) return fail(lock.error());
  if (auto checked = check_logs(directory / "db"); !checked) return fail(checked.error());
  rocksdb::DB* db = nullptr;
  rocksdb::Options options = options_of_store(tuning);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const Family& family : kFamilies) descriptors.emplace_back(family.name, options);
  descriptors.emplace_back(rocksdb::kDefaultColumnFamilyName, options);
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  rocksdb::Status status = rocksdb::DB::Open(options, (directory / "db").string(), descriptors, &families, &db);
  if (!status.ok()) return fail_at(directory.string(), to_error(status));
  return std::unique_ptr<Engine>(new RocksEngine(std::move(*lock), std::unique_ptr<rocksdb::DB>(db), std::move(families)));
}

}  // namespace rs::store::engine
