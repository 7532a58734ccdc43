#include "sqlite_engine.h"

#include <sys/stat.h>

#include <mutex>

#include <sqlite3.h>

namespace rs::store::engine {
namespace {

constexpr int64_t kPageBytes = 4096, kPagesMax = 1'000'000'000;
constexpr int kPatienceMs = 10'000;  // for the other connections' locks
constexpr int kFreedPagesPerWrite = 256;

Error to_error(int code, std::string_view what) {
  const std::string text = fmt::format("{}: {}", what, sqlite3_errstr(code));
  switch (code & 0xff) {
    case SQLITE_FULL:
      return {Code::kResourceExhausted, "the disk is full: " + text};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {Code::kDataLoss, "the store is damaged: " + text};
    default:
      return {Code::kUnavailable, "disk error: " + text};
  }
}

struct Close {
  void operator()(sqlite3* db) const { (void)sqlite3_close_v2(db); }
};
struct Finalize {
  void operator()(sqlite3_stmt* statement) const { (void)sqlite3_finalize(statement); }
};
using Connection = std::unique_ptr<sqlite3, Close>;

// A prepared statement and what is bound to it.
class Statement {
 public:
  Statement() = default;
  static Result<Statement> make(sqlite3* db, const char* sql) {
    sqlite3_stmt* prepared = nullptr;
    if (int code = sqlite3_prepare_v2(db, sql, -1, &prepared, nullptr); code != SQLITE_OK)
      return fail(to_error(code, sql));
    return Statement(prepared);
  }
  // The bytes live until the next reset(). Never NULL, which a key or value without bytes is not.
  void bind(int place, std::string_view bytes) {
    (void)sqlite3_bind_blob64(get(), place, bytes.empty() ? "" : bytes.data(), bytes.size(),
                              SQLITE_STATIC);
  }
  int step() { return sqlite3_step(get()); }
  void reset() {
    (void)sqlite3_reset(get());
    (void)sqlite3_clear_bindings(get());
  }
  std::string_view column(int place) const {
    const void* bytes = sqlite3_column_blob(get(), place);
    const auto size = size_t(sqlite3_column_bytes(get(), place));
    return bytes == nullptr ? std::string_view()
                            : std::string_view(static_cast<const char*>(bytes), size);
  }
  sqlite3_stmt* get() const { return statement_.get(); }

 private:
  explicit Statement(sqlite3_stmt* prepared) : statement_(prepared) {}
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

Result<void> execute(sqlite3* db, const std::string& sql) {
  if (int code = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr); code != SQLITE_OK)
    return fail(to_error(code, sql));
  return {};
}

Result<Connection> connect(const std::filesystem::path& file) {
  sqlite3* db = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  int code = sqlite3_open_v2(file.c_str(), &db, flags, nullptr);
  Connection connection(db);
  if (code != SQLITE_OK) return fail(to_error(code, file.string()));
  (void)sqlite3_busy_timeout(db, kPatienceMs);
  return connection;
}

constexpr const char* kGet = "SELECT v FROM kv WHERE k = ?1";
constexpr const char* kScan = "SELECT k, v FROM kv WHERE k >= ?1 AND k < ?2 ORDER BY k";

Result<std::optional<std::string>> get_with(Statement& statement, std::string_view key) {
  statement.bind(1, key);
  const int code = statement.step();
  std::optional<std::string> value;
  if (code == SQLITE_ROW) value.emplace(statement.column(0));
  statement.reset();
  if (code != SQLITE_ROW && code != SQLITE_DONE) return fail(to_error(code, kGet));
  return value;
}

class SqliteCursor final : public Cursor {
 public:
  SqliteCursor(sqlite3* db, std::string_view from, std::string_view to) : from_(from), to_(to) {
    auto statement = Statement::make(db, kScan);
    if (!statement) {
      error_ = statement.error();
      return;
    }
    statement_ = std::move(*statement);
    statement_.bind(1, from_);
    statement_.bind(2, to_);
    next();
  }
  bool valid() const override { return code_ == SQLITE_ROW; }
  std::string_view key() const override { return statement_.column(0); }
  std::string_view value() const override { return statement_.column(1); }
  void next() override {
    code_ = statement_.step();
    if (code_ != SQLITE_ROW && code_ != SQLITE_DONE) error_ = to_error(code_, kScan);
  }
  Result<void> status() const override {
    if (error_) return fail(*error_);
    return {};
  }

 private:
  const std::string from_, to_;
  Statement statement_;
  int code_ = SQLITE_DONE;
  std::optional<Error> error_;
};

// A read transaction that has begun to read: what is committed later it does not see.
class SqliteView final : public View {
 public:
  static Result<std::unique_ptr<View>> make(const std::filesystem::path& file) {
    auto db = connect(file);
    if (!db) return fail(db.error());
    if (auto begun = execute(db->get(), "BEGIN; SELECT 1 FROM kv LIMIT 1"); !begun)
      return fail(begun.error());
    auto get = Statement::make(db->get(), kGet);
    if (!get) return fail(get.error());
    return std::unique_ptr<View>(new SqliteView(std::move(*db), std::move(*get)));
  }
  Result<std::optional<std::string>> get(std::string_view key) const override {
    return get_with(get_, key);
  }
  std::unique_ptr<Cursor> cursor(std::string_view from, std::string_view to) const override {
    return std::make_unique<SqliteCursor>(db_.get(), from, to);
  }

 private:
  SqliteView(Connection db, Statement get) : db_(std::move(db)), get_(std::move(get)) {}
  const Connection db_;
  mutable Statement get_;
};

class SqliteEngine final : public Engine {
 public:
  static Result<std::unique_ptr<Engine>> open(const std::filesystem::path& file,
                                              const SqliteTuning& tuning) {
    std::unique_ptr<SqliteEngine> engine(new SqliteEngine(file, tuning));
    if (auto opened = engine->open_connections(); !opened) return fail(opened.error());
    return std::unique_ptr<Engine>(std::move(engine));
  }
  ~SqliteEngine() override { shutdown(); }

  Result<void> write(const Batch& batch, bool sync) override {
    if (failed_) return fail(*failed_);
    auto written = write_once(batch, sync);
    if (!written) {
      // A failed statement may have ended the transaction by itself.
      if (sqlite3_get_autocommit(writer_.get()) == 0) (void)execute(writer_.get(), "ROLLBACK");
      failed_ = written.error();
      return written;
    }
    if (tidy_wanted_.exchange(false))
      (void)execute(writer_.get(),
                    fmt::format("PRAGMA incremental_vacuum({})", kFreedPagesPerWrite));
    return {};
  }

  Result<std::optional<std::string>> get(std::string_view key) const override {
    std::lock_guard lock(reading_);
    return get_with(get_, key);
  }

  Result<void> scan(
      std::string_view from, std::string_view to,
      const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    // Recursive: visit may get().
    std::lock_guard lock(reading_);
    SqliteCursor cursor(reader_.get(), from, to);
    for (; cursor.valid(); cursor.next()) {
      if (!visit(cursor.key(), cursor.value())) return {};
    }
    return cursor.status();
  }

  Result<std::unique_ptr<View>> view() const override { return SqliteView::make(file_); }

  int64_t bytes_on_disk() const override {
    int64_t total = 0;
    for (const char* suffix : {"", "-wal"}) {
      std::error_code missing;
      const auto bytes = std::filesystem::file_size(file_.string() + suffix, missing);
      if (!missing) total += int64_t(bytes);
    }
    return total;
  }

  Result<void> resume() override {
    if (auto tried = execute(writer_.get(), "BEGIN IMMEDIATE; COMMIT"); !tried) return tried;
    failed_.reset();
    return {};
  }

  void shutdown() override {
    for (Statement* statement : {&put_, &erase_, &get_}) *statement = Statement();
    writer_.reset();
    reader_.reset();
  }
  void tidy() override { tidy_wanted_ = true; }

 private:
  SqliteEngine(std::filesystem::path file, const SqliteTuning& tuning)
      : file_(std::move(file)), tuning_(tuning) {}

  Result<void> open_connections() {
    auto writer = connect(file_);
    if (!writer) return fail(writer.error());
    writer_ = std::move(*writer);
    const std::string setup = fmt::format(
        "PRAGMA page_size={}; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; "
        "PRAGMA synchronous=FULL; "
        "CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID",
        kPageBytes);
    if (auto done = execute(writer_.get(), setup); !done) return done;
    auto reader = connect(file_);
    if (!reader) return fail(reader.error());
    reader_ = std::move(*reader);
    struct {
      Statement& statement;
      sqlite3* db;
      const char* sql;
    } const statements[] = {
        {put_, writer_.get(),
         "INSERT INTO kv VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v"},
        {erase_, writer_.get(), "DELETE FROM kv WHERE k = ?1"},
        {get_, reader_.get(), kGet},
    };
    for (const auto& [statement, db, sql] : statements) {
      auto made = Statement::make(db, sql);
      if (!made) return fail(made.error());
      statement = std::move(*made);
    }
    return {};
  }

  Result<void> write_once(const Batch& batch, bool sync) {
    int64_t pages_max = kPagesMax;
    if (tuning_.bytes_max != nullptr && tuning_.bytes_max->load() > 0)
      pages_max = std::max<int64_t>(1, tuning_.bytes_max->load() / kPageBytes);
    // NORMAL syncs only when the log is carried over into the database.
    const std::string begin =
        fmt::format("PRAGMA max_page_count={}; PRAGMA synchronous={}; BEGIN IMMEDIATE", pages_max,
                    sync ? "FULL" : "NORMAL");
    if (auto begun = execute(writer_.get(), begin); !begun) return begun;
    for (size_t i = 0; i < batch.size(); ++i) {
      const Batch::Op op = batch.op(i);
      Statement& statement = op.erase ? erase_ : put_;
      statement.bind(1, op.key);
      if (!op.erase) statement.bind(2, op.value);
      const int code = statement.step();
      statement.reset();
      if (code != SQLITE_DONE) return fail(to_error(code, op.erase ? "erase" : "put"));
    }
    return execute(writer_.get(), "COMMIT");
  }

  const std::filesystem::path file_;
  const SqliteTuning tuning_;
  Connection writer_, reader_;
  Statement put_, erase_;
  mutable Statement get_;
  mutable std::recursive_mutex reading_;
  std::optional<Error> failed_;  // the writer's
  std::atomic<bool> tidy_wanted_ = false;
};

}  // namespace

Result<std::unique_ptr<Engine>> open_sqlite_engine(const std::filesystem::path& directory,
                                                   const SqliteTuning& tuning) {
  std::error_code ec;
  std::filesystem::create_directories(directory, ec);
  if (ec || ::chmod(directory.c_str(), 0700) != 0)
    return fail(Code::kUnavailable, "cannot make {}", directory.string());
  return SqliteEngine::open(directory / "store.sqlite", tuning);
}

}  // namespace rs::store::engine
