#include "server/strategies/strategies.h"

namespace rs::server {
namespace {

// Kinds that a PUT may create.
class CreatedByPut final : public Strategy {
 public:
  bool create_on_update() const override { return true; }
};

struct Entry {
  std::string_view group, plural;
  const Strategy& (*strategy)();
};
const Strategy& created_by_put() {
  static const CreatedByPut kStrategy;
  return kStrategy;
}
constexpr Entry kEntries[] = {
    {"", "pods", pod_strategy},
    {"", "services", service_strategy},
    {"", "namespaces", namespace_strategy},
    {"", "nodes", node_strategy},
    {"", "secrets", secret_strategy},
    {"", "events", event_strategy},
    {"events.k8s.io", "events", event_strategy},
    {"batch", "jobs", job_strategy},
    {"", "endpoints", created_by_put},
    {"", "limitranges", created_by_put},
    {"coordination.k8s.io", "leases", created_by_put},
    {"rbac.authorization.k8s.io", "roles", created_by_put},
    {"rbac.authorization.k8s.io", "rolebindings", created_by_put},
    {"rbac.authorization.k8s.io", "clusterroles", created_by_put},
    {"rbac.authorization.k8s.io", "clusterrolebindings", created_by_put},
};
}  // namespace

const Strategy* built_in_strategy(std::string_view group, std::string_view plural) {
  for (const Entry& entry : kEntries)
    if (entry.group == group && entry.plural == plural) return &entry.strategy();
  return nullptr;
}

}  // namespace rs::server
