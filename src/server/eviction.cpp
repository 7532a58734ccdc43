// /eviction: deletion that respects disruption budgets (pkg/registry/core/pod/storage/eviction.go).
#include "api/meta.h"
#include "server/subresources.h"

namespace rs::server {
namespace {
constexpr size_t kDisruptedPodsLimit = 2000;

Error too_many(std::string cause, int retry_after) {
  auto details = std::make_shared<ErrorDetails>();
  details->causes.push_back({"DisruptionBudget", std::move(cause), ""});
  details->retry_after_seconds = retry_after;
  return Error{Code::kTooManyRequests, "Cannot evict pod as it would violate the pod's disruption budget.", details};
}

bool ignores_budget(const Json& pod) {
  std::string_view phase = str(pod, "status", "phase");
  return phase == "Succeeded" || phase == "Failed" || phase == "Pending" || api::is_deleting(pod);
}

// An unready pod does not disturb a budget that is met (or whose policy says so).
bool unhealthy_may_go(const Json& pod, const Json& budget) {
  if (api::condition_is_true(pod, "Ready")) return false;
  if (str(budget, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow") return true;
  int64_t desired = integer(budget, "status", "desiredHealthy");
  return desired > 0 && integer(budget, "status", "currentHealthy") >= desired;
}

// The budget with one disruption taken from it.
Result<Json> take_disruption(const api::Kind& kind, const Json& budget, std::string_view pod, WallTime now) {
  std::string name(api::name_of(budget));
  if (integer(budget, "status", "observedGeneration") < integer(budget, "metadata", "generation"))
    return fail(too_many(fmt::format("The disruption budget {} is still being processed by the server.", name), 10));
  int64_t allowed = integer(budget, "status", "disruptionsAllowed");
  if (allowed < 0) return fail(forbidden(kind, name, "pdb disruptions allowed is negative"));
  if (object(budget, "status", "disruptedPods").size() > kDisruptedPodsLimit)
    return fail(forbidden(kind, name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller"));
  if (allowed == 0)
    return fail(too_many(fmt::format("The disruption budget {} needs {} healthy pods and has {} currently", name,
                                     integer(budget, "status", "desiredHealthy"),
                                     integer(budget, "status", "currentHealthy")), 0));
  Json taken = budget;
  set(taken, Json(allowed - 1), "status", "disruptionsAllowed");
  set(taken, Json(rfc3339(now)), "status", "disruptedPods", pod);
  return taken;
}

std::vector<ObjectPtr> budgets_of(Core& core, const Json& pod) {
  std::vector<ObjectPtr> out;
  auto budgets = core.resource("policy", "poddisruptionbudgets");
  if (budgets == nullptr) return out;
  std::string ns(api::namespace_of(pod));
  for (auto it = budgets->objects().lower_bound(ns + "/"); it != budgets->objects().end() && it->second->ns() == ns; ++it) {
    Json budget = it->second->tree();
    auto selector = api::LabelSelector::from_json(find(budget, "spec", "selector"));
    if (selector && selector->matches_object(pod)) out.push_back(it->second);
  }
  return out;
}

awaitable<Result<void>> respect_budget(RequestContext& context, const Write& write, const Json& pod) {
  std::vector<ObjectPtr> budgets = budgets_of(context.core, pod);
  if (budgets.size() > 1)
    co_return fail(Code::kInternalError,
                   "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
  if (budgets.empty() || unhealthy_may_go(pod, budgets[0]->tree())) co_return Result<void>();
  auto cache = context.core.resource("policy", "poddisruptionbudgets");
  Write on_budget = write;
  on_budget.kind = &cache->kind();
  on_budget.cache = cache;
  on_budget.name = budgets[0]->name();
  on_budget.subresource = "status";
  WallTime now = context.core.loop.wall();
  auto taken = co_await context.registry.update(on_budget, [&](const Json* live) -> Result<Json> {
    return take_disruption(*on_budget.kind, *live, write.name, now);
  }, {});
  if (!taken) co_return std::unexpected(taken.error());
  co_return Result<void>();
}
}  // namespace

awaitable<Result<net::Response>> handle_eviction(RequestContext context) {
  auto write = make_write(context);
  if (!write) co_return std::unexpected(write.error());
  auto body = decode_any(context.request);
  if (!body) co_return std::unexpected(body.error());
  if (auto name = api::name_of(*body); !name.empty() && name != write->name)
    co_return fail(Code::kBadRequest, "name in URL does not match name in Eviction object: \"{}\" vs \"{}\"", write->name, name);
  DeleteOptions options;
  if (const Json* given = find(*body, "deleteOptions"))
    if (auto read = read_delete_options(*given, options); !read) co_return std::unexpected(read.error());
  write->dry_run |= options.dry_run;
  write->subresource.clear();
  if (auto ready = co_await context.core.cache.wait_consistent(); !ready) co_return std::unexpected(ready.error());
  ObjectPtr found = write->cache->get(write->ns, write->name);
  if (found == nullptr) co_return fail(not_found(context.kind, write->name));
  Json pod = found->tree();
  if (!ignores_budget(pod)) {
    if (auto respected = co_await respect_budget(context, *write, pod); !respected)
      co_return std::unexpected(respected.error());
  }
  if (options.uid.empty()) options.uid = api::uid_of(pod);
  auto removed = co_await context.registry.remove(*write, options);
  if (!removed) co_return std::unexpected(removed.error());
  co_return created_status();
}

}  // namespace rs::server
