#include "server/strategy.h"

#include "server/strategies/strategies.h"

namespace rs::server {

Result<void> Strategy::prepare_create(Core&, Write&, Json&) const { return {}; }
Result<void> Strategy::prepare_update(Core&, Write&, Json&, const Json&) const { return {}; }
Result<void> Strategy::check_delete(Core&, const Write&, const Json&) const { return {}; }
Claims Strategy::claims_of_removed(const Json&) const { return {}; }
std::optional<int64_t> Strategy::grace_period(const DeleteOptions&, const Json&) const { return std::nullopt; }
void Strategy::mark_deleted(Json&) const {}
bool Strategy::holds(const Json&) const { return false; }
std::optional<Error> Strategy::claims_refused(const Write&, const Json&, const std::vector<std::string>&) const {
  return std::nullopt;
}

const Strategy& strategy_of(const api::Kind& kind) {
  static const Strategy kGeneric;
  const Strategy* found = built_in_strategy(kind.group, kind.plural);
  return found == nullptr ? kGeneric : *found;
}

}  // namespace rs::server
