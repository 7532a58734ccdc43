// bank-load: drives accounts and payments through the mesh to `edge`, at a constant rate (open loop: a slow answer does
// not slow the next request down), then checks the books: every acknowledged payment is in the ledger once, and the sum
// of all accounts is what was paid in.
#include <map>
#include <set>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>

#include "base/json.h"
#include "net/http.h"

namespace {

using namespace rs;
using namespace std::chrono_literals;
template <class T>
using awaitable = net::awaitable<T>;

struct Options {
  std::string mesh = "http://127.0.0.1:4140";
  std::string edge = "edge.bank";
  double rate = 200;
  double duration_seconds = 30;
  int accounts = 50;
  int attempts = 8;
  bool prepaid = true;
  std::string output = "text";
};

struct Tally {
  uint64_t requests = 0, failed = 0, retried = 0, payments = 0;
  std::map<std::string, uint64_t> failures;   // by cause, of every attempt that failed
  std::vector<double> latencies_ms;
  std::vector<std::string> acknowledged;      // keys of payments
  bool books_balance = false;
  std::string books_problem;
};

class Load {
 public:
  Load(async::Loop& loop, net::Network& network, const Options& options, net::Address mesh)
      : loop_(loop),
        options_(options),
        client_(loop, network, mesh, {.connections_per_host = 256}),
        tasks_(loop),
        run_(fmt::format("run-{:012x}-", loop.random().next() >> 16)) {}

  awaitable<Result<void>> run(Tally& tally) {
    tally_ = &tally;
    auto opened = co_await open_accounts();
    if (!opened) co_return fail(opened.error());
    co_await drive();
    co_await tasks_.join();
    co_await check_books();
    co_return Result<void>();
  }

 private:
  bool is_prepaid(int index) const { return options_.prepaid && index % 2 != 0; }
  std::string account(int index) const { return fmt::format("{}{}", is_prepaid(index) ? "prepaid-" + run_ : run_, index); }
  int random_account() { return static_cast<int>(loop_.random().below(static_cast<uint64_t>(options_.accounts))); }

  // One request, repeated with the same key until it is answered or the attempts are used up.
  awaitable<Result<Json>> send(std::string method, std::string path, Json body, std::string key, bool counted) {
    MonoTime begun = loop_.now();
    Error last;
    for (int attempt = 0; attempt < options_.attempts; ++attempt) {
      if (attempt > 0) {
        if (counted) ++tally_->retried;
        co_await loop_.sleep(50ms * (1 << std::min(attempt, 5)));
      }
      net::Request request;
      request.method = method;
      request.authority = options_.edge;
      request.target = path;
      if (!body.is_null()) request.body = to_text(body);
      if (!key.empty()) request.headers.add("idempotency-key", key);
      auto response = co_await client_.call(std::move(request), 10s);
      if (response && response->status == 200) {
        if (counted) tally_->latencies_ms.push_back(std::chrono::duration<double, std::milli>(loop_.now() - begun).count());
        co_return parse_json(response->body);
      }
      last = response ? Error{Code::kInternalError, fmt::format("HTTP {} {}", response->status, first_line(response->body))}
                      : response.error();
      if (counted) ++tally_->failures[response ? fmt::format("http_{}", response->status) : std::string(to_string(last.code))];
    }
    co_return fail(std::move(last));
  }

  static std::string_view first_line(std::string_view text) { return text.substr(0, std::min<size_t>(text.find('\n'), 200)); }

  awaitable<Result<void>> open_accounts() {
    for (int i = 0; i < options_.accounts; ++i) {
      JsonObject body{{"id", account(i)}, {"owner", "load"}, {"kind", is_prepaid(i) ? "prepaid" : "current"}};
      auto opened = co_await send("POST", "/accounts", std::move(body), {}, false);
      if (!opened) co_return fail_at("cannot open an account at " + options_.edge, opened.error());
      auto paid = co_await send("POST", "/accounts/" + account(i) + "/deposits", JsonObject{{"amount", 100'000'00}},
                                run_ + "deposit-" + std::to_string(i), false);
      if (!paid) co_return fail_at("cannot pay in", paid.error());
    }
    co_return Result<void>();
  }

  awaitable<void> drive() {
    static constexpr size_t kInFlightMax = 5000;
    MonoTime begun = loop_.now();
    auto interval = Duration(static_cast<int64_t>(1e9 / options_.rate));
    auto total = static_cast<uint64_t>(options_.rate * options_.duration_seconds);
    MonoTime report = begun + 1s;
    for (uint64_t i = 0; i < total; ++i) {
      MonoTime due = begun + interval * static_cast<int64_t>(i);
      if (due > loop_.now()) co_await loop_.sleep(due - loop_.now());
      while (tasks_.size() >= kInFlightMax) co_await loop_.sleep(1ms);
      ++tally_->requests;
      tasks_.spawn("request", one(i));
      if (loop_.now() >= report) {
        progress(begun);
        report = loop_.now() + 1s;
      }
    }
  }

  void progress(MonoTime begun) const {
    if (options_.output != "text") return;
    std::fprintf(stderr, "\r%4.0f s  %llu requests  %llu under way  %llu failed  %llu retried   ",
                 std::chrono::duration<double>(loop_.now() - begun).count(),
                 static_cast<unsigned long long>(tally_->requests), static_cast<unsigned long long>(tasks_.size()),
                 static_cast<unsigned long long>(tally_->failed), static_cast<unsigned long long>(tally_->retried));
  }

  awaitable<void> one(uint64_t number) {
    int from = random_account(), to = (from + 1 + random_account() % (options_.accounts - 1)) % options_.accounts;
    uint64_t dice = loop_.random().below(10);
    Result<Json> answer;
    if (dice < 8) {
      ++tally_->payments;
      std::string key = run_ + std::to_string(number);
      JsonObject body{{"to", account(to)}, {"amount", loop_.random().between(1, 500)}};
      std::string path = "/cards/card-" + account(from) + "/payments";
      if (dice > 0) {
        body["from"] = account(from);
        path = "/payments";
      }
      answer = co_await send("POST", path, std::move(body), key, true);
      if (answer) tally_->acknowledged.push_back(std::move(key));
    } else {
      answer = co_await send("GET", (dice == 8 ? "/accounts/" : "/customers/") + account(from), {}, {}, true);
    }
    if (!answer) ++tally_->failed;
  }

  awaitable<void> check_books() {
    auto books = co_await send("GET", "/books", {}, {}, false);
    auto keys = co_await send("GET", "/keys?prefix=" + run_, {}, {}, false);
    if (!books || !keys) {
      tally_->books_problem = "the books cannot be read: " + (books ? keys.error().message : books.error().message);
      co_return;
    }
    std::set<std::string_view> known;
    for (const Json& key : array(*keys, "keys"))
      if (key.is_string()) known.insert(std::string_view(key.get_string()));
    size_t missing = 0;
    for (const auto& key : tally_->acknowledged) missing += known.contains(key) ? 0 : 1;
    if (missing > 0) tally_->books_problem = fmt::format("{} acknowledged payments are not in the ledger", missing);
    else if (!boolean(*books, "balanced")) tally_->books_problem = "the entries do not sum to zero: " + to_text(*books);
    else if (known.size() != array(*keys, "keys").size()) tally_->books_problem = "a payment is in the ledger twice";
    tally_->books_balance = tally_->books_problem.empty();
  }

  async::Loop& loop_;
  const Options& options_;
  net::HttpClient client_;
  async::TaskGroup tasks_;
  std::string run_;
  Tally* tally_ = nullptr;
};

double quantile(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  auto index = static_cast<size_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(index), values.end());
  return values[index];
}

int print(Tally& tally, const Options& options) {
  double p50 = quantile(tally.latencies_ms, 0.5), p99 = quantile(tally.latencies_ms, 0.99);
  double worst = quantile(tally.latencies_ms, 1);
  if (options.output == "json") {
    JsonObject failures;
    for (const auto& [cause, count] : tally.failures) failures[cause] = count;
    fmt::print("{}\n", to_text(JsonObject{{"requests", tally.requests},
                                          {"failed", tally.failed},
                                          {"retried", tally.retried},
                                          {"failures", std::move(failures)},
                                          {"payments", tally.payments},
                                          {"acknowledged", tally.acknowledged.size()},
                                          {"p50_ms", p50},
                                          {"p99_ms", p99},
                                          {"max_ms", worst},
                                          {"books_balance", tally.books_balance},
                                          {"books_problem", tally.books_problem}}));
  } else {
    fmt::print(stderr, "\n");
    fmt::print("requests       {}\nfailed         {}\nretried        {}\n", tally.requests, tally.failed, tally.retried);
    for (const auto& [cause, count] : tally.failures) fmt::print("  {:<12} {}\n", cause, count);
    fmt::print("p50            {:.1f} ms\np99            {:.1f} ms\nmax            {:.1f} ms\n", p50, p99, worst);
    fmt::print("payments       {} acknowledged of {}\n", tally.acknowledged.size(), tally.payments);
    fmt::print("books balance  {}\n", tally.books_balance ? "yes" : "NO: " + tally.books_problem);
  }
  return tally.failed == 0 && tally.books_balance ? 0 : 1;
}

awaitable<void> drive(async::SystemLoop& loop, const Options& options, net::Address mesh, int& exit_code) {
  net::TcpNetwork network(loop);
  Load load(loop, network, options, mesh);
  Tally tally;
  auto done = co_await load.run(tally);
  if (done) {
    exit_code = print(tally, options);
  } else {
    fmt::print(stderr, "bank-load: {}\nIs the bank applied (kubectl get pods -n bank) and the mesh at {}?\n",
               done.error().message, options.mesh);
    exit_code = 2;
  }
  loop.stop();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Loads the example bank through the mesh and checks its books", "bank-load");
  app.add_option("--mesh", options.mesh, "The mesh's HTTP proxy port")->capture_default_str();
  app.add_option("--edge", options.edge, "Name of the public API in the mesh")->capture_default_str();
  app.add_option("--rate", options.rate, "Requests a second")->check(CLI::Range(0.1, 100000.0))->capture_default_str();
  app.add_option("--duration", options.duration_seconds, "Seconds")->check(CLI::Range(0.1, 86400.0))->capture_default_str();
  app.add_option("--accounts", options.accounts, "Accounts to open")->check(CLI::Range(2, 10000))->capture_default_str();
  app.add_option("--attempts", options.attempts, "Attempts a request before it counts as failed")->check(CLI::Range(1, 100))->capture_default_str();
  app.add_flag("!--no-prepaid", options.prepaid, "Open current accounts only: nothing is asked of the service prepaid");
  app.add_option("-o,--output", options.output, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  std::string_view text = options.mesh;
  if (text.starts_with("http://")) text.remove_prefix(7);
  if (text.ends_with('/')) text.remove_suffix(1);
  auto mesh = net::parse_address(text, 4140);
  if (!mesh) {
    fmt::print(stderr, "bank-load: --mesh: {}\n", mesh.error().message);
    return 2;
  }
  async::SystemLoop loop;
  int exit_code = 2;
  boost::asio::co_spawn(loop.context(), drive(loop, options, *mesh, exit_code), [](std::exception_ptr exception) {
    if (exception) std::rethrow_exception(exception);
  });
  loop.run();
  return exit_code;
}
