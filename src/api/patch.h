// The three patch types (reference section A10). Pure; the caller normalises, defaults and validates the outcome.
#pragma once

#include "api/kind.h"

namespace rs::api {

// RFC 6902. At most 10,000 operations. A failing test operation or path: kInvalid.
Result<Json> json_patch(const Json& object, const Json& patch);
// RFC 7386.
Json merge_patch(Json object, const Json& patch);
// Strategic merge (apimachinery strategicpatch): merge keys and strategies from the schema; $patch, $retainKeys,
// $setElementOrder, $deleteFromPrimitiveList. kBadRequest for a malformed directive.
Result<Json> strategic_merge_patch(const Kind& kind, Json object, const Json& patch);

}  // namespace rs::api
