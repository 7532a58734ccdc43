// JSON bodies of requests: decoding never fails otherwise than by an Error, and its outcome is stable: decoding the
// canonical form again gives the same bytes.
#include <cstddef>
#include <cstdint>

#include "api/codec.h"
#include "api/defaults.h"
#include "base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rs::api;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  static const Kind& kPod = *builtin_kinds().by_kind("", "v1", "Pod");
  for (const Kind* kind : {static_cast<const Kind*>(nullptr), &kPod}) {
    auto decoded = decode_object(MediaType::kJson, input, kind, FieldValidation::kWarn);
    if (!decoded) continue;
    std::string bytes = encode_canonical(decoded->object);
    auto again = decode_object(MediaType::kJson, bytes, kind, FieldValidation::kStrict);
    ASSERT(again, "the canonical form of a decoded object must decode");
    ASSERT(encode_canonical(again->object) == bytes, "decoding must be stable");
    if (kind != nullptr) apply_defaults(*kind, decoded->object);
    (void)with_resource_version(bytes, 1);
  }
  return 0;
}
