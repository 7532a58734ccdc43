// Deletion: graceful, by finalizers, at once (apiserver registry/generic/registry/store.go Delete, registry/rest/delete.go).
#include "api/apply.h"
#include "api/meta.h"
#include "server/registry.h"

namespace rs::server {
namespace {
constexpr int kRaceAttempts = 8;
constexpr const char* kOrphan = "orphan";
constexpr const char* kForeground = "foregroundDeletion";

Result<void> check_preconditions(const api::Kind& kind, const DeleteOptions& options, const Json& object) {
  std::string_view name = api::name_of(object);
  if (!options.uid.empty() && options.uid != api::uid_of(object))
    return fail(conflict(kind, name, fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}",
                                                 options.uid, api::uid_of(object))));
  std::string_view version = str(object, "metadata", "resourceVersion");
  if (!options.resource_version.empty() && options.resource_version != version)
    return fail(conflict(kind, name,
                         fmt::format("Precondition failed: ResourceVersion in precondition: {}, ResourceVersion in object "
                                     "meta: {}", options.resource_version, version)));
  return {};
}

void mark(Core& core, const Strategy& strategy, bool has_generation, Json& object, int64_t grace) {
  WallTime at = core.loop.wall() + std::chrono::seconds(grace);
  set(object, Json(rfc3339(at)), "metadata", "deletionTimestamp");
  set(object, Json(grace), "metadata", "deletionGracePeriodSeconds");
  if (has_generation && integer(object, "metadata", "generation") > 0)
    set(object, Json(integer(object, "metadata", "generation") + 1), "metadata", "generation");
  strategy.mark_deleted(object);
}

enum class Step { kRemove, kStore, kNothing };

// What a delete does to this object; changes it for kStore.
Step plan(Core& core, const api::Kind& kind, const DeleteOptions& options, Json& object) {
  const Strategy& strategy = strategy_of(kind);
  bool changed = apply_propagation_policy(object, options);
  bool held = !array(object, "metadata", "finalizers").empty() || strategy.holds(object);
  int64_t grace = strategy.grace_period(options, object).value_or(0);
  if (!api::is_deleting(object)) {
    if (grace == 0 && !held) return Step::kRemove;
    mark(core, strategy, kind.has_generation, object, grace);
    return Step::kStore;
  }
  int64_t current = integer(object, "metadata", "deletionGracePeriodSeconds");
  // A later delete can only shorten the time that is left.
  bool shortens = options.grace_period_seconds.has_value() && grace < current;
  if (shortens) {
    WallTime at;
    if (!parse_rfc3339(str(object, "metadata", "deletionTimestamp"), at)) at = core.loop.wall();
    at = at - std::chrono::seconds(current) + std::chrono::seconds(grace);
    set(object, Json(rfc3339(at)), "metadata", "deletionTimestamp");
    set(object, Json(grace), "metadata", "deletionGracePeriodSeconds");
    current = grace;
  }
  if (current == 0 && !held) return Step::kRemove;
  return shortens || changed ? Step::kStore : Step::kNothing;
}
}  // namespace

bool apply_propagation_policy(Json& object, const DeleteOptions& options) {
  bool orphan = options.propagation_policy == "Orphan" || options.orphan_dependents.value_or(false);
  bool foreground = options.propagation_policy == "Foreground";
  bool background = options.propagation_policy == "Background" || (options.orphan_dependents && !*options.orphan_dependents);
  if (!orphan && !foreground && !background) return false;   // the finalizers that are there decide
  JsonArray finalizers;
  for (const Json& finalizer : array(object, "metadata", "finalizers"))
    if (finalizer != Json(kOrphan) && finalizer != Json(kForeground)) finalizers.push_back(finalizer);
  if (orphan) finalizers.emplace_back(kOrphan);
  if (foreground) finalizers.emplace_back(kForeground);
  if (finalizers == array(object, "metadata", "finalizers")) return false;
  if (finalizers.empty()) erase(object, "finalizers", "metadata");
  else set(object, std::move(finalizers), "metadata", "finalizers");
  return true;
}

awaitable<Result<Written>> Registry::remove(Write& write, DeleteOptions options) {
  auto found = co_await live_object(write);
  if (!found) co_return std::unexpected(found.error());
  ObjectPtr live = *found;
  for (int attempt = 0; attempt < kRaceAttempts; ++attempt) {
    if (live == nullptr) co_return fail(not_found(*write.kind, write.name));
    auto written = co_await try_remove(write, options, live);
    if (!written) co_return std::unexpected(written.error());
    if (written->has_value()) co_return std::move(**written);
  }
  co_return fail(conflict(*write.kind, write.name));
}

awaitable<Result<std::optional<Written>>> Registry::try_remove(Write& write, const DeleteOptions& options,
                                                               ObjectPtr& live) {
  const api::Kind& kind = *write.kind;
  const Strategy& strategy = strategy_of(kind);
  Json object = live->tree();
  if (auto checked = check_preconditions(kind, options, object); !checked) co_return std::unexpected(checked.error());
  if (auto allowed = strategy.check_delete(core_, write, object); !allowed) co_return std::unexpected(allowed.error());
  Step step = plan(core_, kind, options, object);
  Written out;
  out.bytes = live->bytes;
  if (step == Step::kNothing) co_return std::optional(out);
  if (step == Step::kStore) co_return co_await store_update(write, object, false, live);
  // kRemove
  out.deleted = true;
  if (!strategy.returns_deleted_object())
    out.bytes = std::make_shared<const std::string>(to_text(success_status(kind, write.name, api::uid_of(object))) + "\n");
  if (write.dry_run) co_return std::optional(out);
  Claims claims = strategy.claims_of_removed(object);
  auto outcome = co_await storage_.remove(storage_key(kind, write.ns, write.name), live->revision, std::move(claims));
  if (!outcome) co_return std::unexpected(outcome.error());
  if (outcome->kind == StoreOutcome::Kind::kDone) co_return std::optional(out);
  live = outcome->current ? make_cached(kind, live->key, outcome->current->value, outcome->current->mod_revision) : nullptr;
  co_return std::nullopt;
}

}  // namespace rs::server
