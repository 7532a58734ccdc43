// Proto JSON to protobuf bytes and back (protobuf.dev/programming-guides/json), by the schema. As
// etcd's gateway sets it: fields by the names of the .proto file, defaults left out, unknown fields
// ignored; both spellings of names are taken, 64-bit numbers as strings or numbers, enums as names
// or numbers, bytes in either base64. Pure.
#pragma once

#include "base/result.h"
#include "store/etcd/gateway/schema.h"

namespace rs::store::etcd::gateway {

// One JSON value as a message. kBadRequest with the text that etcd's client sees.
Result<std::string> to_protobuf(const MessageType& type, std::string_view json);

// Appends the message as JSON; false when it is not of that type.
bool append_json(std::string& out, const MessageType& type, std::string_view message);

}  // namespace rs::store::etcd::gateway
