// No one may give more than they have: writes of roles and bindings are checked against the writer's own rules, unless
// they hold the verbs escalate or bind (pkg/registry/rbac/escalation_check.go).
#pragma once

#include "server/authorize.h"
#include "server/strategy.h"

namespace rs::server {

Result<void> check_escalation(Core& core, Authorizer& authorizer, const Write& write, const Json& object, const Json* old);

}  // namespace rs::server
