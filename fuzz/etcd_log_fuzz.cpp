// A log of etcd's from anywhere: read to its end, or to what is none.
#include "store/snapshot/etcd_log.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t cut = size > 0 ? data[0] % size : 0;
  std::set<uint64_t> changes;
  rs::store::snapshot::read_log_segment(bytes.substr(0, cut), 3, changes);
  rs::store::snapshot::read_log_segment(bytes.substr(cut), 3, changes);
  return 0;
}
