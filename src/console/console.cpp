#include "console/console.h"

#include "api/table.h"
#include "console/page.h"

namespace rs::console {

using namespace std::chrono_literals;
using client::ObjectPtr;

namespace {

int64_t milliseconds(Duration duration) { return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count(); }

std::string_view content_type(std::string_view path) {
  if (path.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (path.ends_with(".css")) return "text/css; charset=utf-8";
  return "text/html; charset=utf-8";
}

// The page loads nothing from elsewhere and runs no inline script.
net::Headers page_headers(std::string_view path) {
  return {{"content-type", std::string(content_type(path))},
          {"cache-control", "no-cache"},
          {"content-security-policy", "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"},
          {"x-content-type-options", "nosniff"}};
}

std::string cell(const JsonArray& cells, size_t index) {
  if (index >= cells.size()) return {};
  const Json& value = cells[index];
  return value.is_string() ? std::string(std::string_view(value.get_string())) : to_text(value);
}

WallTime time_of(const Json& event) {
  WallTime time;
  for (std::string_view field : {"lastTimestamp", "eventTime", "firstTimestamp"})
    if (parse_rfc3339(str(event, field), time)) return time;
  if (parse_rfc3339(str(event, "metadata", "creationTimestamp"), time)) return time;
  return {};
}

}  // namespace

Console::Console(async::Loop& loop, client::Informers& informers, ConsoleOptions options)
    : loop_(loop), informers_(informers), options_(std::move(options)), started_(loop.now()) {
  for (const auto* resource : {&client::resources::kPods, &client::resources::kEvents, &client::resources::kServices})
    informers_.of(*resource);
}

net::Handler Console::handler() {
  return [this](net::Request& request, net::ResponseWriter& writer) { return answer(request, writer); };
}

JsonArray Console::views() const {
  JsonArray out;
  for (const auto* informer : informers_.all()) {
    auto fresh = informer->freshness();
    out.push_back(JsonObject{{"name", informer->resource().plural},
                             {"revision", fresh.revision},
                             {"age_ms", fresh.synced ? milliseconds(fresh.age) : 0},
                             {"synced", fresh.synced}});
  }
  return out;
}

JsonArray Console::pods() const {
  JsonArray out;
  const auto* kind = api::builtin_kinds().by_kind("", "v1", "Pod");
  for (const auto& [key, pod] : informers_.of(client::resources::kPods).objects()) {
    if (out.size() >= options_.pods_max) break;
    auto row = api::table_row(*kind, *pod, loop_.wall());
    const Json* cells = row.if_contains("cells");
    if (cells == nullptr || !cells->is_array()) continue;
    const auto& columns = cells->get_array();
    out.push_back(JsonObject{{"namespace", key.ns},
                             {"name", key.name},
                             {"ready", cell(columns, 1)},
                             {"status", cell(columns, 2)},
                             {"restarts", cell(columns, 3)},
                             {"age", cell(columns, 4)},
                             {"ip", str(*pod, "status", "podIP")},
                             {"node", str(*pod, "spec", "nodeName")}});
  }
  return out;
}

JsonArray Console::events() const {
  std::vector<std::pair<WallTime, ObjectPtr>> newest;
  for (const auto& [key, event] : informers_.of(client::resources::kEvents).objects()) newest.emplace_back(time_of(*event), event);
  size_t shown = std::min(newest.size(), options_.events_max);
  std::partial_sort(newest.begin(), newest.begin() + static_cast<std::ptrdiff_t>(shown), newest.end(),
                    [](const auto& a, const auto& b) { return a.first > b.first; });
  newest.resize(shown);
  JsonArray out;
  for (const auto& [time, event] : newest) {
    auto object = fmt::format("{}/{}", str(*event, "involvedObject", "kind"), str(*event, "involvedObject", "name"));
    out.push_back(JsonObject{{"age", api::human_duration(std::max(Duration(0), loop_.wall() - time))},
                             {"type", str(*event, "type")},
                             {"reason", str(*event, "reason")},
                             {"object", object},
                             {"message", str(*event, "message")},
                             {"count", integer_or(*event, 1, "count")}});
  }
  return out;
}

Json Console::state() {
  return JsonObject{{"version", options_.version},
                    {"node", options_.node},
                    {"now", rfc3339(loop_.wall())},
                    {"uptime", api::human_duration(loop_.now() - started_)},
                    {"views", views()},
                    {"services", options_.services ? options_.services() : JsonArray()},
                    {"pods", pods()},
                    {"events", events()}};
}

std::shared_ptr<const std::string> Console::current() {
  if (!message_ || loop_.now() - message_made_ > 900ms) {
    message_ = std::make_shared<const std::string>("data: " + to_text(state()) + "\n\n");
    message_made_ = loop_.now();
  }
  return message_;
}

async::awaitable<void> Console::answer(net::Request& request, net::ResponseWriter& writer) {
  auto target = net::parse_target(request.target);
  for (const auto& [prefix, handler] : options_.mounts) {
    if (target.path != prefix && !target.path.starts_with(prefix + "/")) continue;
    co_await handler(request, writer);
    co_return;
  }
  net::Response response;
  if (request.method != "GET" && request.method != "HEAD") {
    response.status = 405;
    response.headers = {{"content-type", "text/plain"}, {"allow", "GET, HEAD"}};
    response.body = "the console is read-only\n";
  } else if (target.path == "/api/stream") {
    co_await stream(writer);
    co_return;
  } else if (target.path == "/api/state") {
    response.headers = {{"content-type", "application/json"}, {"cache-control", "no-store"}};
    response.body = to_text(state()) + "\n";
  } else {
    std::string_view path = target.path;
    if (path == "/") path = "/index.html";
    response.status = 404;
    for (const auto& file : page_files()) {
      if (file.path != path) continue;
      response.status = 200;
      response.headers = page_headers(path);
      response.body = file.bytes;
    }
    if (response.status == 404) {
      response.headers = {{"content-type", "text/plain"}};
      response.body = page_files().empty() ? "this roadstead was built without the console's page: run 'make setup', then build again\n"
                                           : "no such page\n";
    }
  }
  (void)co_await writer.send(std::move(response));
}

async::awaitable<void> Console::stream(net::ResponseWriter& writer) {
  if (viewers_ >= options_.viewers_max) {
    net::Response response{.status = 503, .headers = {{"content-type", "text/plain"}, {"retry-after", "10"}}};
    response.body = fmt::format("{} people are looking already\n", viewers_);
    (void)co_await writer.send(std::move(response));
    co_return;
  }
  struct Viewer {
    size_t& count;
    explicit Viewer(size_t& c) : count(c) { ++count; }
    ~Viewer() { --count; }
  } viewer(viewers_);
  auto started = co_await writer.start(200, {{"content-type", "text/event-stream"}, {"cache-control", "no-store"}});
  while (started) {
    started = co_await writer.write(current());
    if (started) co_await loop_.sleep(1s);
  }
}

}  // namespace rs::console
