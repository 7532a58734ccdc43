// ServiceAccount tokens: JSON Web Tokens signed with the cluster's key (RFC 7515, 7518; KEP-1205 bound tokens). ES256
// (EC P-256) or RS256 (RSA). Immutable after make(); one loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace rs::server {

class TokenKeys {
 public:
  // Private key PEMs; the first signs. kInvalid for what is no EC P-256 or RSA key. No key: nothing is signed or verified.
  static Result<TokenKeys> make(const std::vector<std::string>& pems);
  TokenKeys();
  ~TokenKeys();
  TokenKeys(TokenKeys&&) noexcept;
  TokenKeys& operator=(TokenKeys&&) noexcept;

  bool empty() const { return keys_.empty(); }
  Result<std::string> sign(const Json& claims) const;
  // The claims of a token with a good signature; kUnauthorized otherwise. Times are the caller's to check.
  Result<Json> verify(std::string_view token) const;
  Json jwks() const;          // {"keys":[…]}

 private:
  struct Key;
  std::vector<std::unique_ptr<Key>> keys_;
};

}  // namespace rs::server
