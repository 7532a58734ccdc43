#include "mesh/proxy/detect.h"

#include "net/http1.h"

namespace rs::mesh {

using async::awaitable;

std::optional<Protocol> detect_bytes(std::string_view bytes) {
  constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  if (bytes.empty()) return std::nullopt;
  auto compared = std::min(bytes.size(), kPreface.size());
  if (bytes.substr(0, compared) == kPreface.substr(0, compared)) {
    if (bytes.size() >= kPreface.size()) return Protocol::kHttp2;
    return std::nullopt;
  }
  auto newline = bytes.find('\n');
  auto line = bytes.substr(0, newline);
  if (newline == bytes.npos) {
    // A request line is a method, a space and printable characters.
    auto space = line.find(' ');
    bool possible = net::http1::is_token(line.substr(0, space)) && bytes.size() < kDetectBytes;
    for (char c : line) possible = possible && (static_cast<unsigned char>(c) >= ' ' || c == '\r');
    if (!possible) return Protocol::kOpaque;
    return std::nullopt;
  }
  if (line.ends_with('\r')) line.remove_suffix(1);
  auto version = line.rfind(" HTTP/1.");
  auto space = line.find(' ');
  bool http = version != line.npos && version + 9 == line.size() && space < version && net::http1::is_token(line.substr(0, space));
  return http ? Protocol::kHttp1 : Protocol::kOpaque;
}

awaitable<Protocol> detect(Worker& worker, net::Stream& stream, Buffer& in) {
  auto until = worker.loop().now() + worker.limits().detect_timeout;
  for (;;) {
    if (auto protocol = detect_bytes(in.view())) co_return *protocol;
    auto left = until - worker.loop().now();
    if (left.count() <= 0) co_return in.empty() ? Protocol::kSilent : Protocol::kOpaque;
    auto read = co_await async::with_timeout(worker.loop(), left, "first bytes", stream.read(in.prepare(4096)));
    if (!read) {
      if (read.error().code == Code::kTimeout) co_return in.empty() ? Protocol::kSilent : Protocol::kOpaque;
      co_return Protocol::kClosed;
    }
    if (*read == 0) co_return in.empty() ? Protocol::kClosed : Protocol::kOpaque;
    in.commit(*read);
  }
}

bool may_be_http(const Backend& backend) {
  if (backend.server_speaks_first) return false;
  const auto& app = backend.port().app_protocol;
  if (app == "http" || app == "kubernetes.io/ws") return true;
  if (!app.empty()) return false;
  // linkerd's default opaque ports: mail, databases, caches.
  for (uint16_t port : {25, 587, 3306, 4444, 5432, 6379, 9300, 11211})
    if (backend.port().port == port) return false;
  return true;
}

}  // namespace rs::mesh
