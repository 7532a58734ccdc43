#include <boost/asio/co_spawn.hpp>

#include "base/json.h"
#include "net/http.h"
#include "roadstead/commands.h"
#include "roadstead/data_dir.h"

namespace rs::roadstead {
namespace {

using namespace std::chrono_literals;

async::awaitable<Result<Json>> fetch(async::Loop& loop, std::string console_url, std::string service) {
  std::string_view text = console_url;
  text.remove_prefix(std::min(text.size(), std::string_view("http://").size()));
  auto address = net::parse_address(text);
  if (!address) co_return fail(address.error());
  net::TcpNetwork network(loop);
  net::HttpClient client(loop, network, *address, {});
  net::Request request;
  request.authority = net::to_string(*address);
  request.target = "/view";
  if (!service.empty()) request.target += "?service=" + net::percent_encode(service);
  auto response = co_await client.call(std::move(request), 5s);
  if (!response) co_return fail(response.error());
  if (response->status != 200) co_return fail(Code::kNotFound, "{}", response->body);
  co_return parse_json(response->body);
}

async::awaitable<void> run(async::SystemLoop& loop, std::string url, std::string service, Result<Json>& out) {
  out = co_await fetch(loop, std::move(url), std::move(service));
  loop.stop();
}

std::string number(const Json* value, std::string_view unit) {
  if (value == nullptr || !value->is_number()) return "-";
  return fmt::format("{:.1f}{}", value->to_number<double>(), unit);
}

void print_service(const Json& service) {
  fmt::print("{}/{}  {}  revision {}{}\n", str(service, "namespace"), str(service, "name"), str(service, "state"),
             integer(service, "revision"), boolean(service, "fromDisk") ? "  (from disk: not yet confirmed)" : "");
  for (const Json& port : array(service, "ports")) {
    const Json* traffic = find(port, "traffic");
    fmt::print("  port {} {}  {}  {}/s, p99 {}\n", integer(port, "port"), str(port, "name"), str(port, "state"),
               number(traffic ? find(*traffic, "requestsPerSecond") : nullptr, ""), number(traffic ? find(*traffic, "p99Ms") : nullptr, " ms"));
    if (!array(port, "endpoints").empty())
      fmt::print("    {:<22} {:<10} {:>9} {:>10}  {}\n", "ENDPOINT", "STATE", "IN FLIGHT", "LATENCY", "POD");
    for (const Json& endpoint : array(port, "endpoints"))
      fmt::print("    {:<22} {:<10} {:>9} {:>10}  {}\n",
                 net::to_string({std::string(str(endpoint, "address")), static_cast<uint16_t>(integer(endpoint, "port"))}),
                 str(endpoint, "state"), integer(endpoint, "inFlight"), number(find(endpoint, "latencyMs"), " ms"), str(endpoint, "pod"));
  }
}

void print_view(const Json& view) {
  fmt::print("view at revision {}, {} s old: {}\n\n", integer(view, "revision"), number(find(view, "ageSeconds"), ""), str(view, "currency"));
  for (const Json& service : array(view, "services")) print_service(service);
  for (const Json& entry : array(view, "quarantined"))
    fmt::print("quarantined: {} {}: {}{}\n", str(entry, "resource"), str(entry, "object"), str(entry, "reason"),
               boolean(entry, "lastGoodInUse") ? " (its last good state is in use)" : "");
}

}  // namespace

int mesh_view(const MeshViewOptions& options) {
  auto text = read_file(std::filesystem::path(options.data_dir) / "endpoints.json");
  auto endpoints = text ? parse_json(*text) : Result<Json>(fail(text.error()));
  if (!endpoints) {
    fmt::print(stderr, "roadstead: no roadstead runs with the data directory {} (choose one with --data-dir): {}\n", options.data_dir,
               endpoints.error().message);
    return 1;
  }
  async::SystemLoop loop;
  Result<Json> view = fail(Code::kCancelled, "stopped");
  boost::asio::co_spawn(loop.context(), run(loop, std::string(str(*endpoints, "console")), options.service, view), [](std::exception_ptr exception) {
    if (exception) std::rethrow_exception(exception);
  });
  loop.run();
  if (!view) {
    fmt::print(stderr, "roadstead: mesh view: {}\n", view.error().message);
    return 1;
  }
  if (options.output == "json") fmt::print("{}\n", to_pretty_text(*view));
  else print_view(*view);
  return 0;
}

}  // namespace rs::roadstead
