#include "ledger.h"

#include <sqlite3.h>

namespace bank {

using rs::Code;
using rs::fail;
using rs::Result;

namespace {

constexpr const char* kSchema = R"sql(
  CREATE TABLE IF NOT EXISTS accounts (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, balance INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS transfers (
    seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, outcome TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS entries (
    transfer INTEGER NOT NULL, account TEXT NOT NULL, counterparty TEXT NOT NULL, amount INTEGER NOT NULL,
    PRIMARY KEY (account, transfer, amount)) WITHOUT ROWID;
  INSERT OR IGNORE INTO accounts (id, owner, kind) VALUES ('cash', 'the bank', 'internal');
)sql";

// One prepared statement, bound by position; finalised with its scope.
class Statement {
 public:
  Statement(sqlite3* db, const char* sql) { sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr); }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  Statement& bind(const std::string& text) {
    sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    return *this;
  }
  Statement& bind(int64_t number) {
    sqlite3_bind_int64(statement_, ++bound_, number);
    return *this;
  }
  int step() { return statement_ == nullptr ? SQLITE_ERROR : sqlite3_step(statement_); }
  std::string text(int column) const {
    auto* bytes = sqlite3_column_text(statement_, column);
    return bytes == nullptr ? std::string() : reinterpret_cast<const char*>(bytes);
  }
  int64_t number(int column) const { return sqlite3_column_int64(statement_, column); }

 private:
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

}  // namespace

Result<std::unique_ptr<Ledger>> Ledger::open(const std::string& file) {
  sqlite3* db = nullptr;
  if (sqlite3_open(file.c_str(), &db) != SQLITE_OK) {
    auto failure = fail(Code::kUnavailable, "cannot open the ledger {}: {}", file, sqlite3_errmsg(db));
    sqlite3_close(db);
    return failure;
  }
  std::unique_ptr<Ledger> ledger(new Ledger(db));
  sqlite3_busy_timeout(db, 5000);
  for (const char* sql : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", kSchema})
    if (auto done = ledger->execute(sql); !done) return fail(done.error());
  return ledger;
}

Ledger::~Ledger() { sqlite3_close(db_); }

rs::Error Ledger::error(const char* what) const {
  return {Code::kInternalError, fmt::format("ledger: {}: {}", what, sqlite3_errmsg(db_))};
}

Result<void> Ledger::execute(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return fail(error("execute"));
  return {};
}

Result<Account> Ledger::open_account(const std::string& id, const std::string& owner, const std::string& kind) {
  if (id.empty() || id.size() > 100 || owner.size() > 200) return fail(Code::kInvalid, "an account needs an id of 1 to 100 bytes");
  if (kind != "current" && kind != "prepaid") return fail(Code::kInvalid, "kind must be current or prepaid");
  Statement insert(db_, "INSERT OR IGNORE INTO accounts (id, owner, kind) VALUES (?, ?, ?)");
  if (insert.bind(id).bind(owner).bind(kind).step() != SQLITE_DONE) return fail(error("open account"));
  return account(id);
}

Result<Account> Ledger::account(const std::string& id) {
  Statement select(db_, "SELECT id, owner, kind, balance FROM accounts WHERE id = ?");
  int outcome = select.bind(id).step();
  if (outcome == SQLITE_DONE) return fail(Code::kNotFound, "no account {}", id);
  if (outcome != SQLITE_ROW) return fail(error("read account"));
  return Account{select.text(0), select.text(1), select.text(2), select.number(3)};
}

Result<void> Ledger::transfer(const std::string& key, const std::string& from, const std::string& to, int64_t amount) {
  if (key.empty() || key.size() > 200) return fail(Code::kInvalid, "an idempotency key of 1 to 200 bytes is needed");
  if (amount <= 0 || amount > kMaxAmount) return fail(Code::kInvalid, "the amount must be between 1 and {}", kMaxAmount);
  if (from == to) return fail(Code::kInvalid, "from and to are the same account");
  // IMMEDIATE takes the write lock before the key is looked up: two processes cannot both find it missing.
  if (auto begun = execute("BEGIN IMMEDIATE"); !begun) return begun;
  auto outcome = insert_transfer(key, from, to, amount);
  bool refused = !outcome && outcome.error().code == Code::kFailedPrecondition;
  auto ended = execute(outcome || refused ? "COMMIT" : "ROLLBACK");
  if (!ended) {
    (void)execute("ROLLBACK");
    return ended;
  }
  return outcome;
}

Result<void> Ledger::insert_transfer(const std::string& key, const std::string& from, const std::string& to, int64_t amount) {
  Statement known(db_, "SELECT outcome FROM transfers WHERE key = ?");
  int found = known.bind(key).step();
  if (found == SQLITE_ROW) {
    if (known.text(0) == "done") return {};
    return fail(Code::kFailedPrecondition, "{}", known.text(0));
  }
  if (found != SQLITE_DONE) return fail(error("look up key"));
  auto payer = account(from);
  if (!payer) return fail(Code::kInvalid, "{}", payer.error().message);
  auto payee = account(to);
  if (!payee) return fail(Code::kInvalid, "{}", payee.error().message);
  bool enough = payer->kind == "internal" || payer->balance >= amount;
  std::string outcome = enough ? "done" : fmt::format("account {} has not enough money", from);
  if (Statement insert(db_, "INSERT INTO transfers (key, outcome) VALUES (?, ?)"); insert.bind(key).bind(outcome).step() != SQLITE_DONE)
    return fail(error("write transfer"));
  if (!enough) return fail(Code::kFailedPrecondition, "{}", outcome);
  int64_t sequence = sqlite3_last_insert_rowid(db_);
  struct Side {
    const std::string& account;
    const std::string& other;
    int64_t amount;
  };
  for (const Side& side : {Side{from, to, -amount}, Side{to, from, amount}}) {
    Statement entry(db_, "INSERT INTO entries (transfer, account, counterparty, amount) VALUES (?, ?, ?, ?)");
    if (entry.bind(sequence).bind(side.account).bind(side.other).bind(side.amount).step() != SQLITE_DONE)
      return fail(error("write entry"));
    Statement balance(db_, "UPDATE accounts SET balance = balance + ? WHERE id = ?");
    if (balance.bind(side.amount).bind(side.account).step() != SQLITE_DONE) return fail(error("write balance"));
  }
  return {};
}

Result<std::vector<Entry>> Ledger::statement(const std::string& id, int limit) {
  Statement select(db_, "SELECT t.key, e.counterparty, e.amount FROM entries e JOIN transfers t ON t.seq = e.transfer "
                        "WHERE e.account = ? ORDER BY e.transfer DESC LIMIT ?");
  select.bind(id).bind(int64_t{limit});
  std::vector<Entry> entries;
  int outcome;
  while ((outcome = select.step()) == SQLITE_ROW) entries.push_back({select.text(0), select.text(1), select.number(2)});
  if (outcome != SQLITE_DONE) return fail(error("read statement"));
  return entries;
}

Result<std::vector<std::string>> Ledger::keys_with_prefix(const std::string& prefix) {
  Statement select(db_, "SELECT key FROM transfers WHERE key >= ? AND key < ? AND outcome = 'done'");
  select.bind(prefix).bind(prefix + "\x7f");
  std::vector<std::string> keys;
  int outcome;
  while ((outcome = select.step()) == SQLITE_ROW) keys.push_back(select.text(0));
  if (outcome != SQLITE_DONE) return fail(error("read keys"));
  return keys;
}

Result<Books> Ledger::books() {
  Statement select(db_, "SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM transfers WHERE outcome = 'done'), "
                        "(SELECT -balance FROM accounts WHERE id = 'cash'), "
                        "(SELECT coalesce(sum(balance), 0) FROM accounts WHERE id <> 'cash'), "
                        "(SELECT coalesce(sum(amount), 0) FROM entries), "
                        "(SELECT count(*) FROM accounts a WHERE a.balance <> "
                        "(SELECT coalesce(sum(e.amount), 0) FROM entries e WHERE e.account = a.id))");
  if (select.step() != SQLITE_ROW) return fail(error("read books"));
  Books books{select.number(0), select.number(1), select.number(2), select.number(3), false};
  books.balanced = select.number(4) == 0 && select.number(5) == 0 && books.paid_in == books.customer_balances;
  return books;
}

}  // namespace bank
