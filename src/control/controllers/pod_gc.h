// Pod garbage collection: pods that nobody will end any more (k8s pkg/controller/podgc).
#pragma once

#include <memory>

#include "control/controllers/controller.h"

namespace rs::control {

struct DoomedPod {
  ObjectPtr pod;
  std::string reason;     // said in its DisruptionTarget condition; empty: it had finished
};
// Pods whose node is among absent_nodes; pods being deleted that never had a node; finished pods beyond finished_max,
// oldest first. Pure.
std::vector<DoomedPod> doomed_pods(const std::vector<ObjectPtr>& pods, const std::set<std::string, std::less<>>& absent_nodes,
                                   int64_t finished_max);

std::unique_ptr<Controller> pod_garbage_collector(Context context, int64_t finished_max);

}  // namespace rs::control
