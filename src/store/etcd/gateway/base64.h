// Base64 (RFC 4648), as Go's encoding/base64 reads and writes it. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rs::store::etcd::gateway {

void append_base64(std::string& out, std::string_view bytes);
// Either alphabet, with or without padding; line breaks are skipped. Nothing: it is neither.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace rs::store::etcd::gateway
