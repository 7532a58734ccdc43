// Creating and deleting many pods of one owner, with expectations and events (k8s controller_utils.go RealPodControl and
// slowStartBatch).
#pragma once

#include "control/controllers/controller.h"
#include "control/controllers/expectations.h"

namespace rs::control {

struct BatchOutcome {
  std::optional<Error> error;   // the last one
  bool namespace_is_terminating = false;
};
// In batches that double, and not further than the first failure: an owner whose pods are all refused costs one request,
// not hundreds.
awaitable<BatchOutcome> create_pods(Context context, Expectations& expectations, ObjectPtr owner, std::vector<Json> pods);
awaitable<BatchOutcome> remove_pods(Context context, Expectations& expectations, ObjectPtr owner, std::vector<ObjectPtr> pods);

// Books a pod event with its owners of that kind: what was expected has come, the owners are due.
void follow_pod(Expectations& expectations, client::WorkQueue& queue, std::string_view owner_kind, const ObjectKey& key,
                const ObjectPtr& before, const ObjectPtr& now);

}  // namespace rs::control
