// Base64 (RFC 4648): the plain alphabet with padding, and the URL's without. Strict: one text for
// one value.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rs::store::auth {

std::string base64url(std::string_view bytes);
std::optional<std::string> base64url_decode(std::string_view text);
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace rs::store::auth
