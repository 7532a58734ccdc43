#include "store/etcd/health_checks.h"

#include <algorithm>

#include "store/etcd/gateway/json_text.h"
#include "store/mvcc/errors.h"

namespace rs::store::etcd {
namespace {

constexpr Duration kWriteTimeout =
    std::chrono::seconds(7);  // etcd's of a request: 5 s and two election timeouts

std::string_view name_of(Alarm alarm) {
  return alarm == Alarm::kNoSpace ? "NOSPACE" : "CORRUPT";
}

bool excluded(const net::Target& target, std::string_view name) {
  const auto names = target.params("exclude");
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Go's http.Error: the text, and a line's end.
void fail_with(net::Response& response, int status, std::string text) {
  response.status = status;
  response.headers.set("X-Content-Type-Options", "nosniff");
  response.body = std::move(text) + "\n";
}

}  // namespace

HealthChecks::HealthChecks(Embedded& store)
    : store_(store),
      checks_{{{"/livez", "serializable_read", &HealthChecks::serializable_read},
               {"/readyz", "data_corruption", &HealthChecks::data_corruption},
               {"/readyz", "linearizable_read", &HealthChecks::linearizable_read},
               {"/readyz", "non_learner", &HealthChecks::non_learner},
               {"/readyz", "serializable_read", &HealthChecks::serializable_read}}} {}

bool HealthChecks::answer(std::string_view method, const net::Target& target,
                          net::Response& response) {
  std::string_view endpoint, only;
  for (const Check& check : checks_) {
    if (target.path == check.endpoint) endpoint = check.endpoint;
    if (target.path.starts_with(check.endpoint) && target.path.size() > check.endpoint.size() &&
        target.path[check.endpoint.size()] == '/' &&
        target.path.substr(check.endpoint.size() + 1) == check.name) {
      endpoint = check.endpoint;
      only = check.name;
    }
  }
  if (endpoint.empty() && target.path != "/health") return false;
  response.headers.set("Content-Type", "text/plain; charset=utf-8");
  if (method != "GET") {
    response.headers.set("Allow", "GET");
    fail_with(response, 405, "Method Not Allowed");
  } else if (endpoint.empty()) {
    health(target, response);
  } else {
    checks(target, endpoint, only, response);
  }
  return true;
}

Result<void> HealthChecks::data_corruption() {
  for (Alarm alarm : store_.alarms()) {
    if (alarm == Alarm::kCorrupt)
      return fail(Code::kDataLoss, "alarm activated: {}", name_of(alarm));
  }
  return {};
}

Result<void> HealthChecks::serializable_read() {
  return read(true);
}
Result<void> HealthChecks::linearizable_read() {
  return read(false);
}
Result<void> HealthChecks::non_learner() {
  return {};
}  // a store of one node is its own leader

Result<void> HealthChecks::read(bool serializable) {
  auto answer = store_.try_range(
      {.key = std::string(1, '\0'), .limit = 1, .serializable = serializable, .keys_only = true});
  if (!answer) return fail(answer.error());
  // Reads are answered from what is durable; a disk that hangs would not be seen.
  if (!serializable && store_.activity().writing > kWriteTimeout)
    return fail(errors::timed_out());
  return {};
}

bool HealthChecks::run(Check& check, std::string& report) {
  auto result = (this->*check.run)();
  check.ok = result.has_value();
  ++(check.ok ? check.successes : check.failures);
  report += check.ok ? fmt::format("[+]{} ok\n", check.name)
                     : fmt::format("[-]{} failed: {}\n", check.name, result.error().message);
  return check.ok;
}

void HealthChecks::health(const net::Target& target, net::Response& response) {
  std::string reason;
  for (Alarm alarm : store_.alarms()) {
    if (reason.empty() && !excluded(target, name_of(alarm)))
      reason = fmt::format("ALARM {}", name_of(alarm));
  }
  if (reason.empty()) {
    auto answer = read(target.param("serializable") == "true");
    if (!answer) reason = fmt::format("RANGE ERROR:{}", answer.error().message);
  }
  ++(reason.empty() ? successes_ : failures_);
  std::string body = fmt::format(R"({{"health":"{}","reason":)", reason.empty());
  gateway::append_json_string(body, reason);
  body += '}';
  if (reason.empty())
    response.body = std::move(body);
  else
    fail_with(response, 503, std::move(body));
}

void HealthChecks::checks(const net::Target& target, std::string_view endpoint,
                          std::string_view only, net::Response& response) {
  std::string report;
  bool ok = true;
  for (Check& check : checks_) {
    if (check.endpoint != endpoint || (!only.empty() && check.name != only)) continue;
    if (only.empty() && excluded(target, check.name)) continue;
    ok = run(check, report) && ok;
  }
  if (!ok) return fail_with(response, 503, std::move(report));
  response.headers.set("X-Content-Type-Options", "nosniff");
  if (target.has_param("verbose")) response.body = std::move(report);
  response.body += "ok\n";
}

void HealthChecks::write_metrics(MetricsText& out) const {
  out.counter("etcd_server_health_success", "The total number of successful health checks",
              successes_);
  out.counter("etcd_server_health_failures", "The total number of failed health checks", failures_);
  auto labels = [](const Check& check) {
    return fmt::format(R"(name="{}",type="{}")", check.name, check.endpoint.substr(1));
  };
  out.family("etcd_server_healthcheck", "gauge", "The result of each kind of healthcheck.");
  for (const Check& check : checks_) {
    if (check.successes + check.failures > 0) out.sample(uint64_t(check.ok), labels(check));
  }
  out.family("etcd_server_healthchecks_total", "counter",
             "The total number of each kind of healthcheck.");
  for (const Check& check : checks_) {
    if (check.successes > 0) out.sample(check.successes, labels(check) + R"(,status="success")");
    if (check.failures > 0) out.sample(check.failures, labels(check) + R"(,status="error")");
  }
}

}  // namespace rs::store::etcd
