// Agent: the node of a cluster. Registers the Node, keeps its lease, runs the pods bound to it, answers for them.
//
// start() first makes sure that nothing for the pod and service ranges can leave the machine. stop() leaves the pods
// running: the next start adopts them (the shims are not ours alone, runtime/README.md). One loop.
#pragma once

#include <map>
#include <memory>

#include "client/client.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/node_api.h"
#include "node/machine.h"
#include "node/network/pod_network.h"
#include "node/references.h"
#include "node/runtime/process_runtime.h"

namespace rs::node {

struct AgentOptions {
  std::string node_name;
  std::string zone;
  std::string data_dir;                         // DATA_DIR/node: pods, network, logs
  std::string node_ip;                          // empty: the machine's first address
  std::string pod_cidr = "10.42.0.0/16";        // of the cluster; the node takes a /24 of it
  std::string service_cidr = "10.43.0.0/16";
  std::string cluster_dns = "10.43.0.10";       // empty: pods use the machine's resolver
  std::string cluster_domain = "cluster.local";
  std::string api_host;                         // KUBERNETES_SERVICE_HOST; empty: that of the Service "kubernetes"
  uint16_t api_port = 443;
  bool isolate = true;                          // false: plain processes on the host network even as root
  bool own_network = true;                      // false: pods share the machine's network
  Duration drain_limit = std::chrono::seconds(2);
};

struct ContainerUsage {
  std::string ns, pod, container;
  Usage usage;
};

class PodWorker;

class Agent final : public client::NodeApi {
 public:
  // drain: null where there is no mesh. Everything given must outlive the agent.
  Agent(async::Loop& loop, client::Client& client, net::Network& network, AgentOptions options,
        client::DrainGate* drain = nullptr);
  ~Agent() override;

  // Prepares the machine, adopts what runs, and begins. Fails when the data directory cannot be used. Whether the API
  // answers does not matter: registration goes on trying, and pods are left alone until their objects are known.
  awaitable<Result<void>> start();
  awaitable<void> stop();

  awaitable<Result<std::unique_ptr<client::LogStream>>> logs(client::LogOptions options) override;
  awaitable<Result<std::unique_ptr<client::ExecSession>>> exec(client::ExecOptions options) override;
  awaitable<Result<std::unique_ptr<net::Stream>>> port_forward(std::string ns, std::string pod, uint16_t port) override;

  void set_drain_gate(client::DrainGate* drain);
  std::string describe() const;                 // what isolation pods have here, for people
  const std::string& node_ip() const { return options_.node_ip; }
  const std::string& node_cidr() const;         // the pods' addresses; empty on the host network
  const std::string& bridge() const;            // their bridge; empty on the host network
  bool own_network() const { return network_ready_; }
  std::vector<ContainerUsage> usage() const;
  size_t pods() const { return workers_.size(); }
  const client::Informer& pod_informer() const { return *pods_; }

 private:
  friend class PodWorker;
  void on_pod(const api::ObjectKey& key, const client::ObjectPtr& before, const client::ObjectPtr& now);
  void add_worker(const client::ObjectPtr& pod);
  void on_exit(const ContainerInfo& info);
  void on_sandbox_lost(const std::string& uid);
  void worker_ended(const std::string& uid);
  awaitable<void> follow_pods();
  awaitable<void> keep_registered();
  awaitable<Result<void>> register_node();
  awaitable<Result<void>> renew_lease();
  awaitable<Result<void>> update_node();
  awaitable<void> remove_orphans();
  awaitable<void> remove_orphan(std::string uid);
  PodWorker* find_worker(std::string_view ns, std::string_view pod) const;
  Variables service_variables(std::string_view ns, bool links) const;

  async::Loop& loop_;
  client::Client& client_;
  net::Network& net_;
  AgentOptions options_;
  client::DrainGate* drain_;
  NodeFacts facts_;
  PodNetwork network_;
  bool network_ready_ = false;
  std::unique_ptr<ProcessRuntime> runtime_;
  client::EventRecorder events_;
  ReferenceCache references_;
  std::unique_ptr<client::Informer> pods_, services_;
  std::map<std::string, RecoveredPod> recovered_;               // not yet claimed by a pod object
  std::map<std::string, std::unique_ptr<PodWorker>> workers_;   // by uid
  std::string node_uid_;
  async::TaskGroup tasks_;
};

}  // namespace rs::node
