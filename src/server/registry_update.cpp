#include "api/apply.h"
#include "api/defaults.h"
#include "api/meta.h"
#include "api/validation.h"
#include "server/registry.h"

namespace rs::server {
namespace {
constexpr int kRaceAttempts = 8;

void keep(Json& object, const Json& old, std::string_view field) {
  if (const Json* value = find(old, "metadata", field)) set(object, *value, "metadata", field);
  else erase(object, field, "metadata");
}

// What only the server sets stays as it was.
void keep_system_metadata(Json& object, const Json& old, bool has_generation) {
  for (const char* field : {"uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation",
                            "generateName"})
    keep(object, old, field);
  if (!has_generation) erase(object, "generation", "metadata");
  erase(object, "selfLink", "metadata");
}

// Subresource /status: only .status (and what the strategy lets of metadata) comes from the client.
void merge_status_update(Json& object, const Json& old, bool keep_labels) {
  Json merged = old;
  if (Json* status = find(object, "status")) set(merged, std::move(*status), "status");
  else merged.get_object().erase("status");
  Json metadata = *find(static_cast<const Json&>(object), "metadata");
  for (const char* field : {"ownerReferences"}) {
    if (const Json* value = find(old, "metadata", field)) set(metadata, *value, field);
    else metadata.get_object().erase(field);
  }
  if (keep_labels) {
    if (const Json* labels = find(old, "metadata", "labels")) set(metadata, *labels, "labels");
    else metadata.get_object().erase("labels");
  }
  set(merged, std::move(metadata), "metadata");
  object = std::move(merged);
}

Result<void> check_identity(const Write& write, Json& object, const Json& old) {
  const api::Kind& kind = *write.kind;
  if (!object.is_object()) return fail(Code::kBadRequest, "the outcome is not an object");
  const std::string name(api::name_of(object));  // a copy: set() below may move the members
  if (name != write.name)
    return fail(Code::kBadRequest, "the name of the object ({}) does not match the name on the URL ({})", name, write.name);
  std::string_view ns = api::namespace_of(object);
  if (kind.namespaced && !ns.empty() && ns != write.ns)
    return fail(Code::kBadRequest, "the namespace of the provided object does not match the namespace sent on the request");
  if (kind.namespaced) set(object, Json(write.ns), "metadata", "namespace");
  std::string_view uid = api::uid_of(object);
  if (!uid.empty() && uid != api::uid_of(old))
    return fail(conflict(kind, name, fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid,
                                                 api::uid_of(old))));
  std::string_view version = str(object, "metadata", "resourceVersion");
  if (!version.empty() && version != "0" && version != str(old, "metadata", "resourceVersion"))
    return fail(conflict(kind, name));
  return {};
}

Result<void> check_finalizers(const api::Kind& kind, const Json& object, const Json& old) {
  if (!api::is_deleting(old)) return {};
  const JsonArray& before = array(old, "metadata", "finalizers");
  std::string added;
  for (const Json& finalizer : array(object, "metadata", "finalizers"))
    if (std::find(before.begin(), before.end(), finalizer) == before.end() && finalizer.is_string())
      (added += added.empty() ? "" : ", ") += fmt::format("\"{}\"", std::string_view(finalizer.get_string()));
  if (added.empty()) return {};
  return fail(api::invalid_error(
      kind, api::name_of(object),
      {{api::FieldError::Type::kForbidden, "metadata.finalizers",
        fmt::format("Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
                    "[]string{{{}}}", added)}}));
}

// Whether a write would change nothing. Clients send members in any order: trees are compared, not bytes.
bool same_content(const Json& object, const CachedObject& live) {
  Json now = object;
  set(now, Json(std::to_string(live.revision)), "metadata", "resourceVersion");
  return now == live.tree();
}

bool spec_changed(const Json& object, const Json& old) {
  // Everything but metadata and status counts, so that kinds without a spec field work alike.
  auto part = [](const Json& from) {
    JsonObject out = from.is_object() ? from.get_object() : JsonObject();
    out.erase("metadata");
    out.erase("status");
    return Json(std::move(out));
  };
  return !api::semantically_equal(part(object), part(old));
}
}  // namespace

awaitable<Result<ObjectPtr>> Registry::live_object(const Write& write) {
  if (auto consistent = co_await core_.cache.wait_consistent(); !consistent) co_return std::unexpected(consistent.error());
  co_return write.cache->get(write.ns, write.name);
}

awaitable<Result<Written>> Registry::update(Write& write, Change change, UpdateOptions options) {
  auto found = co_await live_object(write);
  if (!found) co_return std::unexpected(found.error());
  ObjectPtr live = *found;
  for (int attempt = 0; attempt < kRaceAttempts; ++attempt) {
    if (live == nullptr) {
      if (!options.may_create || !options.uid.empty()) co_return fail(not_found(*write.kind, write.name));
      auto wanted = change(nullptr);
      if (!wanted) co_return std::unexpected(wanted.error());
      auto created = co_await create(write, std::move(*wanted));
      if (created || created.error().code != Code::kAlreadyExists) co_return created;
      auto again = co_await live_object(write);
      if (!again) co_return std::unexpected(again.error());
      live = *again;
      continue;
    }
    auto written = co_await try_update(write, change, options, live);
    if (!written) co_return std::unexpected(written.error());
    if (written->has_value()) co_return std::move(**written);
  }
  co_return fail(conflict(*write.kind, write.name));
}

Result<void> Registry::settle_update(Write& write, Json& object, const Json& old, const UpdateOptions& options) {
  const api::Kind& kind = *write.kind;
  const Strategy& strategy = strategy_of(kind);
  if (!options.uid.empty() && options.uid != api::uid_of(old))
    return fail(conflict(kind, write.name, fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}",
                                                       options.uid, api::uid_of(old))));
  if (auto identity = check_identity(write, object, old); !identity) return identity;
  keep_system_metadata(object, old, kind.has_generation);
  if (write.internal) {
    // binding and the like set what no client may
  } else if (write.subresource == "status") {
    merge_status_update(object, old, strategy.status_keeps_labels());
  } else if (kind.has_status) {
    if (const Json* status = find(old, "status")) set(object, *status, "status");
    else object.get_object().erase("status");
  }
  write.claims = {};
  return {};
}

awaitable<Result<std::optional<Written>>> Registry::try_update(Write& write, const Change& change,
                                                               const UpdateOptions& options, ObjectPtr& live) {
  const api::Kind& kind = *write.kind;
  const Strategy& strategy = strategy_of(kind);
  const Json old = live->tree();
  auto wanted = change(&old);
  if (!wanted) co_return std::unexpected(wanted.error());
  Json object = std::move(*wanted);
  if (auto settled = settle_update(write, object, old, options); !settled) co_return std::unexpected(settled.error());
  api::apply_defaults(kind, object);
  if (write.subresource.empty()) {
    if (auto admitted = co_await admission_.mutate(write, object, &old); !admitted)
      co_return std::unexpected(admitted.error());
  }
  if (auto prepared = strategy.prepare_update(core_, write, object, old); !prepared)
    co_return std::unexpected(prepared.error());
  if (kind.has_generation && spec_changed(object, old))
    set(object, Json(integer(old, "metadata", "generation") + 1), "metadata", "generation");
  if (auto finalizers = check_finalizers(kind, object, old); !finalizers) co_return std::unexpected(finalizers.error());
  std::vector<api::FieldError> errors;
  if (write.subresource == "status") errors = api::validate_status_update(kind, object, old);
  else if (!write.internal) errors = api::validate_update(kind, object, old);
  if (!errors.empty()) co_return fail(api::invalid_error(kind, write.name, errors));
  if (!write.applied)
    api::track_update(kind, &old, object, {write.manager, false, write.subresource, core_.loop.wall()});
  bool removes = api::is_deleting(object) && array(object, "metadata", "finalizers").empty() && !strategy.holds(object) &&
                 integer(object, "metadata", "deletionGracePeriodSeconds") == 0;
  co_return co_await store_update(write, object, removes, live);
}

awaitable<Result<std::optional<Written>>> Registry::store_update(Write& write, const Json& object, bool removes,
                                                                 ObjectPtr& live) {
  const api::Kind& kind = *write.kind;
  std::string encoded = api::encode_canonical(object);
  Written out;
  if (!removes && same_content(object, *live)) {
    out.bytes = live->bytes;   // nothing changed: no write, no event, the same resourceVersion
    co_return std::optional(out);
  }
  out.deleted = removes;
  if (write.dry_run) {
    out.bytes = std::make_shared<const std::string>(api::with_resource_version(encoded, live->revision));
    co_return std::optional(out);
  }
  std::string key = storage_key(kind, write.ns, write.name);
  if (removes) write.claims = strategy_of(kind).claims_of_removed(live->tree());
  auto outcome = removes ? co_await storage_.remove(key, live->revision, write.claims)
                         : co_await storage_.update(key, encode_stored(kind, object, encoded), live->revision,
                                                    write.claims);
  if (!outcome) co_return std::unexpected(outcome.error());
  switch (outcome->kind) {
    case StoreOutcome::Kind::kDone:
      out.bytes = std::make_shared<const std::string>(
          api::with_resource_version(encoded, removes ? live->revision : outcome->revision));
      co_return std::optional(out);
    case StoreOutcome::Kind::kClaimed:
      if (auto refused = strategy_of(kind).claims_refused(write, object, outcome->taken)) co_return fail(*refused);
      break;
    case StoreOutcome::Kind::kChanged:
      live = make_cached(kind, live->key, outcome->current->value, outcome->current->mod_revision);
      break;
    case StoreOutcome::Kind::kExists:
    case StoreOutcome::Kind::kGone: live = nullptr; break;
  }
  co_return std::nullopt;
}

}  // namespace rs::server
