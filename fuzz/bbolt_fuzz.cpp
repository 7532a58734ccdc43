// A bbolt file from anywhere: read wholly or refused.
#include "store/snapshot/bbolt_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rs::store::snapshot;
  auto source = in_memory({reinterpret_cast<const char*>(data), size});
  auto reader = BboltReader::open(*source, size);
  if (!reader) return 0;
  std::vector<std::string> names;
  (void)reader->visit_buckets([&](std::string_view name) {
    names.emplace_back(name);
    return names.size() < 100;
  });
  size_t keys = 0;
  for (const std::string& name : names) {
    (void)reader->visit(name, [&](std::string_view, std::string_view) { return ++keys < 100'000; });
  }
  return 0;
}
