// Protobuf bodies, with and without their envelope; what decodes must encode and decode to the same.
#include <cstddef>
#include <cstdint>

#include "api/codec.h"
#include "api/codec/protobuf_reader.h"
#include "base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rs::api;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  (void)read_envelope(input);
  for (std::string_view name : {"Pod", "Service", "Node"}) (void)read_message(input, *find_type("v1", name));
  (void)read_message(input, *find_type("apiextensions.k8s.io/v1", "CustomResourceDefinition"));
  if (auto decoded = decode_protobuf(input)) {
    auto encoded = encode_protobuf(*decoded);
    ASSERT(encoded, "what was decoded must encode");
    auto again = decode_protobuf(*encoded);
    ASSERT(again, "what was encoded must decode");
    ASSERT(encode_canonical(*again) == encode_canonical(*decoded), "the round trip must be exact");
  }
  return 0;
}
