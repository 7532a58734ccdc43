// The JSON gateway: any text as every request, and any bytes as every answer. What is accepted survives the way to
// protobuf and back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "store/etcd/gateway/json_text.h"
#include "store/etcd/gateway/transcode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rs::store::etcd::gateway;
  static const Schema schema;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const auto& [path, route] : schema.routes()) {
    for (const MessageType* type : {route.request, route.response}) {
      std::string shown;
      (void)append_json(shown, *type, input);
      auto message = to_protobuf(*type, input);
      if (!message) continue;
      std::string once, twice;
      if (!append_json(once, *type, *message)) std::abort();
      auto again = to_protobuf(*type, once);
      if (!again || !append_json(twice, *type, *again) || once != twice) std::abort();
    }
  }
  return 0;
}
