// Base64 in its two alphabets (RFC 4648) and hashes as text. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rs::server {

std::string base64(std::string_view bytes);
std::string base64url(std::string_view bytes);                      // without padding
Result<std::string> base64url_decode(std::string_view text);        // padding optional
std::string sha256(std::string_view bytes);                         // 32 raw bytes
std::string sha512_hex(std::string_view bytes);                     // upper case, as discovery's ETag

}  // namespace rs::server
