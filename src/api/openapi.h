// OpenAPI v3 documents built from the schema table (reference section A5). Pure; built on first use by the caller.
#pragma once

#include "api/kind.h"

namespace rs::api {

// The document of one group version: "api/v1", "apis/apps/v1". Schemas with merge keys and list types, the paths that
// kubectl reads with their parameters and x-kubernetes-group-version-kind.
Json openapi_v3(const KindTable& kinds, std::string_view group, std::string_view version);

}  // namespace rs::api
