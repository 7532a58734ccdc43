// Job controller: pods that run to an end (k8s pkg/controller/job, ttlafterfinished).
#pragma once

#include <memory>

#include "control/controllers/controller.h"

namespace rs::control {
std::unique_ptr<Controller> job_controller(Context context);
}
