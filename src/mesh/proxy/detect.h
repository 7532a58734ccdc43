// Which protocol a client speaks, by its first bytes (reference mesh.md F.3).
#pragma once

#include <string_view>

#include "mesh/proxy/worker.h"

namespace rs::mesh {

enum class Protocol { kHttp1, kHttp2, kOpaque, kSilent, kClosed };

constexpr size_t kDetectBytes = 1024;

// Of what has been read so far; nothing: more is needed. Pure.
std::optional<Protocol> detect_bytes(std::string_view bytes);

// Reads until it can tell, up to kDetectBytes or the detect timeout (kSilent). What was read stays in the buffer.
async::awaitable<Protocol> detect(Worker& worker, net::Stream& stream, Buffer& in);

// False when looking would only delay: the port says it is something else, is known for protocols in which the server
// speaks first, or was seen to be one.
bool may_be_http(const Backend& backend);

}  // namespace rs::mesh
