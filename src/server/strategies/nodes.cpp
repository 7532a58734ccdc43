// Nodes: status comes with the object; new ones start tainted until they report ready (admission TaintNodesByCondition).
#include "server/strategies/strategies.h"

namespace rs::server {
namespace {
constexpr const char* kNotReadyTaint = "node.kubernetes.io/not-ready";

class NodeStrategy final : public Strategy {
 public:
  Result<void> prepare_create(Core&, Write&, Json& node) const override {
    for (const Json& taint : array(node, "spec", "taints"))
      if (str(taint, "key") == kNotReadyTaint && str(taint, "effect") == "NoSchedule") return {};
    JsonArray taints = array(node, "spec", "taints");
    taints.push_back(JsonObject{{"key", kNotReadyTaint}, {"effect", "NoSchedule"}});
    set(node, std::move(taints), "spec", "taints");
    return {};
  }
  bool keeps_status_on_create() const override { return true; }
  bool status_keeps_labels() const override { return false; }
};
}  // namespace

const Strategy& node_strategy() {
  static const NodeStrategy kStrategy;
  return kStrategy;
}

}  // namespace rs::server
