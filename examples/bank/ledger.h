// Ledger: double-entry bookkeeping in one SQLite file.
//
// Every movement is a transfer with two entries whose amounts sum to zero; money enters through the account "cash",
// whose balance is minus what was paid in. A transfer is made once per idempotency key, also when several ledger
// processes share the file (a rollout) and when a client repeats a request it got no answer for. Amounts are in pence.
// Blocking, one thread. What was acknowledged is on disk (WAL, synchronous=FULL).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

struct sqlite3;

namespace bank {

struct Account {
  std::string id, owner, kind;   // kind: current, prepaid, internal
  int64_t balance = 0;
};
struct Entry {
  std::string key, counterparty;
  int64_t amount = 0;            // negative: paid out
};
struct Books {
  int64_t accounts = 0, transfers = 0;
  int64_t paid_in = 0;           // through "cash"
  int64_t customer_balances = 0; // of all other accounts
  bool balanced = false;         // all entries sum to zero and customer_balances == paid_in
};

class Ledger {
 public:
  static constexpr int64_t kMaxAmount = 1'000'000'00;
  static rs::Result<std::unique_ptr<Ledger>> open(const std::string& file);
  ~Ledger();
  rs::Result<Account> open_account(const std::string& id, const std::string& owner, const std::string& kind);
  rs::Result<Account> account(const std::string& id);
  // The outcome of the first call with this key, whatever the other arguments are later. kInvalid: amount, unknown
  // account; kFailedPrecondition: not enough money (also remembered by key).
  rs::Result<void> transfer(const std::string& key, const std::string& from, const std::string& to, int64_t amount);
  rs::Result<std::vector<Entry>> statement(const std::string& account, int limit);
  rs::Result<std::vector<std::string>> keys_with_prefix(const std::string& prefix);
  rs::Result<Books> books();

 private:
  explicit Ledger(sqlite3* db) : db_(db) {}
  rs::Error error(const char* what) const;
  rs::Result<void> execute(const char* sql);
  rs::Result<void> insert_transfer(const std::string& key, const std::string& from, const std::string& to, int64_t amount);
  sqlite3* db_;
};

}  // namespace bank
