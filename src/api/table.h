// Tables (meta.k8s.io/v1 Table): columns and rows of each kind as `kubectl get` shows them (reference section A19). Pure.
#pragma once

#include "api/kind.h"
#include "base/clock.h"

namespace rs::api {

// columnDefinitions of the kind: name, type, format, description, priority.
JsonArray table_columns(const Kind& kind);
// cells (and for some kinds conditions) of one object: {"cells":[…],"conditions":[…]}.
JsonObject table_row(const Kind& kind, const Json& object, WallTime now);

}  // namespace rs::api
