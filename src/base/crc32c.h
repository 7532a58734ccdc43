// CRC-32C (Castagnoli; RFC 3720 appendix B.4), as etcd's hashes use it. Pure. Table-driven, about 400 MB/s.
#pragma once

#include <cstdint>
#include <string_view>

namespace rs {

// Of what was summed to crc (0: nothing yet), and then bytes.
uint32_t crc32c(uint32_t crc, std::string_view bytes);

}  // namespace rs
