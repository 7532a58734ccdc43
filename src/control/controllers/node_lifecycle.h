// Node lifecycle: notices nodes that fall silent, taints nodes by their conditions, and moves pods off nodes whose
// NoExecute taints they do not (or no longer) tolerate.
//
// Silence is judged only while this process itself is well informed: when its own copy of the leases is old, every node
// would look silent, and the fault is here.
#pragma once

#include <memory>

#include "control/controllers/controller.h"

namespace rs::control {

struct NodeLifecycleOptions {
  Duration grace_period, monitor_period;
};
std::unique_ptr<Controller> node_lifecycle_controller(Context context, NodeLifecycleOptions options);

}  // namespace rs::control
