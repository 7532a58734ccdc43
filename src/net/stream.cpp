#include "net/stream.h"

#include <charconv>

namespace rs::net {

std::string to_string(const Address& address) {
  if (address.host.find(':') != std::string::npos) return fmt::format("[{}]:{}", address.host, address.port);
  return fmt::format("{}:{}", address.host, address.port);
}

namespace {
bool parse_port(std::string_view text, uint16_t& port) {
  if (text.empty() || text.size() > 5) return false;
  unsigned value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > 65535) return false;
  port = static_cast<uint16_t>(value);
  return true;
}
}  // namespace

Result<Address> parse_address(std::string_view text, uint16_t default_port) {
  Address out{"", default_port};
  std::string_view rest;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return fail(Code::kBadRequest, "address \"{}\": missing ']'", text);
    out.host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
  } else if (const size_t colon = text.find(':');
             colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
    out.host = text.substr(0, colon);
    rest = text.substr(colon);
    if (out.host.empty()) out.host = "0.0.0.0";  // ":8080": all interfaces, as in Go
  } else {
    out.host = text;  // a name, or an IPv6 literal without a port
  }
  if (out.host.empty()) return fail(Code::kBadRequest, "address \"{}\": no host", text);
  for (const char c : out.host) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '/' || c == '@' || c == 0x7f)
      return fail(Code::kBadRequest, "address \"{}\": invalid host", text);
  }
  if (!rest.empty() && (rest[0] != ':' || !parse_port(rest.substr(1), out.port)))
    return fail(Code::kBadRequest, "address \"{}\": invalid port", text);
  return out;
}

awaitable<Result<void>> Stream::write(std::string_view bytes) {
  const asio::const_buffer buffer(bytes.data(), bytes.size());
  co_return co_await write(std::span(&buffer, 1));
}

}  // namespace rs::net
