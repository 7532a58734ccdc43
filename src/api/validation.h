// Validation of the built-in kinds: the messages are Kubernetes' own (pkg/apis/*/validation). Pure.
#pragma once

#include "api/kind.h"

namespace rs::api {

struct FieldError {
  enum class Type { kRequired, kInvalid, kNotSupported, kForbidden, kDuplicate, kTooLong, kTooMany, kTypeInvalid, kNotFound };
  Type type;
  std::string field;    // spec.ports[0].port
  std::string detail;   // complete text behind "field: ", e.g. `Invalid value: 99999: must be between 1 and 65535, inclusive`
};

std::vector<FieldError> validate_create(const Kind& kind, const Json& object);
// Immutable fields and the rules of validate_create. For a status update only .status is looked at.
std::vector<FieldError> validate_update(const Kind& kind, const Json& object, const Json& old_object);
std::vector<FieldError> validate_status_update(const Kind& kind, const Json& object, const Json& old_object);

// metadata.name rules of the kind: DNS-1123 subdomain, DNS-1035 label (services), path segment (roles).
std::vector<FieldError> validate_name(const Kind& kind, std::string_view name, std::string_view field);

// 422 Invalid: `Service "x" is invalid: [a: …, b: …]` with details.causes.
Error invalid_error(const Kind& kind, std::string_view name, const std::vector<FieldError>& errors);

}  // namespace rs::api
