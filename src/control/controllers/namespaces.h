// Namespace deletion: everything in a namespace that is being deleted goes, then its finalizer, then itself (k8s
// pkg/controller/namespace/deletion). The namespace's conditions say what it still waits for.
#pragma once

#include <memory>

#include "control/controllers/controller.h"

namespace rs::control {

// What is left of one resource in a namespace.
struct Remaining {
  std::string resource;                        // "pods." as upstream writes it: resource.group
  int64_t objects = 0;
  std::map<std::string, int64_t> finalizers;   // finalizer -> objects that carry it
};
// The namespace with conditions that tell about it; failures: texts of deletions that did not work. Pure.
Json with_deletion_conditions(const Json& ns, const std::vector<Remaining>& remaining,
                              const std::vector<std::string>& failures, WallTime now);

std::unique_ptr<Controller> namespace_controller(Context context);

}  // namespace rs::control
