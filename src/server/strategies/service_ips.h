// The range of cluster IPs, and the keys that hold a Service's allocations. Pure.
#pragma once

#include <map>
#include <string>

#include "base/json.h"
#include "base/random.h"

namespace rs::server {

// Any address of the range's upper part; the lower part (16 to 256 addresses) is left to users' own choices.
Result<std::string> choose_service_ip(std::string_view cidr, Random& random);
// Whether a Service may have this address; the message says why not.
Result<void> check_service_ip(std::string_view cidr, std::string_view ip);
// The first usable address: default/kubernetes.
Result<std::string> first_service_ip(std::string_view cidr);

// Claim keys and values of a Service as stored: what must be there for it.
std::map<std::string, std::string> service_claims(const Json& service);
inline constexpr std::string_view kClaimsPrefix = "/registry/ranges/";

}  // namespace rs::server
