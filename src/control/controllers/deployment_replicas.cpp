#include "control/controllers/deployment_replicas.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace rs::control {

bool is_rolling_update(const Json& deployment) { return str(deployment, "spec", "strategy", "type") != "Recreate"; }

int64_t wanted_replicas(const Json& deployment) {
  return std::max<int64_t>(0, integer_or(deployment, 1, "spec", "replicas"));
}

namespace {
struct Fence {
  int64_t surge = 0, unavailable = 0;
};
// Surge is rounded up, unavailable down; both zero would never move, then one pod may be unavailable.
Fence fence_of(const Json& deployment) {
  if (!is_rolling_update(deployment)) return {};
  static const Json kDefault = "25%";
  int64_t replicas = wanted_replicas(deployment);
  auto scaled = [&](const char* name, bool up) {
    const Json* value = find(deployment, "spec", "strategy", "rollingUpdate", name);
    auto number = api::scaled_int_or_percent(value == nullptr ? &kDefault : value, replicas, up);
    return number ? std::max<int64_t>(0, *number) : 0;
  };
  Fence fence{scaled("maxSurge", true), scaled("maxUnavailable", false)};
  if (fence.surge == 0 && fence.unavailable == 0) fence.unavailable = 1;
  return fence;
}
}  // namespace

int64_t max_surge(const Json& deployment) { return fence_of(deployment).surge; }

int64_t max_unavailable(const Json& deployment) {
  return std::min(fence_of(deployment).unavailable, wanted_replicas(deployment));
}

int64_t annotation_number(const Json& object, std::string_view name, int64_t otherwise) {
  std::string_view text = api::annotation(object, name);
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() ? value : otherwise;
}

int64_t revision_of(const Json& object) { return annotation_number(object, kRevision, 0); }

int64_t new_set_replicas(const Json& deployment, int64_t total, int64_t current) {
  int64_t wanted = wanted_replicas(deployment);
  if (!is_rolling_update(deployment)) return wanted;
  int64_t most = wanted + max_surge(deployment);
  if (total >= most) return current;
  return current + std::min(most - total, wanted - current);
}

bool older(const WorkingSet& a, const WorkingSet& b) {
  std::string_view a_time = str(a.object, "metadata", "creationTimestamp");
  std::string_view b_time = str(b.object, "metadata", "creationTimestamp");
  if (a_time != b_time) return b_time.empty() || (!a_time.empty() && a_time < b_time);  // no time: not created yet
  return api::name_of(a.object) < api::name_of(b.object);
}

bool scale_set(WorkingSet& set, const Json& deployment, int64_t replicas) {
  int64_t before = set.replicas();
  std::string desired = std::to_string(wanted_replicas(deployment));
  std::string most = std::to_string(wanted_replicas(deployment) + max_surge(deployment));
  bool annotated = api::annotation(set.object, kDesiredReplicas) == desired && api::annotation(set.object, kMaxReplicas) == most;
  if (before == replicas && annotated) return false;
  rs::set(set.object, replicas, "spec", "replicas");
  rs::set(set.object, Json(desired), "metadata", "annotations", kDesiredReplicas);
  rs::set(set.object, Json(most), "metadata", "annotations", kMaxReplicas);
  if (before != replicas)
    set.event = fmt::format("Scaled {} replica set {} from {} to {}", before < replicas ? "up" : "down",
                            api::name_of(set.object), before, replicas);
  return true;
}

namespace {
int64_t fraction_of(const WorkingSet& set, const Json& deployment) {
  int64_t wanted = wanted_replicas(deployment);
  if (wanted == 0) return -set.replicas();
  int64_t most_before = annotation_number(set.object, kMaxReplicas, integer(deployment, "status", "replicas"));
  if (most_before <= 0) return 0;
  double size = static_cast<double>(set.replicas()) * static_cast<double>(wanted + max_surge(deployment)) /
                static_cast<double>(most_before);
  return static_cast<int64_t>(std::llround(size)) - set.replicas();
}

int64_t proportion_of(const WorkingSet& set, const Json& deployment, int64_t to_add, int64_t added) {
  if (set.replicas() == 0 || to_add == 0 || to_add == added) return 0;
  int64_t fraction = fraction_of(set, deployment), allowed = to_add - added;
  return to_add > 0 ? std::min(fraction, allowed) : std::max(fraction, allowed);
}
}  // namespace

void scale_in_proportion(std::vector<WorkingSet*> active, const Json& deployment) {
  int64_t total = 0;
  for (const WorkingSet* set : active) total += set->replicas();
  int64_t allowed = wanted_replicas(deployment) == 0 ? 0 : wanted_replicas(deployment) + max_surge(deployment);
  int64_t to_add = allowed - total, added = 0;
  // Bigger sets first; among equals the newer gains first and the older loses first.
  std::sort(active.begin(), active.end(), [to_add](const WorkingSet* a, const WorkingSet* b) {
    if (a->replicas() != b->replicas()) return a->replicas() > b->replicas();
    return to_add > 0 ? older(*b, *a) : older(*a, *b);
  });
  std::vector<int64_t> sizes;
  for (const WorkingSet* set : active) {
    int64_t proportion = proportion_of(*set, deployment, to_add, added);
    sizes.push_back(set->replicas() + proportion);
    added += proportion;
  }
  if (!sizes.empty() && to_add != 0) sizes[0] = std::max<int64_t>(0, sizes[0] + to_add - added);
  for (size_t i = 0; i < active.size(); ++i) scale_set(*active[i], deployment, sizes[i]);
}

bool scale_old_sets_down(std::vector<WorkingSet*> old_sets, const WorkingSet& new_set, const Json& deployment) {
  std::sort(old_sets.begin(), old_sets.end(), [](const WorkingSet* a, const WorkingSet* b) { return older(*a, *b); });
  int64_t all = new_set.replicas(), available = new_set.available();
  for (const WorkingSet* set : old_sets) {
    all += set->replicas();
    // Replicas that were just taken away may still be counted in status: they do not count here.
    available += std::min(set->available(), set->replicas());
  }
  int64_t min_available = wanted_replicas(deployment) - max_unavailable(deployment);
  int64_t new_unavailable = new_set.replicas() - new_set.available();
  int64_t budget = all - min_available - new_unavailable;
  if (all == new_set.replicas() || budget <= 0) return false;

  bool changed = false;
  // Replicas that do not serve anyway go first: they cost no availability.
  for (WorkingSet* set : old_sets) {
    int64_t unhealthy = std::min(set->replicas() - set->available(), budget);
    if (unhealthy <= 0) continue;
    changed |= scale_set(*set, deployment, set->replicas() - unhealthy);
    budget -= unhealthy;
  }
  int64_t spare = available - min_available;
  for (WorkingSet* set : old_sets) {
    int64_t down = std::min(set->replicas(), spare);
    if (down <= 0) continue;
    changed |= scale_set(*set, deployment, set->replicas() - down);
    spare -= down;
  }
  return changed;
}

}  // namespace rs::control
