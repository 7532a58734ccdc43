// Defaults of the built-in kinds (reference section A17; k8s pkg/apis/*/v1/defaults.go). Idempotent; pure.
// Only what depends on nothing but the object itself: cluster IPs, node ports and service-account volumes are admission's.
#pragma once

#include "api/kind.h"

namespace rs::api {
void apply_defaults(const Kind& kind, Json& object);
void apply_pod_template_defaults(Json& pod_template);
}  // namespace rs::api
