// Tokens: what a client shows after it has proved its password (reference etcd-api.md A.9). One
// loop; time and random bytes are injected.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace rs::store::auth {

// Who calls, and the revision of auth::State that the proof was made at. Revision 0: nobody has
// been proved.
struct Identity {
  std::string user;
  uint64_t revision = 0;
};

class Tokens {
 public:
  virtual ~Tokens() = default;
  // Whose token it is, or nothing. now_revision: of the state. May prolong the token's life.
  virtual std::optional<Identity> find(std::string_view token, uint64_t now_revision) = 0;
  virtual Result<std::string> issue(std::string_view user, uint64_t now_revision) = 0;
  virtual void drop_user(std::string_view user) = 0;
  virtual void drop_all() = 0;
};

using RandomBytes = std::function<void(std::span<std::byte>)>;

// etcd's "simple" tokens: sixteen random letters, a dot and a number. Known only to this process,
// valid for ttl after their last use. They stand for the user, so they are always of the current
// revision.
std::unique_ptr<Tokens> make_simple_tokens(const Clock& clock, Duration ttl, RandomBytes random);

// JSON Web Tokens (RFC 7519) with the claims username, revision and exp; nothing is kept, so
// nothing can be dropped: they die of age, or, where permissions on keys matter, of the state's
// next change.
struct JwtOptions {
  std::string method;                   // RS256 … 512, PS256 … 512, ES256 … 512, HS256 … 512, EdDSA
  std::string public_key, private_key;  // PEM; of HS…: the secret itself, as the private key
  Duration ttl = std::chrono::minutes(5);
};
// kBadRequest when the key is missing, is of another kind than the method's, or the two are not a
// pair. With a public key alone tokens can be verified, not issued.
Result<std::unique_ptr<Tokens>> make_jwt_tokens(const Clock& clock, JwtOptions options);

// The value of etcd's --auth-token: "simple", or "jwt,sign-method=…,priv-key=…[,pub-key=…][,ttl=…]"
// with files.
struct TokenSpec {
  bool jwt = false;
  std::string method, public_key_file, private_key_file,
      ttl;  // ttl: as written, a duration of Go; empty: five minutes
};
Result<TokenSpec> parse_token_spec(std::string_view text);

}  // namespace rs::store::auth
