// Deployment controller: rolls pods from one template to the next through ReplicaSets (k8s pkg/controller/deployment).
#pragma once

#include <memory>

#include "control/controllers/controller.h"

namespace rs::control {
std::unique_ptr<Controller> deployment_controller(Context context);
}
