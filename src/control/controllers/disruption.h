// PodDisruptionBudget status: how many pods may be evicted now (k8s pkg/controller/disruption). The eviction subresource
// of the API server decides by it.
#pragma once

#include <memory>

#include "control/controllers/controller.h"

namespace rs::control {

constexpr Duration kDisruptedPodTimeout = std::chrono::minutes(2);

// The budget with the status it should have. pods: those it selects. expected_scale: sum of the sizes of their
// controllers, asked for percentages and maxUnavailable. again_after: when a disrupted pod is given up. Pure.
struct BudgetPlan {
  Json budget;
  std::optional<Duration> again_after;
};
Result<BudgetPlan> plan_budget(const Json& budget, const std::vector<ObjectPtr>& pods, int64_t expected_scale, WallTime now);

std::unique_ptr<Controller> disruption_controller(Context context);

}  // namespace rs::control
