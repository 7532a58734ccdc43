// Bytes <-> objects: JSON, YAML and protobuf request bodies; the canonical JSON that is stored and served.
// Source: apimachinery serializer/protobuf, KEP-2885 (field validation). Pure; any thread; nothing throws.
#pragma once

#include "api/kind.h"

namespace rs::api {

enum class MediaType { kJson, kYaml, kProtobuf };
enum class FieldValidation { kIgnore, kWarn, kStrict };

struct Decoded {
  Json object;                        // with apiVersion and kind
  std::vector<std::string> warnings;  // unknown and duplicate fields under kWarn: texts for Warning headers
};

// Decodes a body that must hold an object of the given kind (or, kind null, of whichever built-in kind it names).
// apiVersion and kind missing in the body are filled in; different ones are kBadRequest. Unknown fields are dropped
// (kIgnore, kWarn) or refused (kStrict: kBadRequest `Pod in version "v1" cannot be handled as a Pod: strict decoding error:
// unknown field "spec.foo"`; normalise() says it without the frame). Wrong types are
// kBadRequest in Kubernetes' words. The outcome is in normal form (codec/normaliser.h): as Go would write it, so that JSON,
// YAML and protobuf of one object decode to the same value; null members and (as under Go's omitempty) empty optional ones
// are gone, required ones that were missing are there, empty. Depth, size and count are limited.
Result<Decoded> decode_object(MediaType type, std::string_view body, const Kind* kind, FieldValidation validation);

// Same pruning and type checks for a tree that is already parsed (the outcome of a patch).
Result<Decoded> normalise(Json object, const Kind& kind, FieldValidation validation);

// Any protobuf envelope "k8s\0…" of a type in the schema table, as JSON; for DeleteOptions and the like.
Result<Json> decode_protobuf(std::string_view envelope);
Result<std::string> encode_protobuf(const Json& object);  // the envelope; for tests and clients
Result<Json> parse_yaml(std::string_view text);           // one document, YAML 1.1 as Kubernetes reads it; limits as JSON
Result<std::vector<Json>> parse_yaml_documents(std::string_view text);
std::string to_yaml(const Json& value);

// The stored form: compact JSON that begins {"apiVersion":…,"kind":…,"metadata":{ and has no metadata.resourceVersion.
std::string encode_canonical(const Json& object);
// The served form: the stored bytes with resourceVersion put first into metadata; no parsing.
std::string with_resource_version(std::string_view stored, int64_t revision);

}  // namespace rs::api
