#include "mesh/proxy/http_rules.h"

#include <charconv>

#include "net/text.h"

namespace rs::mesh {

bool is_idempotent(const net::http1::RequestHead& head) {
  for (std::string_view method : {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
    if (head.method == method) return true;
  return head.headers.has("idempotency-key");
}

bool is_gateway_error(int status) { return status == 502 || status == 503 || status == 504; }

Outcome judge(int status) {
  if (is_gateway_error(status) || status == 429) return Outcome::kGatewayError;
  return status >= 500 ? Outcome::kServerError : Outcome::kSuccess;
}

std::optional<Duration> asked_timeout(const net::Headers& headers, const ProxyLimits& limits) {
  auto text = headers.get(kTimeoutHeader);
  uint32_t ms = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || ms == 0) return std::nullopt;
  return std::min<Duration>(std::chrono::milliseconds(ms), limits.response_timeout_max);
}

void write_end_to_end_fields(std::string& out, const net::Headers& headers, bool of_request) {
  static constexpr std::string_view kHopByHop[] = {"connection", "keep-alive", "proxy-connection", "proxy-authenticate",
                                                   "proxy-authorization", "te", "transfer-encoding", "upgrade", "content-length"};
  static constexpr std::string_view kConsumed[] = {"expect", kTimeoutHeader, kRetryAttempt};
  auto is_one_of = [](std::string_view name, std::span<const std::string_view> names) {
    for (auto candidate : names)
      if (net::equal_ignoring_case(name, candidate)) return true;
    return false;
  };
  auto named_by_connection = [&](std::string_view name) {
    for (const auto& [field, value] : headers)
      if (net::equal_ignoring_case(field, "connection") && net::list_has(value, name)) return true;
    return false;
  };
  bool has_connection = headers.has("connection");
  for (const auto& [name, value] : headers) {
    if (is_one_of(name, kHopByHop) || (of_request && is_one_of(name, kConsumed))) continue;
    // Host cannot be taken away by naming it.
    if (has_connection && !net::equal_ignoring_case(name, "host") && named_by_connection(name)) continue;
    out.append(name).append(": ").append(value).append("\r\n");
  }
}

std::string refusal_message(const Refusal& refusal, bool head_only, bool keep, const Worker& worker) {
  std::string body = "roadstead mesh: " + refusal.message + "\n";
  std::string reason(refusal.reason);
  std::string message;
  for (char c : refusal.message) message += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? '?' : c;
  std::string out = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nl5d-err: {}\r\nl5d-err-message: {}\r\n"
      "l5d-discovery-age: {:.1f}\r\n",
      refusal.status, net::http1::reason_phrase(refusal.status), body.size(), reason, message,
      worker.freshness().synced ? std::chrono::duration<double>(worker.freshness().age).count() : -1.0);
  if (refusal.status == 503) out += "Retry-After: 1\r\n";
  if (!keep) out += "Connection: close\r\n";
  out += "\r\n";
  if (!head_only) out += body;
  return out;
}

}  // namespace rs::mesh
