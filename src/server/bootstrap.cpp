// What a cluster starts with (reference section A15).
#include "server/impl.h"

#include "api/meta.h"
#include "base/log.h"
#include "server/bootstrap_roles.h"
#include "server/strategies/service_ips.h"

namespace rs::server {
namespace {
const UserInfo kSelf{.name = "system:apiserver", .uid = {}, .groups = {kMasters, kAuthenticated}, .extra = {}};

// Creates the object unless one of its name is there; kinds that are not served are passed over.
awaitable<Result<void>> ensure_object(Core& core, Registry& registry, Json object) {
  std::string api_version(str(object, "apiVersion"));
  size_t slash = api_version.find('/');
  std::string group = slash == std::string::npos ? "" : api_version.substr(0, slash);
  std::string version = slash == std::string::npos ? api_version : api_version.substr(slash + 1);
  const api::Kind* kind = core.kinds.by_kind(group, version, str(object, "kind"));
  auto cache = kind == nullptr ? nullptr : core.cache.of(*kind);
  if (cache == nullptr || cache->get(api::namespace_of(object), api::name_of(object)) != nullptr) co_return Result<void>();
  Write write;
  write.kind = kind;
  write.cache = cache;
  write.ns = api::namespace_of(object);
  write.user = kSelf;
  write.manager = "roadstead";
  std::string name(api::name_of(object));
  auto created = co_await registry.create(write, std::move(object));
  if (!created && created.error().code != Code::kAlreadyExists)
    co_return fail_at(fmt::format("making {} {} at start", kind->kind, name), created.error());
  co_return Result<void>();
}

Json named(std::string_view api_version, std::string_view kind, std::string_view ns, std::string_view name) {
  Json object = JsonObject{{"apiVersion", api_version}, {"kind", kind}};
  set(object, Json(name), "metadata", "name");
  if (!ns.empty()) set(object, Json(ns), "metadata", "namespace");
  return object;
}

Json kubernetes_service(const std::string& ip, uint16_t port) {
  Json service = named("v1", "Service", "default", "kubernetes");
  set(service, Json("apiserver"), "metadata", "labels", "component");
  set(service, Json("kubernetes"), "metadata", "labels", "provider");
  JsonObject https{{"name", "https"}, {"port", 443}, {"protocol", "TCP"}, {"targetPort", port}};
  set(service, JsonArray{std::move(https)}, "spec", "ports");
  set(service, Json(ip), "spec", "clusterIP");
  return service;
}

Json kubernetes_endpoints(const ApiServerOptions& options) {
  Json endpoints = named("v1", "Endpoints", "default", "kubernetes");
  set(endpoints, Json("true"), "metadata", "labels", "endpointslice.kubernetes.io/skip-mirror");
  JsonObject subset;
  subset["addresses"] = JsonArray{JsonObject{{"ip", options.advertise_address}}};
  subset["ports"] = JsonArray{JsonObject{{"name", "https"}, {"port", options.advertise_port}, {"protocol", "TCP"}}};
  set(endpoints, JsonArray{std::move(subset)}, "subsets");
  return endpoints;
}

Json kubernetes_slice(const ApiServerOptions& options) {
  Json slice = named("discovery.k8s.io/v1", "EndpointSlice", "default", "kubernetes");
  set(slice, Json("kubernetes"), "metadata", "labels", "kubernetes.io/service-name");
  set(slice, Json("IPv4"), "addressType");
  JsonObject endpoint{{"addresses", JsonArray{Json(options.advertise_address)}},
                      {"conditions", JsonObject{{"ready", true}}}};
  set(slice, JsonArray{std::move(endpoint)}, "endpoints");
  set(slice, JsonArray{JsonObject{{"name", "https"}, {"port", options.advertise_port}, {"protocol", "TCP"}}}, "ports");
  return slice;
}

// The address or port may have changed since the last start: the objects follow.
awaitable<Result<void>> ensure_current(Core& core, Registry& registry, Json wanted, std::vector<std::string> fields) {
  std::string_view group = str(wanted, "kind") == "EndpointSlice" ? "discovery.k8s.io" : "";
  std::string_view plural = group.empty() ? "endpoints" : "endpointslices";
  auto cache = core.resource(group, plural);
  if (cache == nullptr || cache->get("default", "kubernetes") == nullptr)
    co_return co_await ensure_object(core, registry, std::move(wanted));
  Write write;
  write.kind = &cache->kind();
  write.cache = cache;
  write.ns = "default";
  write.name = "kubernetes";
  write.user = kSelf;
  write.manager = "roadstead";
  auto updated = co_await registry.update(write, [&](const Json* live) -> Result<Json> {
    Json object = live == nullptr ? wanted : *live;
    for (const std::string& field : fields)
      if (const Json* value = find(static_cast<const Json&>(wanted), std::string_view(field)))
        set(object, *value, std::string_view(field));
    return object;
  }, {});
  if (!updated) co_return fail_at("the endpoints of default/kubernetes", updated.error());
  co_return Result<void>();
}

// Claims without a Service are dropped, Services without their claims get them (a crash leaves neither, other writers may).
awaitable<Result<void>> repair_claims(Core& core) {
  auto services = core.resource("", "services");
  if (services == nullptr) co_return Result<void>();
  std::map<std::string, std::string> wanted;
  for (const auto& [key, object] : services->objects()) {
    for (auto& [claim, owner] : service_claims(object->tree())) {
      auto [at, added] = wanted.emplace(claim, owner);
      if (!added)
        log::warning("server", "two services have the same address or port",
                     {{"claim", claim}, {"first", at->second}, {"second", owner}});
    }
  }
  store::RangeRequest request;
  request.key = kClaimsPrefix;
  request.range_end = store::prefix_end(kClaimsPrefix);
  auto there = co_await core.store.range(std::move(request));
  if (!there) co_return fail_at("reading the allocations of services", there.error());
  for (const auto& kv : there->kvs) {
    auto at = wanted.find(kv.key);
    if (at != wanted.end() && at->second == kv.value) {
      wanted.erase(at);
      continue;
    }
    if (at != wanted.end()) continue;
    auto dropped = co_await core.store.delete_range({.key = kv.key, .range_end = {}});
    if (!dropped) co_return fail_at("repairing the allocations of services", dropped.error());
  }
  for (auto& [key, owner] : wanted) {
    store::PutRequest put;
    put.key = key;
    put.value = owner;
    auto done = co_await core.store.put(std::move(put));
    if (!done) co_return fail_at("repairing the allocations of services", done.error());
  }
  co_return Result<void>();
}
}  // namespace

awaitable<Result<void>> ensure_cluster(Core& core, Registry& registry) {
  if (auto repaired = co_await repair_claims(core); !repaired) co_return repaired;
  for (const char* name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    auto ensured = co_await ensure_object(core, registry, named("v1", "Namespace", "", name));
    if (!ensured) co_return ensured;
  }
  for (Json& object : bootstrap_rbac()) {
    auto ensured = co_await ensure_object(core, registry, std::move(object));
    if (!ensured) co_return ensured;
  }
  auto ip = first_service_ip(core.options.service_cidr);
  if (!ip) co_return std::unexpected(ip.error());
  auto service = co_await ensure_object(core, registry, kubernetes_service(*ip, core.options.advertise_port));
  if (!service) co_return service;
  auto endpoints = co_await ensure_current(core, registry, kubernetes_endpoints(core.options), {"subsets"});
  if (!endpoints) co_return endpoints;
  co_return co_await ensure_current(core, registry, kubernetes_slice(core.options), {"endpoints", "ports"});
}

}  // namespace rs::server
