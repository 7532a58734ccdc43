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
#include <rocksdb/rate_limiter.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/sst_file_manager.h>
#include <rocksdb/table.h>
#include <rocksdb/transaction_log.h>
#include <rocksdb/utilities/table_properties_collectors.h>
#include <rocksdb/write_batch.h>

#include "base/log.h"
#include "store/engine/log_check.h"

namespace rs::store::engine {
namespace {

constexpr size_t kWriteBufferBytes = 4 << 20;

// Records and values come in ascending order and never overlap: in column families of their own, whose files move down
// the levels without being rewritten, unlike the small keys that are overwritten all the time. One log serves them all.
struct Family {
  const char* name;
  char first;                // of its keys
};
constexpr Family kFamilies[] = {{"records", 'i'}, {"values", 'v'}};
constexpr size_t kFamilyCount = std::size(kFamilies);
constexpr size_t kBlockCacheBytes = 8 << 20;
constexpr int64_t kBackgroundBytesPerSecond = 64 << 20, kDeletedBytesPerSecond = 128 << 20;
constexpr int64_t kRefillMicroseconds = 10'000;
constexpr uint64_t kDeletedBytesPerStep = 1 << 20;
constexpr size_t kViewReadaheadBytes = 256 << 10;
constexpr uint64_t kSpareBytes = 1 << 20;  // beside what is buffered: a new log, a new manifest

Error to_error(const rocksdb::Status& status) {
  if (status.IsNoSpace()) return {Code::kResourceExhausted, "the disk is full: " + status.ToString()};
  if (status.IsCorruption()) return {Code::kDataLoss, "the store is damaged: " + status.ToString()};
  return {Code::kUnavailable, "disk error: " + status.ToString()};
}

rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view text(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

// Does the disk take so many bytes? They are gone again afterwards.
Result<void> probe_space(const std::filesystem::path& path, uint64_t bytes) {
  const std::string zeros(64 << 10, '\0');
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  int error = fd < 0 ? errno : 0;
  while (bytes > 0 && error == 0) {
    const ssize_t written = ::write(fd, zeros.data(), std::min<uint64_t>(bytes, zeros.size()));
    if (written < 0) {
      error = errno;
    } else {
      bytes -= uint64_t(written);
    }
  }
  if (error == 0 && ::fsync(fd) != 0) error = errno;
  if (fd >= 0) {
    ::close(fd);
    ::unlink(path.c_str());
  }
  if (error == 0) return {};
  const bool full = error == ENOSPC || error == EDQUOT;
  return fail(full ? Code::kResourceExhausted : Code::kUnavailable, "the disk takes no {} bytes more: {}", bytes,
              std::strerror(error));
}

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

struct Events final : rocksdb::EventListener {
  void OnMemTableSealed(const rocksdb::MemTableInfo&) override { sealed = true; }
  // When to go on after an error is the store's to say: it has to know what became of its writes.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* by_itself) override {
    *by_itself = false;
  }
  std::atomic<bool> sealed = true;  // a buffer of writes was closed: the next one is empty
};

class RocksEngine final : public Engine {
 public:
  // families: of kFamilies, in their order, then the default one.
  RocksEngine(std::unique_ptr<DirectoryLock> lock, std::unique_ptr<rocksdb::DB> db,
              std::vector<rocksdb::ColumnFamilyHandle*> families, std::shared_ptr<Events> events)
      : lock_(std::move(lock)), db_(std::move(db)), families_(std::move(families)), events_(std::move(events)) {}
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
    if (auto filled = keep_memory_filled(); !filled.ok()) return fail(to_error(filled));
    rocksdb::Status status = db_->Write(options, &out);
    if (status.ok()) return {};
    failed_log_ = current_log();
    return fail(to_error(status));
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
    // RocksDB gives up for ever when the disk is still full while it resumes.
    uint64_t buffered = 0;
    db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kSizeAllMemTables, &buffered);
    const auto probe = std::filesystem::path(db_->GetName()).parent_path() / "space_probe";
    if (auto probed = probe_space(probe, kSpareBytes + buffered); !probed) return probed;
    rocksdb::Status status = db_->Resume();
    if (!status.ok()) return fail(to_error(status));
    // A buffer that was full just then: nothing but a start begins a new log.
    if (current_log() == failed_log_)
      return fail(Code::kUnavailable, "the log that could not be written is still in use: restart the store");
    return {};
  }

  void shutdown() override {
    if (db_ == nullptr) return;
    // RocksDB, built with assertions as Debian's is, ends the process when it closes a log that could not be written.
    // What there was to save is saved: it is left as it is, for as long as the process lasts.
    if (failed_log_ != 0 && current_log() == failed_log_) {
      static std::atomic<rocksdb::DB*> abandoned;
      abandoned = db_.release();
      families_.clear();
      lock_.reset();
      return;
    }
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

  // What could not be written or synced may lie in the log all the same, whole, and the next start would find it there;
  // or a part of it, and what is written after that would be lost. So RocksDB has to leave that log behind when it
  // resumes: it then writes all before it to tables, of all families at once (atomic_flush), and begins a new one. It
  // does so only when there is something to write: what this erases is nothing, and is not logged.
  rocksdb::Status keep_memory_filled() {
    if (!events_->sealed.exchange(false)) return rocksdb::Status::OK();
    rocksdb::WriteOptions not_logged;
    not_logged.disableWAL = true;
    rocksdb::Status status = db_->Delete(not_logged, families_[kFamilyCount], "\xff");
    if (!status.ok()) events_->sealed = true;
    return status;
  }
  uint64_t current_log() const {
    std::unique_ptr<rocksdb::LogFile> log;
    return db_->GetCurrentWalFile(&log).ok() ? log->LogNumber() : 0;
  }

  rocksdb::ColumnFamilyHandle* family(std::string_view key) const {
    for (size_t i = 0; i < kFamilyCount; ++i) {
      if (key.starts_with(kFamilies[i].first)) return families_[i];
    }
    return families_[kFamilyCount];
  }
  std::unique_ptr<DirectoryLock> lock_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
  const std::shared_ptr<Events> events_;
  uint64_t failed_log_ = 0;  // that the last failed write was meant for
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
  options.atomic_flush = true;                      // see keep_memory_filled()
  options.max_bgerror_resume_count = 0;             // see Events
  options.max_total_wal_size = 64 << 20;
  // A file that is written in the background goes to the disk in small steps, each waited for: the disk's queue stays
  // short, and the fsync that clients wait for does not stand behind megabytes.
  options.bytes_per_sync = 256 << 10;
  options.strict_bytes_per_sync = true;
  options.rate_limiter.reset(rocksdb::NewGenericRateLimiter(kBackgroundBytesPerSecond, kRefillMicroseconds));
  // Files that are over shrink step by step: a file system that tells the disk which blocks are free (mount option
  // discard) has everybody wait meanwhile.
  options.sst_file_manager.reset(rocksdb::NewSstFileManager(options.env, nullptr, "", kDeletedBytesPerSecond, true, nullptr,
                                                            1.0, kDeletedBytesPerStep));
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
  auto events = std::make_shared<Events>();
  options.listeners.push_back(events);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const Family& family : kFamilies) descriptors.emplace_back(family.name, options);
  descriptors.emplace_back(rocksdb::kDefaultColumnFamilyName, options);
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  rocksdb::Status status = rocksdb::DB::Open(options, (directory / "db").string(), descriptors, &families, &db);
  if (!status.ok()) return fail_at(directory.string(), to_error(status));
  return std::unique_ptr<Engine>(new RocksEngine(std::move(*lock), std::unique_ptr<rocksdb::DB>(db), std::move(families),
                                                 std::move(events)));
}

}  // namespace rs::store::engine
