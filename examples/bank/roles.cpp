// The roles of the bank, each a small service. Money moves only in `ledger`; the others check, route and combine.
#include "ledger.h"
#include "service.h"

namespace bank {

using namespace rs;

namespace {

std::unexpected<Error> unknown(const Call& call) {
  std::string path;
  for (const auto& part : call.parts) (path += '/') += part;
  return fail(Code::kNotFound, "no such call: {} {}", call.method, path);
}

Json account_json(const Account& account) {
  return JsonObject{{"id", account.id}, {"owner", account.owner}, {"kind", account.kind}, {"balance", account.balance}};
}

class LedgerRole final : public Role {
 public:
  explicit LedgerRole(std::unique_ptr<Ledger> ledger) : ledger_(std::move(ledger)) {}

  awaitable<Result<Json>> answer(Call call) override { co_return answer_now(call); }

 private:
  Result<Json> answer_now(const Call& call) {
    if (call.is("POST", 1, "accounts")) {
      auto account = ledger_->open_account(std::string(str(call.body, "id")), std::string(str(call.body, "owner")),
                                           std::string(str(call.body, "kind")));
      if (!account) return fail(account.error());
      return account_json(*account);
    }
    if (call.is("GET", 2, "accounts")) {
      auto account = ledger_->account(call.parts[1]);
      if (!account) return fail(account.error());
      return account_json(*account);
    }
    if (call.is("POST", 1, "transfers")) {
      auto done = ledger_->transfer(call.idempotency_key, std::string(str(call.body, "from")),
                                    std::string(str(call.body, "to")), integer(call.body, "amount"));
      if (!done) return fail(done.error());
      return Json(JsonObject{{"key", call.idempotency_key}, {"state", "done"}});
    }
    if (call.is("GET", 2, "statements")) return statement(call.parts[1]);
    if (call.is("GET", 1, "keys")) return keys(std::string(call.target.param("prefix")));
    if (call.is("GET", 1, "books")) return books();
    return unknown(call);
  }

  Result<Json> statement(const std::string& account) {
    static constexpr int kEntriesMax = 50;
    auto entries = ledger_->statement(account, kEntriesMax);
    if (!entries) return fail(entries.error());
    JsonArray rows;
    for (const auto& entry : *entries)
      rows.push_back(JsonObject{{"key", entry.key}, {"counterparty", entry.counterparty}, {"amount", entry.amount}});
    return Json(JsonObject{{"account", account}, {"entries", std::move(rows)}});
  }

  Result<Json> keys(const std::string& prefix) {
    if (prefix.empty()) return fail(Code::kBadRequest, "a prefix is needed");
    auto found = ledger_->keys_with_prefix(prefix);
    if (!found) return fail(found.error());
    JsonArray rows;
    for (auto& key : *found) rows.push_back(Json(key));
    return Json(JsonObject{{"keys", std::move(rows)}});
  }

  Result<Json> books() {
    auto books = ledger_->books();
    if (!books) return fail(books.error());
    return Json(JsonObject{{"accounts", books->accounts},
                           {"transfers", books->transfers},
                           {"paid_in", books->paid_in},
                           {"customer_balances", books->customer_balances},
                           {"balanced", books->balanced}});
  }

  std::unique_ptr<Ledger> ledger_;
};

// Opens accounts of one kind and reads them: current-account and prepaid.
class AccountsRole final : public Role {
 public:
  AccountsRole(Peers& peers, std::string kind) : peers_(peers), kind_(std::move(kind)) {}

  awaitable<Result<Json>> answer(Call call) override {
    if (call.is("POST", 1, "accounts")) {
      Json body = call.body;
      set(body, Json(kind_), "kind");
      co_return co_await peers_.call("ledger", "POST", "/accounts", std::move(body));
    }
    if (call.is("GET", 2, "accounts"))
      co_return co_await peers_.call("ledger", "GET", "/accounts/" + net::percent_encode(call.parts[1]));
    if (call.is("POST", 3, "accounts") && call.parts[2] == "deposits") {
      JsonObject transfer{{"from", "cash"}, {"to", call.parts[1]}, {"amount", integer(call.body, "amount")}};
      co_return co_await peers_.call("ledger", "POST", "/transfers", std::move(transfer), call.idempotency_key);
    }
    co_return unknown(call);
  }

 private:
  Peers& peers_;
  std::string kind_;
};

// Checks a payment and has the ledger make it.
class PaymentsRole final : public Role {
 public:
  explicit PaymentsRole(Peers& peers) : peers_(peers) {}

  awaitable<Result<Json>> answer(Call call) override {
    static constexpr int64_t kPaymentMax = 10'000'00;
    if (!call.is("POST", 1, "payments")) co_return unknown(call);
    auto amount = integer(call.body, "amount");
    if (amount <= 0 || amount > kPaymentMax) co_return fail(Code::kInvalid, "a payment is between 1 and {}", kPaymentMax);
    if (call.idempotency_key.empty()) co_return fail(Code::kInvalid, "the header Idempotency-Key is needed");
    JsonObject transfer{{"from", str(call.body, "from")}, {"to", str(call.body, "to")}, {"amount", amount}};
    co_return co_await peers_.call("ledger", "POST", "/transfers", std::move(transfer), call.idempotency_key);
  }

 private:
  Peers& peers_;
};

// A card pays from the account it is named after (card-<account>).
class CardsRole final : public Role {
 public:
  explicit CardsRole(Peers& peers) : peers_(peers) {}

  awaitable<Result<Json>> answer(Call call) override {
    static constexpr std::string_view kPrefix = "card-";
    if (!call.is("POST", 3, "cards") || call.parts[2] != "payments") co_return unknown(call);
    if (!call.parts[1].starts_with(kPrefix)) co_return fail(Code::kNotFound, "no card {}", call.parts[1]);
    JsonObject payment{{"from", call.parts[1].substr(kPrefix.size())},
                       {"to", str(call.body, "to")},
                       {"amount", integer(call.body, "amount")}};
    co_return co_await peers_.call("payments", "POST", "/payments", std::move(payment), call.idempotency_key);
  }

 private:
  Peers& peers_;
};

// The latest movements of an account, as a customer reads them.
class FeedRole final : public Role {
 public:
  explicit FeedRole(Peers& peers) : peers_(peers) {}

  awaitable<Result<Json>> answer(Call call) override {
    if (!call.is("GET", 2, "feed")) co_return unknown(call);
    auto statement = co_await peers_.call("ledger", "GET", "/statements/" + net::percent_encode(call.parts[1]));
    if (!statement) co_return fail(statement.error());
    JsonArray items;
    for (const Json& entry : array(*statement, "entries")) {
      auto amount = integer(entry, "amount");
      items.push_back(Json(fmt::format("{} {}.{:02} {} {}", amount < 0 ? "paid" : "received", std::abs(amount) / 100,
                                       std::abs(amount) % 100, amount < 0 ? "to" : "from", str(entry, "counterparty"))));
    }
    co_return Json(JsonObject{{"account", call.parts[1]}, {"items", std::move(items)}});
  }

 private:
  Peers& peers_;
};

// What the people who help customers see: account and feed together.
class CustomerOpsRole final : public Role {
 public:
  explicit CustomerOpsRole(Peers& peers) : peers_(peers) {}

  awaitable<Result<Json>> answer(Call call) override {
    if (!call.is("GET", 2, "customers")) co_return unknown(call);
    auto id = net::percent_encode(call.parts[1]);
    auto account = co_await peers_.call("current-account", "GET", "/accounts/" + id);
    if (!account) co_return fail(account.error());
    auto feed = co_await peers_.call("feed", "GET", "/feed/" + id);
    JsonObject answer{{"account", std::move(*account)}};
    // The feed is a comfort: without it the rest is still shown.
    if (feed) answer["feed"] = std::move(*feed);
    else answer["feed_error"] = feed.error().message;
    co_return Json(std::move(answer));
  }

 private:
  Peers& peers_;
};

// The public API: decides which service a call is for.
class EdgeRole final : public Role {
 public:
  explicit EdgeRole(Peers& peers) : peers_(peers) {}

  awaitable<Result<Json>> answer(Call call) override {
    if (call.parts.empty()) co_return unknown(call);
    std::string service = service_for(call);
    if (service.empty()) co_return unknown(call);
    std::string path;
    for (const auto& part : call.parts) (path += '/') += net::percent_encode(part);
    if (auto prefix = call.target.param("prefix"); !prefix.empty()) path += "?prefix=" + net::percent_encode(prefix);
    co_return co_await peers_.call(service, call.method, path, std::move(call.body), call.idempotency_key);
  }

 private:
  static std::string service_for(const Call& call) {
    const auto& first = call.parts[0];
    if (first == "accounts") {
      bool prepaid = str(call.body, "kind") == "prepaid" || (call.parts.size() > 1 && call.parts[1].starts_with("prepaid-"));
      return prepaid ? "prepaid" : "current-account";
    }
    if (first == "payments") return "payments";
    if (first == "cards") return "cards";
    if (first == "feed") return "feed";
    if (first == "customers") return "customer-ops";
    if (first == "books" || first == "keys") return call.method == "GET" ? "ledger" : "";
    return {};
  }

  Peers& peers_;
};

}  // namespace

Result<std::unique_ptr<Role>> make_role(const Options& options, Peers& peers) {
  std::unique_ptr<Role> role;
  if (options.role == "ledger") {
    auto ledger = Ledger::open(options.data_dir + "/ledger.db");
    if (!ledger) return fail(ledger.error());
    role = std::make_unique<LedgerRole>(std::move(*ledger));
  } else if (options.role == "edge") {
    role = std::make_unique<EdgeRole>(peers);
  } else if (options.role == "current-account") {
    role = std::make_unique<AccountsRole>(peers, "current");
  } else if (options.role == "prepaid") {
    role = std::make_unique<AccountsRole>(peers, "prepaid");
  } else if (options.role == "payments") {
    role = std::make_unique<PaymentsRole>(peers);
  } else if (options.role == "cards") {
    role = std::make_unique<CardsRole>(peers);
  } else if (options.role == "feed") {
    role = std::make_unique<FeedRole>(peers);
  } else if (options.role == "customer-ops") {
    role = std::make_unique<CustomerOpsRole>(peers);
  } else {
    return fail(Code::kInvalid,
                "no role {}: choose edge, current-account, prepaid, payments, ledger, cards, feed or customer-ops",
                options.role);
  }
  return role;
}

}  // namespace bank
