// Garbage collector: objects go when the last of their owners has gone (k8s pkg/controller/garbagecollector), in the
// background, in the foreground (owner last) or not at all (orphan).
#pragma once

#include <memory>

#include "control/controllers/controller.h"

namespace rs::control {
std::unique_ptr<Controller> garbage_collector(Context context);
}
