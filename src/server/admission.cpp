#include "server/admission.h"

#include "api/meta.h"
#include "server/escalation.h"

namespace rs::server {
using namespace std::chrono_literals;
namespace {
constexpr int kDefaultAccountAttempts = 10;
constexpr const char* kTokenMountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
constexpr const char* kRootCaConfigMap = "kube-root-ca.crt";

bool is_pod(const Write& write) { return write.kind->group.empty() && write.kind->plural == "pods"; }

// Nothing is created in a namespace that is not there or is going away (plugin NamespaceLifecycle).
Result<void> namespace_lifecycle(Core& core, const Write& write) {
  if (!write.kind->namespaced) return {};
  auto namespaces = core.resource("", "namespaces");
  if (namespaces == nullptr) return {};
  ObjectPtr ns = namespaces->get("", write.ns);
  if (ns == nullptr) return fail(not_found(namespaces->kind(), write.ns));
  Json tree = ns->tree();
  if (!api::is_deleting(tree) && str(tree, "status", "phase") != "Terminating") return {};
  Error error = forbidden(*write.kind, write.name,
                          fmt::format("unable to create new content in namespace {} because it is being terminated", write.ns));
  auto details = std::make_shared<ErrorDetails>(*error.details);
  details->causes.push_back({"NamespaceTerminating", fmt::format("namespace {} is being terminated", write.ns),
                             "metadata.namespace"});
  error.details = std::move(details);
  return fail(std::move(error));
}

// Plugin Priority.
Result<void> priority(Core& core, const Write& write, Json& pod) {
  if (find(pod, "spec", "priority") != nullptr && str(pod, "spec", "priorityClassName").empty()) return {};
  std::string name(str(pod, "spec", "priorityClassName"));
  int64_t value = 0;
  std::string preemption = "PreemptLowerPriority";
  if (name == "system-cluster-critical") value = 2'000'000'000;
  else if (name == "system-node-critical") value = 2'000'001'000;
  else if (!name.empty()) {
    ObjectPtr found = core.find("scheduling.k8s.io", "priorityclasses", "", name);
    if (found == nullptr)
      return fail(forbidden(*write.kind, write.name, fmt::format("no PriorityClass with name {} was found", name)));
    Json tree = found->tree();
    value = integer(tree, "value");
    if (auto policy = str(tree, "preemptionPolicy"); !policy.empty()) preemption = policy;
  }
  set(pod, Json(value), "spec", "priority");
  if (str(pod, "spec", "preemptionPolicy").empty()) set(pod, Json(preemption), "spec", "preemptionPolicy");
  return {};
}

// Plugin DefaultTolerationSeconds.
void default_tolerations(Json& pod) {
  for (const char* key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    bool tolerated = false;
    for (const Json& toleration : array(pod, "spec", "tolerations")) {
      std::string_view effect = str(toleration, "effect"), its_key = str(toleration, "key");
      tolerated |= (its_key == key || its_key.empty()) && (effect == "NoExecute" || effect.empty());
    }
    if (tolerated) continue;
    Json& list = ensure(pod, "spec", "tolerations");
    if (!list.is_array()) list.emplace_array();
    list.get_array().push_back(
        JsonObject{{"key", key}, {"operator", "Exists"}, {"effect", "NoExecute"}, {"tolerationSeconds", 300}});
  }
}

Json token_volume(const std::string& name) {
  JsonArray sources;
  sources.push_back(JsonObject{{"serviceAccountToken", JsonObject{{"expirationSeconds", 3607}, {"path", "token"}}}});
  sources.push_back(JsonObject{
      {"configMap", JsonObject{{"name", kRootCaConfigMap},
                               {"items", JsonArray{JsonObject{{"key", "ca.crt"}, {"path", "ca.crt"}}}}}}});
  JsonObject field{{"apiVersion", "v1"}, {"fieldPath", "metadata.namespace"}};
  sources.push_back(JsonObject{
      {"downwardAPI", JsonObject{{"items", JsonArray{JsonObject{{"path", "namespace"}, {"fieldRef", field}}}}}}});
  return JsonObject{{"name", name}, {"projected", JsonObject{{"sources", std::move(sources)}, {"defaultMode", 420}}}};
}

bool mounts(const Json& container, std::string_view path) {
  for (const Json& mount : array(container, "volumeMounts"))
    if (str(mount, "mountPath") == path) return true;
  return false;
}

// Gives every container that has nothing at the path the token volume.
void mount_token(Core& core, Json& pod) {
  std::string volume;
  for (const Json& existing : array(pod, "spec", "volumes"))
    if (str(existing, "name").starts_with("kube-api-access-")) volume = str(existing, "name");
  bool exists = !volume.empty(), used = false;
  if (!exists) volume = "kube-api-access-" + core.loop.random().name_suffix(5);
  for (const char* list : {"initContainers", "containers"}) {
    Json* containers = find(pod, "spec", list);
    if (containers == nullptr || !containers->is_array()) continue;
    for (Json& container : containers->get_array()) {
      if (mounts(container, kTokenMountPath)) continue;
      Json& target = ensure(container, "volumeMounts");
      if (!target.is_array()) target.emplace_array();
      target.get_array().push_back(JsonObject{{"name", volume}, {"readOnly", true}, {"mountPath", kTokenMountPath}});
      used = true;
    }
  }
  if (!used || exists) return;
  Json& volumes = ensure(pod, "spec", "volumes");
  if (!volumes.is_array()) volumes.emplace_array();
  volumes.get_array().push_back(token_volume(volume));
}

// Plugin ServiceAccount. The account of a new namespace is made by a controller: wait for it a moment, as upstream.
awaitable<Result<void>> service_account(Core& core, const Write& write, Json& pod) {
  auto accounts = core.resource("", "serviceaccounts");
  bool mirror = !api::annotation(pod, "kubernetes.io/config.mirror").empty();
  if (accounts == nullptr || mirror || !core.options.service_account_admission) co_return Result<void>();
  std::string name(str(pod, "spec", "serviceAccountName"));
  if (name.empty()) name = str(pod, "spec", "serviceAccount");
  if (name.empty()) name = "default";
  set(pod, Json(name), "spec", "serviceAccountName");
  set(pod, Json(name), "spec", "serviceAccount");
  ObjectPtr account = accounts->get(write.ns, name);
  for (int attempt = 0; account == nullptr && name == "default" && attempt < kDefaultAccountAttempts; ++attempt) {
    co_await core.loop.sleep(100ms);
    account = accounts->get(write.ns, name);
  }
  if (account == nullptr)
    co_return fail(forbidden(*write.kind, write.name,
                             fmt::format("error looking up service account {}/{}: serviceaccount \"{}\" not found",
                                         write.ns, name, name)));
  Json tree = account->tree();
  if (array(pod, "spec", "imagePullSecrets").empty() && !array(tree, "imagePullSecrets").empty()) {
    Json secrets = array(tree, "imagePullSecrets");
    set(pod, std::move(secrets), "spec", "imagePullSecrets");
  }
  const Json* automount = find(pod, "spec", "automountServiceAccountToken");
  if (automount == nullptr) automount = find(tree, "automountServiceAccountToken");
  bool wanted = automount == nullptr || *automount != Json(false);
  // Without a signing key or the root certificate the volume could never be mounted.
  bool possible = !core.options.service_account_key.empty() && core.find("", "configmaps", write.ns, kRootCaConfigMap) != nullptr;
  if (wanted && possible) mount_token(core, pod);
  co_return Result<void>();
}
}  // namespace

awaitable<Result<void>> Admission::mutate(Write& write, Json& object, const Json* old) {
  if (auto held = check_escalation(core_, authorizer_, write, object, old); !held) co_return held;
  if (old != nullptr) co_return Result<void>();
  if (auto alive = namespace_lifecycle(core_, write); !alive) co_return alive;
  if (!is_pod(write)) co_return Result<void>();
  if (auto account = co_await service_account(core_, write, object); !account) co_return account;
  if (auto ranked = priority(core_, write, object); !ranked) co_return ranked;
  default_tolerations(object);
  co_return Result<void>();
}

}  // namespace rs::server
