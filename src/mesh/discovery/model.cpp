#include "mesh/discovery/model.h"

namespace rs::mesh {

std::string_view state_name(const Resolution& resolution) {
  static constexpr std::string_view kNames[] = {"Unknown", "Absent", "Empty", "Set"};
  return kNames[resolution.index()];
}

int64_t revision_of(const Resolution& resolution) {
  if (auto* absent = std::get_if<Absent>(&resolution)) return absent->revision;
  if (auto* empty = std::get_if<Empty>(&resolution)) return empty->revision;
  if (auto* set = std::get_if<Set>(&resolution)) return set->revision;
  return 0;
}

Resolution ServiceView::summary() const {
  const Resolution* best = nullptr;
  for (const auto& port : ports) {
    if (best == nullptr || port.endpoints.index() > best->index()) best = &port.endpoints;
  }
  return best == nullptr ? Resolution(Empty{revision}) : *best;
}

std::string_view to_string(Currency currency) {
  switch (currency) {
    case Currency::kFresh: return "fresh";
    case Currency::kLate: return "late";
    case Currency::kStale: return "stale";
  }
  return "stale";
}

}  // namespace rs::mesh
