#include "store/etcd/peer_url.h"

#include <charconv>

namespace rs::store::etcd {
namespace {

// A port as Go's net.SplitHostPort leaves it: any text without a colon, but after one.
bool has_port(std::string_view authority) {
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    return end != authority.npos && authority.substr(end + 1).starts_with(':');
  }
  const size_t colon = authority.find(':');
  return colon != authority.npos && authority.find(':', colon + 1) == authority.npos;
}

// Digits up to the end or one of stops, which stay.
std::optional<int> take_number(std::string_view& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || text.starts_with('-')) return std::nullopt;
  text.remove_prefix(size_t(end - text.data()));
  return value;
}

}  // namespace

bool is_peer_url(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  for (std::string_view scheme : {"unix://", "unixs://"}) {
    if (text.starts_with(scheme)) return text.size() > scheme.size();
  }
  for (std::string_view scheme : {"http://", "https://"}) {
    if (!text.starts_with(scheme)) continue;
    const std::string_view authority = text.substr(scheme.size());
    return authority.find('/') == authority.npos && has_port(authority);
  }
  return false;
}

std::optional<std::pair<int, int>> parse_cluster_version(std::string_view text) {
  const auto major = take_number(text);
  if (!major || !text.starts_with('.')) return std::nullopt;
  text.remove_prefix(1);
  const auto minor = take_number(text);
  if (!minor) return std::nullopt;
  if (text.empty()) return std::pair(*major, *minor);
  if (!text.starts_with('.')) return std::nullopt;
  text.remove_prefix(1);
  if (!take_number(text)) return std::nullopt;
  if (!text.empty() && text.front() != '-' && text.front() != '+') return std::nullopt;
  return std::pair(*major, *minor);
}

}  // namespace rs::store::etcd
