#include "api/validation_names.h"

#include <arpa/inet.h>
#include <fmt/format.h>

namespace rs::api::names {
namespace {

bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool upper(char c) { return c >= 'A' && c <= 'Z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool alnum(char c) { return lower(c) || upper(c) || digit(c); }
bool lower_alnum(char c) { return lower(c) || digit(c); }

template <class Predicate>
bool all(std::string_view value, Predicate predicate) {
  return std::all_of(value.begin(), value.end(), predicate);
}

// [first]([middle]*[last])? on a value that is not empty.
template <class First, class Middle, class Last>
bool shaped(std::string_view value, First first, Middle middle, Last last) {
  return !value.empty() && first(value.front()) && last(value.back()) && all(value, middle);
}

bool is_dns_label(std::string_view value) {
  return shaped(value, lower_alnum, [](char c) { return lower_alnum(c) || c == '-'; }, lower_alnum);
}
bool is_qualified_part(std::string_view value) {
  return shaped(value, alnum, [](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; }, alnum);
}

constexpr std::string_view kQualified =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

}  // namespace

std::string max_length_error(size_t limit) { return fmt::format("must be no more than {} characters", limit); }

std::string join(const Messages& messages) { return fmt::format("{}", fmt::join(messages, "; ")); }

Messages qualified_name(std::string_view value) {
  Messages out;
  std::string_view name = value;
  size_t slashes = static_cast<size_t>(std::count(value.begin(), value.end(), '/'));
  if (slashes > 1)
    return {fmt::format("a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                        kQualified)};
  if (slashes == 1) {
    std::string_view prefix = value.substr(0, value.find('/'));
    name = value.substr(prefix.size() + 1);
    if (prefix.empty()) out.push_back("prefix part must be non-empty");
    else
      for (const std::string& message : dns1123_subdomain(prefix)) out.push_back("prefix part " + message);
  }
  if (name.empty()) out.push_back("name part must be non-empty");
  else if (name.size() > 63) out.push_back("name part " + max_length_error(63));
  if (!is_qualified_part(name)) out.push_back(fmt::format("name part {}", kQualified));
  return out;
}

Messages label_value(std::string_view value) {
  Messages out;
  if (value.size() > 63) out.push_back(max_length_error(63));
  if (!value.empty() && !is_qualified_part(value))
    out.push_back("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
                  "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
                  "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')");
  return out;
}

Messages dns1123_label(std::string_view value) {
  Messages out;
  if (value.size() > 63) out.push_back(max_length_error(63));
  if (!is_dns_label(value))
    out.push_back("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "
                  "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
                  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')");
  return out;
}

Messages dns1123_subdomain(std::string_view value) {
  Messages out;
  if (value.size() > 253) out.push_back(max_length_error(253));
  bool good = true;
  for (size_t begin = 0; begin <= value.size() && good;) {
    size_t end = std::min(value.find('.', begin), value.size());
    good = is_dns_label(value.substr(begin, end - begin));
    begin = end + 1;
  }
  if (!good)
    out.push_back("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
                  "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
                  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')");
  return out;
}

Messages dns1035_label(std::string_view value) {
  Messages out;
  if (value.size() > 63) out.push_back(max_length_error(63));
  if (!is_dns_label(value) || !lower(value.front()))
    out.push_back("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
                  "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
                  "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')");
  return out;
}

Messages path_segment(std::string_view value) {
  if (value == "." || value == "..") return {fmt::format("may not be '{}'", value)};
  Messages out;
  for (char c : {'/', '%'})
    if (value.find(c) != std::string_view::npos) out.push_back(fmt::format("may not contain '{}'", c));
  return out;
}

Messages env_var_name(std::string_view value) {
  Messages out;
  if (value.empty()) out.push_back("environment variable name must be non-empty");
  if (!all(value, [](char c) { return c >= 32 && c <= 126 && c != '='; }))
    out.push_back("a valid environment variable name must consist only of printable ASCII characters other than '='");
  return out;
}

Messages config_map_key(std::string_view value) {
  Messages out;
  if (value.size() > 253) out.push_back(max_length_error(253));
  if (value.empty() || !all(value, [](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; }))
    out.push_back("a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
                  "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')");
  else if (value == "." || value == "..") out.push_back(fmt::format("must not be '{}'", value));
  else if (value.starts_with("..")) out.push_back("must not start with '..'");
  return out;
}

Messages port_number(int64_t value) {
  if (value >= 1 && value <= 65535) return {};
  return {"must be between 1 and 65535, inclusive"};
}

Messages port_name(std::string_view value) {
  Messages out;
  if (value.size() > 15) out.push_back(max_length_error(15));
  if (value.empty() || !all(value, [](char c) { return lower_alnum(c) || c == '-'; }))
    out.push_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  if (std::none_of(value.begin(), value.end(), lower)) out.push_back("must contain at least one letter (a-z)");
  if (value.find("--") != std::string_view::npos) out.push_back("must not contain consecutive hyphens");
  if (!value.empty() && (value.front() == '-' || value.back() == '-'))
    out.push_back("must not begin or end with a hyphen");
  return out;
}

bool is_ipv6(std::string_view value) {
  in6_addr address;
  return value.size() < 64 && inet_pton(AF_INET6, std::string(value).c_str(), &address) == 1;
}

bool is_ip(std::string_view value) {
  in_addr address;
  return value.size() < 64 && (inet_pton(AF_INET, std::string(value).c_str(), &address) == 1 || is_ipv6(value));
}

Messages ip_address(std::string_view value) {
  if (is_ip(value)) return {};
  return {"must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"};
}

Messages http_header_name(std::string_view value) {
  if (!value.empty() && all(value, [](char c) { return alnum(c) || c == '-'; })) return {};
  return {"a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "
          "validation is '[-A-Za-z0-9]+')"};
}

bool is_percent(std::string_view value) {
  return value.size() > 1 && value.back() == '%' && all(value.substr(0, value.size() - 1), digit);
}

Messages percent(std::string_view value) {
  if (is_percent(value)) return {};
  return {"a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
          "validation is '[0-9]+%')"};
}

}  // namespace rs::api::names
