// ReplicaSet controller: keeps as many active pods as spec.replicas says (k8s pkg/controller/replicaset).
#pragma once

#include <memory>

#include "control/controllers/controller.h"

namespace rs::control {
std::unique_ptr<Controller> replica_set_controller(Context context);
}
