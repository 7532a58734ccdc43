// Authentication: who makes a request (reference section A15). Client certificates, ServiceAccount tokens, anonymous.
#pragma once

#include "net/http.h"
#include "server/core.h"
#include "server/tokens.h"

namespace rs::server {

class Authenticator {
 public:
  explicit Authenticator(Core& core) : core_(core) {}
  // kInvalid for a key that cannot be used.
  Result<void> start();
  // kUnauthorized for credentials that do not hold (never anonymous then), or none where they are needed.
  Result<UserInfo> authenticate(const net::Request& request) const;
  // Of a bearer token; audiences empty: this server's. kUnauthorized with the reason.
  Result<UserInfo> check_token(std::string_view token, const std::vector<std::string>& audiences) const;
  const TokenKeys& keys() const { return keys_; }

 private:
  Core& core_;
  TokenKeys keys_;
};

inline constexpr const char* kAnonymousUser = "system:anonymous";

}  // namespace rs::server
