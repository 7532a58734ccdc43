// What the two halves of the OpenAPI documents share.
#pragma once

#include <string>
#include <string_view>

#include "api/kind.h"
#include "base/json.h"

namespace rs::api::openapi {

// {"$ref": "#/components/schemas/io.k8s.api.core.v1.Pod"}
JsonObject reference(std::string_view schema_name);

inline constexpr std::string_view kPatch = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

// components.schemas of one group version: every type its kinds reach, kinds carrying their group, version and kind.
JsonObject schemas(const KindTable& kinds, std::string_view group, std::string_view version);

}  // namespace rs::api::openapi
