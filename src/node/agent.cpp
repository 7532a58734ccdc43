#include "node/agent.h"

#include "base/log.h"
#include "node/pod_worker.h"

namespace rs::node {
namespace {

constexpr Duration kLeaseRenewal = std::chrono::seconds(10);
constexpr Duration kNodeReport = std::chrono::minutes(5);

client::ListOptions pods_of(const std::string& node) {
  client::ListOptions options;
  options.field_selector = "spec.nodeName=" + node;
  return options;
}

}  // namespace

Agent::Agent(async::Loop& loop, client::Client& client, net::Network& network, AgentOptions options, client::DrainGate* drain)
    : loop_(loop), client_(client), net_(network), options_(std::move(options)), drain_(drain),
      network_(loop, {.data_dir = options_.data_dir,
                      .node_ip = options_.node_ip.empty() ? first_address() : options_.node_ip,
                      .pod_cidr = options_.pod_cidr,
                      .service_cidr = options_.service_cidr}),
      events_(client, "kubelet", options_.node_name), references_(client), tasks_(loop) {
  if (options_.node_ip.empty()) options_.node_ip = first_address();
}

Agent::~Agent() = default;

void Agent::set_drain_gate(client::DrainGate* drain) { drain_ = drain; }
std::string Agent::describe() const { return runtime_ ? runtime_->describe() : "not started"; }
const std::string& Agent::node_cidr() const {
  static const std::string none;
  return network_ready_ ? network_.node_cidr() : none;
}
const std::string& Agent::bridge() const {
  static const std::string none;
  return network_ready_ ? network_.bridge() : none;
}

awaitable<Result<void>> Agent::start() {
  if (auto made = make_directories(options_.data_dir); !made) co_return made;
  bool root = ::geteuid() == 0;
  if (root && options_.isolate && options_.own_network) {
    auto opened = network_.open();
    network_ready_ = opened.has_value();
    if (!opened) log::warning("node", "pods use the host network", {{"why", opened.error().message}});
  }
  runtime_ = std::make_unique<ProcessRuntime>(
      loop_, network_ready_ ? &network_ : nullptr,
      ProcessRuntimeOptions{options_.data_dir, options_.node_name, options_.node_ip, options_.isolate});
  log::info("node", runtime_->describe(), {{"node", options_.node_name}});
  facts_ = {inspect_machine(options_.data_dir), options_.node_name, options_.zone, options_.node_ip, node_cidr(),
            "roadstead://" ROADSTEAD_VERSION};
  runtime_->on_exit([this](const ContainerInfo& info) { on_exit(info); });
  runtime_->on_sandbox_lost([this](const std::string& uid) { on_sandbox_lost(uid); });
  auto found = runtime_->recover();
  if (!found) co_return fail(found.error());
  for (RecoveredPod& pod : *found) recovered_.emplace(pod.uid, std::move(pod));
  references_.on_change([this](const std::set<std::string>& uids) {
    for (const std::string& uid : uids)
      if (auto it = workers_.find(uid); it != workers_.end()) it->second->references_changed();
  });
  events_.start();
  services_ = std::make_unique<client::Informer>(client_, client::resources::kServices);
  services_->start();
  pods_ = std::make_unique<client::Informer>(client_, client::resources::kPods, pods_of(options_.node_name));
  pods_->on_change([this](const auto& key, const auto& before, const auto& now) { on_pod(key, before, now); });
  pods_->start();
  tasks_.spawn("node", keep_registered());
  tasks_.spawn("orphans", remove_orphans());
  co_return Result<void>();
}

awaitable<void> Agent::stop() {
  co_await tasks_.stop();
  if (pods_) co_await pods_->stop();
  for (auto& [uid, worker] : workers_) co_await worker->stop();
  if (services_) co_await services_->stop();
  co_await references_.stop();
  co_await events_.stop();
  if (runtime_) co_await runtime_->stop();
}

// ---- pods ----------------------------------------------------------------------------------------------------------

void Agent::on_pod(const api::ObjectKey&, const client::ObjectPtr& before, const client::ObjectPtr& now) {
  if (before && (!now || api::uid_of(*before) != api::uid_of(*now)))
    if (auto it = workers_.find(std::string(api::uid_of(*before))); it != workers_.end()) it->second->removed();
  if (!now || tasks_.cancelled()) return;
  if (auto it = workers_.find(std::string(api::uid_of(*now))); it != workers_.end())
    it->second->update(now);
  else
    add_worker(now);
}

void Agent::add_worker(const client::ObjectPtr& pod) {
  std::string uid(api::uid_of(*pod));
  std::optional<RecoveredPod> recovered;
  if (auto it = recovered_.find(uid); it != recovered_.end()) {
    recovered = std::move(it->second);
    recovered_.erase(it);
  }
  auto worker = std::make_unique<PodWorker>(*this, pod, std::move(recovered));
  tasks_.spawn("pod", worker->run());
  workers_[uid] = std::move(worker);
}

void Agent::worker_ended(const std::string& uid) {
  // Called from the worker's own coroutine: it must have returned before the worker goes.
  loop_.post([this, uid] { workers_.erase(uid); });
}

void Agent::on_exit(const ContainerInfo& info) {
  if (auto it = workers_.find(info.uid); it != workers_.end()) {
    it->second->container_exited(info);
  } else if (auto found = recovered_.find(info.uid); found != recovered_.end()) {
    for (ContainerInfo& c : found->second.containers)
      if (c.id == info.id) c = info;
  }
}

void Agent::on_sandbox_lost(const std::string& uid) {
  if (auto it = workers_.find(uid); it != workers_.end())
    it->second->sandbox_lost();
  else if (auto found = recovered_.find(uid); found != recovered_.end())
    found->second.sandbox.reset();
}

// Pods on disk whose object is gone: only once the API has said so, never because it is away.
awaitable<void> Agent::remove_orphans() {
  for (;;) {
    auto synced = co_await pods_->wait_synced(std::chrono::minutes(1));
    if (synced) break;
  }
  while (!recovered_.empty()) {
    std::string uid = recovered_.begin()->first;
    log::info("node", "removing a pod that no longer exists",
              {{"pod", recovered_.begin()->second.ns + "/" + recovered_.begin()->second.name}});
    recovered_.erase(recovered_.begin());
    co_await runtime_->remove_pod(uid);
  }
}

Variables Agent::service_variables(std::string_view ns, bool links) const {
  std::vector<const Json*> seen;
  std::vector<client::ObjectPtr> kept;
  auto kubernetes = services_->get("default", "kubernetes");
  if (kubernetes) kept.push_back(kubernetes);
  if (links)
    for (const client::ObjectPtr& service : services_->in_namespace(ns))
      if (service != kubernetes) kept.push_back(service);
  for (const client::ObjectPtr& service : kept) seen.push_back(service.get());
  Variables variables = service_environment(seen);
  if (!options_.api_host.empty()) {
    std::string port = std::to_string(options_.api_port);
    Variables api{{"KUBERNETES_SERVICE_HOST", options_.api_host}, {"KUBERNETES_SERVICE_PORT", port},
                  {"KUBERNETES_SERVICE_PORT_HTTPS", port}, {"KUBERNETES_PORT", fmt::format("tcp://{}:{}", options_.api_host, port)}};
    for (Variable& v : api) {
      std::erase_if(variables, [&](const Variable& have) { return have.first == v.first; });
      variables.push_back(std::move(v));
    }
  }
  return variables;
}

std::vector<ContainerUsage> Agent::usage() const {
  std::vector<ContainerUsage> all;
  for (const auto& [uid, worker] : workers_)
    for (const ContainerRef& ref : containers_of(worker->pod())) {
      std::string name(str(*ref.spec, "name"));
      if (auto usage = runtime_->usage(uid, name))
        all.push_back({std::string(api::namespace_of(worker->pod())), std::string(api::name_of(worker->pod())), name, *usage});
    }
  return all;
}

// ---- the Node object -----------------------------------------------------------------------------------------------

awaitable<void> Agent::keep_registered() {
  for (;;) {
    auto registered = co_await register_node();
    if (registered) break;
    log::warning("node", "registration failed, trying again", {{"why", registered.error().message}});
    co_await loop_.sleep(std::chrono::seconds(1));
  }
  for (MonoTime reported = loop_.now();;) {
    auto renewed = co_await renew_lease();
    if (!renewed) log::warning("node", "lease not renewed", {{"why", renewed.error().message}});
    co_await loop_.sleep(renewed ? kLeaseRenewal : Duration(std::chrono::seconds(1)));
    if (loop_.now() - reported < kNodeReport) continue;
    reported = loop_.now();
    auto updated = co_await update_node();
    if (!updated) log::warning("node", "status not updated", {{"why", updated.error().message}});
  }
}

awaitable<Result<void>> Agent::register_node() {
  auto created = co_await client_.create(client::resources::kNodes, node_object(facts_, loop_.wall()));
  if (!created && created.error().code != Code::kAlreadyExists) co_return fail(created.error());
  if (created) events_.record(*created, "Normal", "Starting", "Starting kubelet.");
  co_return co_await update_node();
}

awaitable<Result<void>> Agent::update_node() {
  auto node = co_await client_.get(client::resources::kNodes, {"", options_.node_name});
  if (!node) co_return fail(node.error());
  node_uid_ = api::uid_of(*node);
  Json wanted = *node;
  bool was_ready = api::condition_is_true(wanted, "Ready");
  refresh_node(wanted, facts_, loop_.wall());
  if (rs::object(wanted, "metadata", "labels") != rs::object(*node, "metadata", "labels") ||
      rs::object(wanted, "spec") != rs::object(*node, "spec")) {
    Json status = wanted.at("status");
    auto updated = co_await client_.update(client::resources::kNodes, wanted);
    if (!updated) co_return fail(updated.error());
    wanted = std::move(*updated);
    set(wanted, std::move(status), "status");
  }
  auto updated = co_await client_.update(client::resources::kNodes, std::move(wanted), "status");
  if (!updated) co_return fail(updated.error());
  if (!was_ready) events_.record(*updated, "Normal", "NodeReady", fmt::format("Node {} status is now: NodeReady", options_.node_name));
  co_return Result<void>();
}

awaitable<Result<void>> Agent::renew_lease() {
  static constexpr std::string_view kNamespace = "kube-node-lease";
  auto lease = co_await client_.get(client::resources::kLeases, {std::string(kNamespace), options_.node_name});
  if (!lease && lease.error().code != Code::kNotFound) co_return fail(lease.error());
  bool fresh = !lease;
  Json object = fresh ? Json(JsonObject{{"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"},
                                        {"metadata", JsonObject{{"name", options_.node_name}, {"namespace", kNamespace}}}})
                      : std::move(*lease);
  if (fresh && !node_uid_.empty())
    set(object, JsonArray{JsonObject{{"apiVersion", "v1"}, {"kind", "Node"}, {"name", options_.node_name}, {"uid", node_uid_}}},
        "metadata", "ownerReferences");
  set(object, Json(options_.node_name), "spec", "holderIdentity");
  set(object, 40, "spec", "leaseDurationSeconds");
  set(object, Json(rfc3339_micro(loop_.wall())), "spec", "renewTime");
  auto written = fresh ? co_await client_.create(client::resources::kLeases, std::move(object))
                       : co_await client_.update(client::resources::kLeases, std::move(object));
  if (!written) co_return fail(written.error());
  co_return Result<void>();
}

}  // namespace rs::node
