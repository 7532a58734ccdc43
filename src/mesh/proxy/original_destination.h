// Where a redirected connection was going (netfilter's SO_ORIGINAL_DST).
#pragma once

#include <optional>

#include "net/stream.h"

namespace rs::mesh {
std::optional<net::Address> original_destination(const net::Stream& stream);
}  // namespace rs::mesh
