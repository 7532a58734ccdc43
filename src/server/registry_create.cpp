#include "api/apply.h"
#include "api/defaults.h"
#include "api/meta.h"
#include "api/validation.h"
#include "server/registry.h"

namespace rs::server {
namespace {
constexpr size_t kGeneratedBase = 58;     // of 63, five for the suffix (apiserver storage/names)
constexpr int kNameAttempts = 8;
constexpr int kClaimAttempts = 64;

// The namespace comes from the URL; the body may repeat it.
Result<void> settle_namespace(const Write& write, Json& object) {
  std::string_view given = api::namespace_of(object);
  if (!write.kind->namespaced) {
    if (!given.empty()) erase(object, "namespace", "metadata");
    return {};
  }
  if (!given.empty() && given != write.ns)
    return fail(Code::kBadRequest, "the namespace of the provided object does not match the namespace sent on the request");
  set(object, Json(write.ns), "metadata", "namespace");
  return {};
}

Result<void> settle_metadata(Core& core, const Write& write, Json& object) {
  if (!object.is_object()) return fail(Code::kBadRequest, "the body is not an object");
  if (auto ns = settle_namespace(write, object); !ns) return ns;
  if (!str(object, "metadata", "resourceVersion").empty())
    return fail(Code::kInternalError, "resourceVersion should not be set on objects to be created");
  if (api::name_of(object).empty()) {
    std::string base(str(object, "metadata", "generateName"));
    if (base.empty())
      return fail(api::invalid_error(*write.kind, "", {{api::FieldError::Type::kRequired, "metadata.name",
                                                        "Required value: name or generateName is required"}}));
    if (base.size() > kGeneratedBase) base.resize(kGeneratedBase);
    set(object, Json(base + core.loop.random().name_suffix(5)), "metadata", "name");
  }
  for (const char* field : {"resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"})
    erase(object, field, "metadata");
  set(object, Json(core.loop.random().uuid()), "metadata", "uid");
  set(object, Json(rfc3339(core.loop.wall())), "metadata", "creationTimestamp");
  if (write.kind->has_generation) set(object, Json(1), "metadata", "generation");
  else erase(object, "generation", "metadata");
  return {};
}
}  // namespace

awaitable<Result<Written>> Registry::create(Write& write, Json object) {
  bool generated = api::name_of(object).empty();
  for (int attempt = 1, claims = 1;;) {
    auto written = co_await create_once(write, object);
    if (written || written.error().code != Code::kAlreadyExists) {
      if (written || written.error().code != Code::kFailedPrecondition || ++claims > kClaimAttempts) co_return written;
      continue;
    }
    if (!generated || ++attempt > kNameAttempts) co_return written;
  }
}

awaitable<Result<Written>> Registry::create_once(Write& write, Json object) {
  const api::Kind& kind = *write.kind;
  const Strategy& strategy = strategy_of(kind);
  Json wanted = object;
  if (auto consistent = co_await core_.cache.wait_consistent(); !consistent) co_return std::unexpected(consistent.error());
  if (auto settled = settle_metadata(core_, write, object); !settled) co_return std::unexpected(settled.error());
  write.name = api::name_of(object);
  api::apply_defaults(kind, object);
  if (kind.has_status && !strategy.keeps_status_on_create()) object.get_object().erase("status");
  write.claims = {};
  if (auto admitted = co_await admission_.mutate(write, object, nullptr); !admitted)
    co_return std::unexpected(admitted.error());
  if (auto prepared = strategy.prepare_create(core_, write, object); !prepared)
    co_return std::unexpected(prepared.error());
  api::apply_defaults(kind, object);
  if (auto errors = api::validate_create(kind, object); !errors.empty())
    co_return fail(api::invalid_error(kind, write.name, errors));
  if (!write.applied)
    api::track_update(kind, nullptr, object, {write.manager, false, write.subresource, core_.loop.wall()});

  std::string encoded = api::encode_canonical(object);
  Written out;
  out.created = true;
  if (write.dry_run) {
    if (write.cache->get(write.ns, write.name) != nullptr) co_return fail(already_exists(kind, write.name));
    out.bytes = std::make_shared<const std::string>(std::move(encoded));
    co_return out;
  }
  auto outcome = co_await storage_.create(storage_key(kind, write.ns, write.name), encode_stored(kind, object, encoded),
                                          strategy.ttl_seconds(), write.claims);
  if (!outcome) co_return std::unexpected(outcome.error());
  if (outcome->kind == StoreOutcome::Kind::kClaimed) {
    if (auto refused = strategy.claims_refused(write, wanted, outcome->taken)) co_return fail(std::move(*refused));
    co_return fail(Code::kFailedPrecondition, "no free address or port was found in the ranges of services");
  }
  if (outcome->kind != StoreOutcome::Kind::kDone) {
    ObjectPtr there = outcome->current ? make_cached(kind, "", outcome->current->value, 1) : nullptr;
    Error error = already_exists(kind, write.name);
    if (there != nullptr && api::is_deleting(there->tree())) error.message = "object is being deleted: " + error.message;
    co_return fail(std::move(error));
  }
  out.bytes = std::make_shared<const std::string>(api::with_resource_version(encoded, outcome->revision));
  co_return out;
}

}  // namespace rs::server
