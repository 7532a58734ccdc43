// Walks over objects along their schema, as server-side apply sees them (structured-merge-diff typed): which paths a value
// has, how two values differ, what their merge is, what is left when paths are taken away. Pure.
#pragma once

#include "api/apply_set.h"
#include "api/kind.h"

namespace rs::api {

// The paths of a configuration: what its applier owns. kBadRequest for two items with the same keys.
Result<FieldSet> fields_of(const Kind& kind, const Json& config);

struct Comparison {
  FieldSet added, modified, removed;
};
Comparison compare(const Kind& kind, const Json& before, const Json& after);

// live with config over it: scalars and atomic values are config's, maps and keyed lists are united.
Json merged(const Kind& kind, const Json& live, const Json& config);

// object without the paths of gone (each with all that is below it), save those in kept.
Json pruned(const Kind& kind, const Json& object, const FieldSet& gone, const FieldSet& kept);

}  // namespace rs::api
