// Before the first container: the pod's files, namespaces and address; and keeping the files current afterwards.
#include <filesystem>

#include "base/log.h"
#include "node/container_spec.h"
#include "node/pod_worker.h"

namespace rs::node {
namespace {

constexpr Duration kServicesWait = std::chrono::seconds(10);
constexpr Duration kTokenRetry = std::chrono::seconds(10);
constexpr Duration kPrepareRetryMax = std::chrono::minutes(2);

}  // namespace

PodFacts PodWorker::facts() const {
  const NodeFacts& node = agent_.facts_;
  return {view_.ip, agent_.options_.node_ip, agent_.options_.node_name, node.machine.cpus * 1000, node.machine.memory_bytes};
}

awaitable<void> PodWorker::prepare() {
  auto prepared = co_await prepare_all();
  if (view_.stopping) co_return;
  if (prepared) {
    prepare_failures_ = 0;
    view_.sandbox = PodView::Sandbox::kReady;
    tasks_.spawn("files", keep_files_fresh());
  } else {
    Duration delay = std::min<Duration>(std::chrono::milliseconds(500) * (1 << std::min(prepare_failures_++, 8)), kPrepareRetryMax);
    view_.sandbox = PodView::Sandbox::kNone;
    view_.prepare_not_before = loop_.wall() + delay;
    bool mount = prepared.error().message.starts_with("MountVolume");
    event("Warning", mount ? "FailedMount" : "FailedCreatePodSandBox", prepared.error().message);
  }
  changed();
}

awaitable<Result<void>> PodWorker::prepare_all() {
  if (!agent_.services_->freshness().synced) {
    auto synced = co_await agent_.services_->wait_synced(kServicesWait);
    if (!synced) co_return fail_at("services have not yet been read at least once, cannot construct envvars", synced.error());
  }
  SandboxSpec spec{uid_, ns_, name_, hostname_of(*pod_), boolean(*pod_, "spec", "hostNetwork")};
  if (auto held = co_await agent_.references_.hold(uid_, ns_, references_of(*pod_)); !held)
    co_return fail(held.error().code, "MountVolume.SetUp failed : {}", held.error().message);
  auto sandbox = co_await agent_.runtime_->start_sandbox(spec);
  if (!sandbox) co_return fail(sandbox.error());
  view_.ip = sandbox->ip;
  if (auto fetched = co_await fetch_tokens(); !fetched)
    co_return fail(fetched.error().code, "MountVolume.SetUp failed for volume \"kube-api-access\" : {}", fetched.error().message);
  if (auto refreshed = co_await refresh_files(); !refreshed) co_return refreshed;
  co_return write_etc();
}

awaitable<Result<void>> PodWorker::refresh_files() {
  VolumeInput input{*pod_, facts(), agent_.references_.config_maps(ns_), agent_.references_.secrets(ns_),
                    [this](const TokenRequest& request) {
                      auto it = tokens_.find(request);
                      return it == tokens_.end() ? std::string() : it->second.first;
                    }};
  co_return make_volumes(agent_.runtime_->pod_dir(uid_) + "/volumes", input, agent_.runtime_->isolates_files());
}

// Tokens live an hour or as long as asked; the next is fetched when 80 % of that has passed (as the kubelet).
awaitable<Result<void>> PodWorker::fetch_tokens() {
  std::string account(str(*pod_, "spec", "serviceAccountName"));
  if (account.empty()) account = "default";
  for (const TokenRequest& request : tokens_of(*pod_)) {
    auto known = tokens_.find(request);
    if (known != tokens_.end() && loop_.wall() < known->second.second) continue;
    Json spec = JsonObject{{"expirationSeconds", request.expiration_seconds},
                           {"boundObjectRef", JsonObject{{"kind", "Pod"}, {"apiVersion", "v1"}, {"name", name_}, {"uid", uid_}}}};
    if (!request.audience.empty()) set(spec, JsonArray{request.audience}, "audiences");
    Json body = JsonObject{{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "TokenRequest"}, {"spec", std::move(spec)}};
    auto answer = co_await agent_.client_.post(client::resources::kServiceAccounts, {ns_, account}, "token", std::move(body));
    if (!answer) co_return fail_at("failed to fetch token", answer.error());
    auto lifetime = std::chrono::seconds(std::max<int64_t>(request.expiration_seconds, 600));
    tokens_[request] = {std::string(str(*answer, "status", "token")), loop_.wall() + lifetime * 4 / 5};
  }
  co_return Result<void>();
}

awaitable<Result<void>> PodWorker::refresh_all() {
  // An adopted pod has its references still to be looked up.
  auto held = co_await agent_.references_.hold(uid_, ns_, references_of(*pod_));
  auto fetched = held ? co_await fetch_tokens() : held;
  auto refreshed = fetched ? co_await refresh_files() : fetched;
  if (!refreshed) log::warning("node", "volumes not refreshed", {{"pod", ns_ + "/" + name_}, {"why", refreshed.error().message}});
  co_return refreshed;
}

// After a ConfigMap or Secret has changed.
awaitable<void> PodWorker::refresh_once() {
  if (view_.stopping || view_.sandbox != PodView::Sandbox::kReady) co_return;
  auto refreshed = co_await refresh_all();
  (void)refreshed;  // said in the log; the next change or start tries again
}

// Once now, then again as long as there are tokens to renew.
awaitable<void> PodWorker::keep_files_fresh() {
  while (!view_.stopping && view_.sandbox == PodView::Sandbox::kReady) {
    auto refreshed = co_await refresh_all();
    if (refreshed && tokens_.empty()) co_return;
    Duration next = refreshed ? Duration(std::chrono::hours(24)) : kTokenRetry;
    for (const auto& [request, token] : tokens_) next = std::min(next, std::max<Duration>(token.second - loop_.wall(), kTokenRetry));
    co_await loop_.sleep(next);
  }
}

Result<void> PodWorker::write_etc() {
  std::string directory = agent_.runtime_->pod_dir(uid_) + "/etc";
  if (auto made = make_directories(directory, 0755); !made) return made;
  auto machine = read_file("/etc/resolv.conf");
  DnsSettings dns{agent_.options_.cluster_dns, agent_.options_.cluster_domain, machine ? *machine : ""};
  bool host = boolean(*pod_, "spec", "hostNetwork");
  auto host_file = host ? read_file("/etc/hosts") : Result<std::string>(hosts_file(*pod_, view_.ip, dns.cluster_domain));
  std::string hostname = host ? agent_.facts_.machine.hostname : hostname_of(*pod_);
  if (auto w = write_file(directory + "/resolv.conf", resolv_conf(*pod_, dns), 0644); !w) return w;
  if (auto w = write_file(directory + "/hosts", host_file ? *host_file : "127.0.0.1\tlocalhost\n", 0644); !w) return w;
  return write_file(directory + "/hostname", hostname + "\n", 0644);
}

}  // namespace rs::node
