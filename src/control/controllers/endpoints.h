// Endpoints and EndpointSlice controllers: the addresses behind services. They follow pods event by event: a pod that is
// ready, fails or is being deleted is published at once.
#pragma once

#include <memory>

#include "control/controllers/controller.h"

namespace rs::control {
std::unique_ptr<Controller> endpoints_controller(Context context);
std::unique_ptr<Controller> endpoint_slice_controller(Context context);
// Slices for Endpoints that users manage themselves (services without selector).
std::unique_ptr<Controller> endpoint_slice_mirroring_controller(Context context);
}  // namespace rs::control
