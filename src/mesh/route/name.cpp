#include "mesh/route/name.h"

#include <algorithm>
#include <charconv>

#include "mesh/discovery/decode.h"

namespace rs::mesh {
namespace {

bool is_label(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

Result<void> split_port(std::string_view& host, std::optional<uint16_t>& port) {
  auto colon = host.rfind(':');
  if (host.starts_with('[')) {
    auto close = host.find(']');
    if (close == host.npos) return fail(Code::kInvalid, "a '[' without ']'");
    if (close + 1 == host.size()) colon = host.npos;
    else if (host[close + 1] != ':') return fail(Code::kInvalid, "something other than a port after ']'");
  } else if (colon != host.npos && host.find(':') != colon) {
    colon = host.npos;  // a bare IPv6 address
  }
  if (colon == host.npos) return {};
  auto digits = host.substr(colon + 1);
  uint16_t number = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number == 0)
    return fail(Code::kInvalid, "\"{}\" is not a port", digits.substr(0, 20));
  port = number;
  host = host.substr(0, colon);
  return {};
}

}  // namespace

Result<Name> parse_name(std::string_view authority, std::string_view default_namespace) {
  if (authority.empty()) return fail(Code::kInvalid, "the request names no host");
  if (authority.size() > kAuthorityBytesMax) return fail(Code::kInvalid, "the name is longer than {} bytes", kAuthorityBytesMax);
  Name name;
  auto host = authority;
  if (auto split = split_port(host, name.port); !split) return fail(split.error());
  auto literal = host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
  bool may_be_ip = literal.find(':') != literal.npos || (literal.find_first_not_of("0123456789.") == literal.npos);
  if (may_be_ip) {
    name.ip = canonical_ip(literal);
    if (name.ip.empty()) return fail(Code::kInvalid, "not an IP address");
    return name;
  }
  std::string lower(host);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  std::string_view rest = lower;
  if (rest.ends_with('.')) rest.remove_suffix(1);
  std::vector<std::string_view> labels;
  bool in_cluster = false;
  if (rest.size() > kClusterDomain.size() && rest.ends_with(kClusterDomain) &&
      rest[rest.size() - kClusterDomain.size() - 1] == '.') {
    rest.remove_suffix(kClusterDomain.size() + 1);
    in_cluster = true;
  }
  while (true) {
    auto dot = rest.find('.');
    labels.push_back(rest.substr(0, dot));
    if (!is_label(labels.back())) return fail(Code::kInvalid, "not a host name");
    if (dot == rest.npos) break;
    rest = rest.substr(dot + 1);
  }
  if (in_cluster && labels.back() != "svc") return fail(Code::kNotFound, "only names under svc.{} are known", kClusterDomain);
  // "a.svc" is service a in namespace svc; from three labels on, a last "svc" is the domain's.
  if (labels.back() == "svc" && (in_cluster || labels.size() >= 3)) labels.pop_back();
  if (in_cluster && labels.size() < 2) return fail(Code::kNotFound, "the name lacks a service or a namespace");
  if (labels.size() > 3) return fail(Code::kNotFound, "the name is not in the cluster");
  if (labels.size() == 3) name.hostname = labels[0];
  name.service.name = labels.size() == 3 ? labels[1] : labels[0];
  name.service.ns = labels.size() == 1 ? default_namespace : labels.back();
  return name;
}

const PortView* choose_port(const ServiceView& service, std::optional<uint16_t> port) {
  const PortView *http = nullptr, *eighty = nullptr, *only = nullptr;
  size_t tcp_ports = 0;
  for (const auto& candidate : service.ports) {
    if (candidate.protocol != "TCP") continue;
    if (port && candidate.port == *port) return &candidate;
    ++tcp_ports;
    only = &candidate;
    if (candidate.port == 80) eighty = &candidate;
    if (candidate.name == "http") http = &candidate;
  }
  if (port) return nullptr;
  if (eighty != nullptr) return eighty;
  if (http != nullptr) return http;
  return tcp_ports == 1 ? only : nullptr;
}

}  // namespace rs::mesh
