// What every namespace has: ServiceAccount "default" and ConfigMap kube-root-ca.crt (k8s serviceaccounts_controller.go,
// certificates/rootcacertpublisher). Both come back when they are deleted.
#pragma once

#include <memory>

#include "control/controllers/controller.h"

namespace rs::control {
std::unique_ptr<Controller> service_account_controller(Context context, std::string root_ca);
}
