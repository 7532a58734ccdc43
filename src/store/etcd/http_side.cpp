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

namespace {

// What only answers GET, like etcd's own.
bool refuse_other_methods(const net::Request& request, net::Response& response) {
  if (request.method == "GET") return false;
  response.status = 405;
  response.headers.set("Allow", "GET");
  response.headers.set("X-Content-Type-Options", "nosniff");
  response.body = "Method Not Allowed\n";
  return true;
}

void not_found(net::Response& response) {
  response.status = 404;
  response.headers.set("Content-Type", "text/plain; charset=utf-8");
  response.headers.set("X-Content-Type-Options", "nosniff");
  response.body = "404 page not found\n";
}

// What Go's mux would make of a path: decoded, without empty and dotted parts (net/http cleanPath).
// Empty: not a path.
std::string clean_path(std::string_view raw) {
  auto decoded = net::percent_decode(raw);
  if (!decoded || !decoded->starts_with('/')) return {};
  std::vector<std::string_view> parts;
  for (std::string_view rest = *decoded; !rest.empty();) {
    rest.remove_prefix(1);
    const std::string_view part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(part.size());
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (!part.empty() && part != "." && part != "..") parts.push_back(part);
  }
  std::string out;
  for (std::string_view part : parts) (out += '/') += part;
  if (out.empty() || decoded->ends_with('/')) out += '/';
  return out;
}

// Gives target its path as Go's mux has it; where a client that asked for it by another name is
// sent, if it did.
std::string settle_path(const net::Request& request, net::Target& target) {
  const std::string cleaned = clean_path(target.path);
  if (cleaned.empty()) return {};
  const bool moved = *net::percent_decode(target.path) != cleaned;
  target.path = cleaned;
  if (!moved) return {};
  std::string location;
  for (char c : cleaned) location += c == '/' ? "/" : net::percent_encode(std::string(1, c));
  const size_t query = request.target.find('?');
  return query == std::string::npos ? location : location + request.target.substr(query);
}

}  // namespace

// The paths that are served beside the client API too (--listen-metrics-urls).
bool EtcdService::observe(const net::Request& request, const net::Target& target,
                          net::Response& response) {
  if (target.path == "/metrics") {
    response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    response.body = metrics_text();
    return true;
  }
  return health_.answer(request.method, target, response);
}

awaitable<void> EtcdService::http(net::Request& request, net::ResponseWriter& writer) {
  net::Target target = net::parse_target(request.target);
  net::Response response;
  const std::string location = settle_path(request, target);
  if (target.path.starts_with("/v3beta/")) target.path.replace(0, 8, "/v3/");
  const bool secure = request.scheme == "https",
             gateway = options_.gateway && target.path.starts_with("/v3/");
  if (!secure && !listed(options_.host_whitelist, host_of(request.authority))) {
    response.status = 421;
    response.headers.set("Content-Type", "text/plain; charset=utf-8");
    response.headers.set("X-Content-Type-Options", "nosniff");
    response.body = unknown_host(host_of(request.authority));
    co_return (void) co_await writer.send(std::move(response));
  }
  // A name that authentication would go by with gRPC, but does not here.
  if (secure && gateway && guard_.enabled() && options_.guard.client_cert_auth &&
      request.certificate && !request.certificate->common_name.empty()) {
    response.status = 400;
    response.headers.set("Content-Type", "text/plain; charset=utf-8");
    response.body =
        "CommonName of client sending a request against gateway will be ignored and not used as "
        "expected\n";
    co_return (void) co_await writer.send(std::move(response));
  }
  add_cors(response.headers, options_.cors, request.headers.get("origin"));
  if (request.method == "OPTIONS") co_return (void) co_await writer.send(std::move(response));
  if (!location.empty()) {
    response.status = 301;
    response.headers.set("Location", location);
    co_return (void) co_await writer.send(std::move(response));
  }
  if (gateway)
    co_return co_await gateway_->serve(request, target.path, std::move(response.headers), writer);
  response.headers.set("Content-Type", "text/plain; charset=utf-8");
  if (target.path == "/version") {
    if (!refuse_other_methods(request, response)) {
      response.headers.set("Content-Type", "application/json");
      response.body = fmt::format(R"({{"etcdserver":"{}","etcdcluster":"{}","storage":"{}"}})",
                                  kEtcdVersion, kClusterVersion, kClusterVersion);
    }
  } else if (!observe(request, target, response)) {
    not_found(response);
  }
  (void)co_await writer.send(std::move(response));
}

awaitable<void> EtcdService::http_of_metrics(net::Request& request, net::ResponseWriter& writer) {
  net::Response response;
  if (!observe(request, net::parse_target(request.target), response)) not_found(response);
  (void)co_await writer.send(std::move(response));
}

}  // namespace rs::store::etcd
