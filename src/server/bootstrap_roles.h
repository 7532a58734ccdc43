// The default RBAC objects, named as upstream's. Pure.
#pragma once

#include <vector>

#include "base/json.h"

namespace rs::server {
std::vector<Json> bootstrap_rbac();
}  // namespace rs::server
