// Protobuf messages of the types in the schema table (reference section A3). Never throws.
#pragma once

#include <string_view>

#include "api/schema.h"

namespace rs::api {

inline constexpr std::string_view kProtobufMagic("k8s\0", 4);

// runtime.Unknown: what is around each object.
struct ProtobufEnvelope {
  std::string_view api_version, kind, raw, content_type;
};
Result<ProtobufEnvelope> read_envelope(std::string_view body);

// The message as JSON members, without the zeros that Go would not write to JSON; not yet normalised.
Result<JsonObject> read_message(std::string_view bytes, const TypeInfo& type);

std::string to_base64(std::string_view bytes);
std::string from_base64(std::string_view text);  // ignores what is no base64

}  // namespace rs::api
