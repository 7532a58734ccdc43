#include "control/controllers/pods.h"

#include <algorithm>
#include <bit>
#include <charconv>

namespace rs::control {

bool is_finished(const Json& pod) {
  std::string_view phase = str(pod, "status", "phase");
  return phase == "Succeeded" || phase == "Failed";
}

bool is_active(const Json& pod) { return !is_finished(pod) && !api::is_deleting(pod); }

bool is_ready(const Json& pod) { return api::condition_is_true(pod, "Ready"); }

namespace {
std::optional<WallTime> ready_since(const Json& pod) {
  const Json* ready = api::condition(pod, "Ready");
  if (ready == nullptr || str(*ready, "status") != "True") return std::nullopt;
  return time_at(*ready, "lastTransitionTime");
}
}  // namespace

bool is_available(const Json& pod, Duration min_ready, WallTime now) {
  if (!is_ready(pod)) return false;
  if (min_ready <= Duration::zero()) return true;
  auto since = ready_since(pod);
  return since.has_value() && *since + min_ready <= now;
}

std::optional<Duration> until_available(const Json& pod, Duration min_ready, WallTime now) {
  auto since = ready_since(pod);
  if (!since.has_value() || *since + min_ready <= now) return std::nullopt;
  return *since + min_ready - now;
}

int64_t restarts_of(const Json& pod) {
  int64_t most = 0;
  for (const Json& status : array(pod, "status", "containerStatuses")) most = std::max(most, integer(status, "restartCount"));
  return most;
}

Json pod_from_template(const Json& pod_template, const Json& owner) {
  JsonObject metadata;
  metadata["generateName"] = std::string(api::name_of(owner)) + "-";
  metadata["namespace"] = api::namespace_of(owner);
  for (const char* name : {"labels", "annotations", "finalizers"})
    if (const Json* value = find(pod_template, "metadata", name)) metadata[name] = *value;
  metadata["ownerReferences"] = JsonArray{api::owner_reference_to(owner)};
  const Json* spec = find(pod_template, "spec");
  return JsonObject{{"apiVersion", "v1"},
                    {"kind", "Pod"},
                    {"metadata", std::move(metadata)},
                    {"spec", spec == nullptr ? Json(JsonObject()) : *spec}};
}

namespace {
int phase_rank(const Json& pod) {
  std::string_view phase = str(pod, "status", "phase");
  if (phase == "Running") return 2;
  return phase == "Unknown" ? 1 : 0;
}

int64_t deletion_cost(const Json& pod) {
  std::string_view text = api::annotation(pod, "controller.kubernetes.io/pod-deletion-cost");
  int32_t cost = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cost);
  return error == std::errc() && end == text.data() + text.size() ? cost : 0;
}

// Magnitude of an age: ages of one magnitude count as equal.
int magnitude(std::optional<WallTime> since, WallTime now) {
  if (!since.has_value() || *since >= now) return 0;
  return std::bit_width(static_cast<uint64_t>((now - *since).count()));
}
}  // namespace

bool deletes_before(const RankedPod& left, const RankedPod& right, WallTime now) {
  const Json &a = *left.pod, &b = *right.pod;
  bool a_placed = !str(a, "spec", "nodeName").empty(), b_placed = !str(b, "spec", "nodeName").empty();
  if (a_placed != b_placed) return !a_placed;
  if (phase_rank(a) != phase_rank(b)) return phase_rank(a) < phase_rank(b);
  if (is_ready(a) != is_ready(b)) return !is_ready(a);
  if (deletion_cost(a) != deletion_cost(b)) return deletion_cost(a) < deletion_cost(b);
  if (left.related_on_node != right.related_on_node) return left.related_on_node > right.related_on_node;
  if (is_ready(a)) {
    int a_age = magnitude(ready_since(a), now), b_age = magnitude(ready_since(b), now);
    if (a_age != b_age) return a_age < b_age;
  }
  if (restarts_of(a) != restarts_of(b)) return restarts_of(a) > restarts_of(b);
  int a_age = magnitude(time_at(a, "metadata", "creationTimestamp"), now);
  int b_age = magnitude(time_at(b, "metadata", "creationTimestamp"), now);
  if (a_age != b_age) return a_age < b_age;
  return api::uid_of(a) < api::uid_of(b);
}

}  // namespace rs::control
