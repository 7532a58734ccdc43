#include "node/probes.h"

#include "net/http.h"
#include "net/tls.h"

namespace rs::node {
namespace {

constexpr size_t kOutputShown = 10 << 10;

net::Request http_request(const Json& get, const std::string& host, uint16_t port) {
  net::Request request;
  request.target = str(get, "path").empty() ? "/" : std::string(str(get, "path"));
  if (!request.target.starts_with('/')) request.target = "/" + request.target;
  request.authority = net::to_string({host, port});
  request.headers = {{"user-agent", "kube-probe/1.32"}, {"accept", "*/*"}, {"connection", "close"}};
  for (const Json& header : array(get, "httpHeaders")) {
    std::string_view name = str(header, "name");
    if (name == "Host" || name == "host")
      request.authority = str(header, "value");
    else
      request.headers.set(name, std::string(str(header, "value")));
  }
  return request;
}

awaitable<Result<void>> http_get(ActionTools tools, ActionTarget target, Json get, Duration timeout) {
  auto port = resolve_port(find(get, "port"), target.container_spec);
  if (!port) co_return fail(port.error());
  std::string host(str(get, "host").empty() ? std::string_view(target.ip) : str(get, "host"));
  net::HttpClientOptions options;
  options.connect_timeout = timeout;
  options.body_bytes = 1 << 20;
  net::Request request = http_request(get, host, *port);
  if (str(get, "scheme") == "HTTPS") {
    auto tls = net::TlsClientContext::make({.insecure = true, .alpn = {"http/1.1"}});
    if (!tls) co_return fail(tls.error());
    options.tls = *tls;
    request.scheme = "https";
  }
  std::string url = fmt::format("{}://{}{}", request.scheme, net::to_string({host, *port}), request.target);
  net::HttpClient client(tools.loop, tools.network, {host, *port}, options);
  auto response = co_await client.call(std::move(request), timeout);
  if (!response) co_return fail(Code::kUnavailable, "Get \"{}\": {}", url, response.error().message);
  if (response->status < 200 || response->status >= 400)
    co_return fail(Code::kUnavailable, "HTTP probe failed with statuscode: {}", response->status);
  co_return Result<void>();
}

awaitable<Result<void>> tcp_connect(ActionTools tools, ActionTarget target, Json socket, Duration timeout) {
  auto port = resolve_port(find(socket, "port"), target.container_spec);
  if (!port) co_return fail(port.error());
  std::string host(str(socket, "host").empty() ? std::string_view(target.ip) : str(socket, "host"));
  auto stream = co_await tools.network.connect({host, *port}, timeout);
  if (!stream) co_return fail(Code::kUnavailable, "dial tcp {}: {}", net::to_string({host, *port}), stream.error().message);
  co_return Result<void>();
}

awaitable<Result<void>> execute(ActionTools tools, ActionTarget target, Json exec) {
  client::ExecOptions options;
  options.container = target.container;
  for (const Json& word : array(exec, "command"))
    if (word.is_string()) options.command.emplace_back(word.get_string());
  auto session = co_await tools.runtime.exec(target.uid, options);
  if (!session) co_return fail(session.error());
  std::string shown;
  for (;;) {
    auto output = co_await (*session)->read();
    if (!output) co_return fail(output.error());
    if (output->channel != client::ExecSession::Output::Channel::kExit) {
      if (shown.size() < kOutputShown) shown.append(output->data, 0, kOutputShown - shown.size());
      continue;
    }
    if (output->exit_code == 0) co_return Result<void>();
    co_return fail(Code::kUnavailable, "{}", shown.empty() ? fmt::format("command exited with code {}", output->exit_code) : shown);
  }
}

awaitable<Result<void>> pause(async::Loop& loop, int64_t seconds) {
  co_await loop.sleep(std::chrono::seconds(seconds));
  co_return Result<void>();
}

}  // namespace

ProbeSettings probe_settings(const Json& probe) {
  auto seconds = [&probe](std::string_view name, int64_t otherwise) {
    return Duration(std::chrono::seconds(std::clamp<int64_t>(integer_or(probe, otherwise, name), 0, 86'400)));
  };
  ProbeSettings s;
  s.initial_delay = seconds("initialDelaySeconds", 0);
  s.period = std::max<Duration>(seconds("periodSeconds", 10), std::chrono::seconds(1));
  s.timeout = std::max<Duration>(seconds("timeoutSeconds", 1), std::chrono::seconds(1));
  s.successes = static_cast<int>(std::max<int64_t>(1, integer_or(probe, 1, "successThreshold")));
  s.failures = static_cast<int>(std::max<int64_t>(1, integer_or(probe, 3, "failureThreshold")));
  return s;
}

Duration early_retry(int attempt, Duration period) {
  Duration delay = std::chrono::milliseconds(50);
  for (int i = 0; i < attempt && delay < period; ++i) delay *= 2;
  return std::min(delay, period);
}

Result<uint16_t> resolve_port(const Json* port, const Json& container) {
  int64_t number = integer_of(port, 0);
  if (port != nullptr && port->is_string()) {
    for (const Json& p : array(container, "ports"))
      if (str(p, "name") == std::string_view(port->get_string())) number = integer(p, "containerPort");
    if (number == 0) number = std::atoi(port->get_string().c_str());
  }
  if (number < 1 || number > 65535) return fail(Code::kInvalid, "couldn't find port: {}", port == nullptr ? "" : to_text(*port));
  return static_cast<uint16_t>(number);
}

awaitable<Result<void>> run_action(ActionTools tools, ActionTarget target, Json action, Duration timeout) {
  if (const Json* get = find(action, "httpGet")) co_return co_await http_get(tools, target, *get, timeout);
  if (const Json* socket = find(action, "tcpSocket")) co_return co_await tcp_connect(tools, target, *socket, timeout);
  if (const Json* grpc = find(action, "grpc")) {
    auto port = resolve_port(find(*grpc, "port"), target.container_spec);
    if (!port) co_return fail(port.error());
    co_return co_await run_grpc_check(tools, target.ip, *port, std::string(str(*grpc, "service")), timeout);
  }
  if (const Json* exec = find(action, "exec"))
    co_return co_await async::with_timeout(tools.loop, timeout, "command", execute(tools, target, *exec));
  if (const Json* sleep = find(action, "sleep"))
    co_return co_await async::with_timeout(tools.loop, timeout, "sleep", pause(tools.loop, integer(*sleep, "seconds")));
  co_return fail(Code::kInvalid, "missing probe handler");
}

}  // namespace rs::node
