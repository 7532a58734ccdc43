// Pods: phase and QoS class at creation, graceful deletion (pkg/registry/core/pod/strategy.go).
#include "api/meta.h"
#include "server/strategies/strategies.h"

namespace rs::server {
namespace {

bool is_terminal(const Json& pod) {
  std::string_view phase = str(pod, "status", "phase");
  return phase == "Succeeded" || phase == "Failed";
}

bool is_zero(const Json& quantity) {
  auto milli = quantity.is_string() ? api::quantity_milli(std::string_view(quantity.get_string()))
                                    : Result<int64_t>(integer_of(&quantity, 0));
  return milli && *milli == 0;
}

// pkg/apis/core/v1/helper/qos: only cpu and memory count.
struct QosScan {
  bool any = false;
  bool guaranteed = true;
  void add(const Json& container) {
    for (std::string_view resource : {"cpu", "memory"}) {
      const Json* limit = find(container, "resources", "limits", resource);
      const Json* request = find(container, "resources", "requests", resource);
      if (limit != nullptr && is_zero(*limit)) limit = nullptr;
      if (request != nullptr && is_zero(*request)) request = nullptr;
      if (limit != nullptr || request != nullptr) any = true;
      if (limit == nullptr || (request != nullptr && !api::semantically_equal(*limit, *request))) guaranteed = false;
    }
  }
};

std::string_view qos_class(const Json& pod) {
  QosScan scan;
  for (const Json& container : array(pod, "spec", "containers")) scan.add(container);
  for (const Json& container : array(pod, "spec", "initContainers")) scan.add(container);
  if (!scan.any) return "BestEffort";
  return scan.guaranteed ? "Guaranteed" : "Burstable";
}

class PodStrategy final : public Strategy {
 public:
  Result<void> prepare_create(Core&, Write&, Json& pod) const override {
    set(pod, JsonObject{{"phase", "Pending"}, {"qosClass", qos_class(pod)}}, "status");
    if (!array(pod, "spec", "schedulingGates").empty()) {
      set(pod, JsonArray{JsonObject{{"type", "PodScheduled"}, {"status", "False"}, {"lastProbeTime", nullptr},
                                    {"lastTransitionTime", nullptr}, {"reason", "SchedulingGated"},
                                    {"message", "Scheduling is blocked due to non-empty scheduling gates"}}},
          "status", "conditions");
    }
    return {};
  }

  Result<void> prepare_update(Core&, Write& write, Json& pod, const Json& old) const override {
    if (write.subresource == "ephemeralcontainers") {
      Json containers = find(pod, "spec", "ephemeralContainers") == nullptr
                            ? Json(JsonArray())
                            : *find(pod, "spec", "ephemeralContainers");
      pod = old;
      if (!containers.is_array() || !containers.get_array().empty())
        set(pod, std::move(containers), "spec", "ephemeralContainers");
    }
    // The class is decided once, at creation.
    if (const Json* qos = find(old, "status", "qosClass")) set(pod, *qos, "status", "qosClass");
    return {};
  }

  std::optional<int64_t> grace_period(const DeleteOptions& options, const Json& pod) const override {
    int64_t period = options.grace_period_seconds.value_or(integer_or(pod, 30, "spec", "terminationGracePeriodSeconds"));
    if (str(pod, "spec", "nodeName").empty() || is_terminal(pod)) return 0;
    return period < 0 ? 1 : period;
  }

  bool returns_deleted_object() const override { return true; }
  bool status_keeps_labels() const override { return false; }
};
}  // namespace

const Strategy& pod_strategy() {
  static const PodStrategy kStrategy;
  return kStrategy;
}

}  // namespace rs::server
