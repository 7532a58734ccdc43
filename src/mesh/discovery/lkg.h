// The last-known-good file: the view a proxy starts from when the API cannot be asked (reference mesh.md B.5.7).
//
// Format: one line "roadstead-lkg <version> <crc32 of the rest, hex> <bytes of the rest>\n", then a JSON object
// {revision, time, services:[…]}. A damaged or foreign file is refused whole (kDataLoss); the previous one is beside it
// (NAME.previous). Written as tmp + fsync + rename, so a crash leaves one of the two whole.
#pragma once

#include <string>
#include <vector>

#include "mesh/discovery/model.h"

namespace rs::mesh {

struct LastKnownGood {
  int64_t revision = 0;
  WallTime saved_at;
  std::vector<ServiceView> services;
};

constexpr int kLkgVersion = 1;
constexpr size_t kLkgBytesMax = 256u << 20;

std::string encode_lkg(const LastKnownGood& view);
Result<LastKnownGood> decode_lkg(std::string_view bytes);

Result<void> write_lkg(const std::string& path, std::string_view bytes);  // blocks on the disk
// From path, else from its predecessor; kNotFound when neither is there.
Result<LastKnownGood> read_lkg(const std::string& path);

}  // namespace rs::mesh
