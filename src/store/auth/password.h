// Passwords as etcd keeps them: bcrypt (libcrypt's). Slow on purpose (about 50 ms at cost 10): not
// for a loop's thread. Pure; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rs::store::auth {

inline constexpr int kMinBcryptCost = 4, kMaxBcryptCost = 31, kDefaultBcryptCost = 10;

using Salt = std::array<std::byte, 16>;

// "$2b$10$…". Fails for a password of more than 72 bytes, of which bcrypt would look at the first
// 72 only, and for one with a zero byte, at which it would stop.
Result<std::string> hash_password(std::string_view password, int cost, const Salt& salt);
bool is_password(std::string_view password, std::string_view hash);
// Whether text is a hash that is_password() understands: of somebody else who keeps passwords so.
bool is_bcrypt_hash(std::string_view text);

}  // namespace rs::store::auth
