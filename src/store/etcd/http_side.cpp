// What comes over HTTP to the port of the gRPC service: who may ask, and where it goes (reference
// etcd-api.md A.13).
#include "store/etcd/gateway/gateway.h"
#include "store/etcd/service.h"
#include "store/mvcc/machine.h"

namespace rs::store::etcd {

namespace {

// "*", or the value itself.
bool listed(const std::vector<std::string>& list, std::string_view value) {
  for (const std::string& entry : list) {
    if (entry == "*" || entry == value) return true;
  }
  return list.empty();
}

// The name of a Host field, without its port.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    authority.remove_prefix(1);
    return authority.substr(0, authority.find(']'));
  }
  return authority.substr(0, authority.find(':'));
}

// etcd's words (embed/serve.go).
std::string unknown_host(std::string_view host) {
  return fmt::format(
      "\n"
      "etcd received your request, but the Host header was unrecognized.\n"
      "\n"
      "To fix this, choose one of the following options:\n"
      "- Enable TLS, then any HTTPS request will be allowed.\n"
      "- Add the hostname you want to use to the whitelist in settings.\n"
      "  - e.g. etcd --host-whitelist \"{}\"\n"
      "\n"
      "This requirement has been added to help prevent \"DNS Rebinding\" attacks (CVE-2018-5702).\n"
      "\n",
      host);
}

void add_cors(net::Headers& headers, const std::vector<std::string>& origins,
              std::string_view origin) {
  const bool any = listed(origins, "*");
  if (!any && !listed(origins, origin)) return;
  headers.set("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE");
  headers.set("Access-Control-Allow-Origin", any ? "*" : std::string(origin));
  headers.set("Access-Control-Allow-Headers", "accept, content-type, authorization");
}

}  // namespace

std::string EtcdService::health_text(bool& healthy) const {
  auto alarms = store_.alarms();
  healthy = alarms.empty();
  if (healthy) return R"({"health":"true","reason":""})";
  return fmt::format(R"({{"health":"false","reason":"ALARM {}"}})",
                     alarms[0] == Alarm::kNoSpace ? "NOSPACE" : "CORRUPT");
}

awaitable<void> EtcdService::http(net::Request& request, net::ResponseWriter& writer) {
  net::Target target = net::parse_target(request.target);
  net::Response response;
  if (target.path.starts_with("/v3beta/")) target.path.replace(0, 8, "/v3/");
  const bool secure = request.scheme == "https";
  if (!secure && !listed(options_.host_whitelist, host_of(request.authority))) {
    response.status = 421;
    response.headers.set("Content-Type", "text/plain; charset=utf-8");
    response.body = unknown_host(host_of(request.authority));
    co_return (void) co_await writer.send(std::move(response));
  }
  add_cors(response.headers, options_.cors, request.headers.get("origin"));
  if (request.method == "OPTIONS") co_return (void) co_await writer.send(std::move(response));
  if (target.path.starts_with("/v3/"))
    co_return co_await gateway_->serve(request, target.path, std::move(response.headers), writer);
  response.headers.set("Content-Type", "text/plain; charset=utf-8");
  if (request.method != "GET" && request.method != "HEAD") {
    response.status = 405;
    response.body = "Method Not Allowed\n";
  } else if (target.path == "/version") {
    response.headers.set("Content-Type", "application/json");
    response.body = fmt::format(R"({{"etcdserver":"{}","etcdcluster":"{}","storage":"{}"}})",
                                kEtcdVersion, kClusterVersion, kClusterVersion);
  } else if (target.path == "/health") {
    bool healthy;
    response.headers.set("Content-Type", "application/json");
    response.body = health_text(healthy);
    if (target.param("exclude") == "NOSPACE" && store_.alarms() == std::vector{Alarm::kNoSpace}) {
      healthy = true;
      response.body = R"({"health":"true","reason":""})";
    }
    response.status = healthy ? 200 : 503;
  } else if (target.path == "/livez" || target.path == "/readyz" ||
             target.path.starts_with("/livez/") || target.path.starts_with("/readyz/")) {
    auto alarms = store_.alarms();
    bool corrupt = std::find(alarms.begin(), alarms.end(), Alarm::kCorrupt) != alarms.end();
    bool ready = !corrupt || target.path.starts_with("/livez");
    response.status = ready ? 200 : 503;
    response.body = ready ? "ok\n" : "[-]data_corruption failed: alarm activated: CORRUPT\n";
  } else if (target.path == "/metrics") {
    response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    response.body = metrics_text();
  } else {
    response.status = 404;
    response.body = "404 page not found\n";
  }
  (void)co_await writer.send(std::move(response));
}

}  // namespace rs::store::etcd
