// Events live for an hour (kube-apiserver --event-ttl).
#include "server/strategies/strategies.h"

namespace rs::server {
namespace {

class EventStrategy final : public Strategy {
 public:
  bool create_on_update() const override { return true; }
  int64_t ttl_seconds() const override { return 3600; }
};
}  // namespace

const Strategy& event_strategy() {
  static const EventStrategy kStrategy;
  return kStrategy;
}

}  // namespace rs::server
