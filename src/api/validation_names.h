// Name formats of Kubernetes (apimachinery util/validation): each check returns its complaints in Kubernetes' own words,
// empty when the value is fine. Pure; linear in the length of the value; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rs::api::names {

using Messages = std::vector<std::string>;

Messages qualified_name(std::string_view value);      // example.com/MyName
Messages label_value(std::string_view value);
Messages dns1123_label(std::string_view value);
Messages dns1123_subdomain(std::string_view value);
Messages dns1035_label(std::string_view value);
Messages path_segment(std::string_view value);        // RBAC names: no "/", "%", "." or ".."
Messages env_var_name(std::string_view value);        // 1.32: printable ASCII but '='
Messages config_map_key(std::string_view value);
Messages port_number(int64_t value);
Messages port_name(std::string_view value);           // RFC 6335 service name
Messages ip_address(std::string_view value);
Messages http_header_name(std::string_view value);
Messages percent(std::string_view value);
bool is_ip(std::string_view value);
bool is_ipv6(std::string_view value);
bool is_percent(std::string_view value);              // digits and '%'
std::string max_length_error(size_t limit);           // "must be no more than 63 characters"
std::string join(const Messages& messages);           // "; " between

}  // namespace rs::api::names
