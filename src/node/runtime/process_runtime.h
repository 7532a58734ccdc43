// ProcessRuntime: containers as processes of this machine, each beside a shim (runtime/shim) that outlives us.
//
// As root: its own mount, pid, uts, ipc and network namespaces and cgroups, the machine's files read-only. Unprivileged:
// plain processes on the host network, and no mounts: volumes are then only found through ROADSTEAD_VOLUMES.
// State: DATA_DIR/pods/UID/{pod.json, sandbox, containers/NAME/ATTEMPT/{config, started, exit}, containers/NAME/ATTEMPT.log}.
#pragma once

#include <map>
#include <set>

#include "async/task_group.h"
#include "node/network/pod_network.h"
#include "node/runtime/runtime.h"
#include "node/runtime/spawn.h"

namespace rs::node {

struct ProcessRuntimeOptions {
  std::string data_dir;
  std::string node_name;
  std::string node_ip;
  bool isolate = true;            // wanted; used only when we are root
  int64_t log_bytes = 10 << 20;
  int log_files = 5;
};

class ProcessRuntime final : public Runtime {
 public:
  // network null: pods share the machine's network.
  ProcessRuntime(async::Loop& loop, PodNetwork* network, ProcessRuntimeOptions options);
  ~ProcessRuntime() override;
  awaitable<void> stop();          // leaves every container running

  void on_exit(ExitHandler handler) override { on_exit_ = std::move(handler); }
  void on_sandbox_lost(std::function<void(const std::string&)> handler) override { on_sandbox_lost_ = std::move(handler); }
  Result<std::vector<RecoveredPod>> recover() override;
  awaitable<Result<SandboxInfo>> start_sandbox(SandboxSpec spec) override;
  awaitable<Result<ContainerInfo>> start(ContainerSpec spec) override;
  void stop(const std::string& uid, const std::string& name, Stop how) override;
  void close_stdin(const std::string& uid, const std::string& name) override;
  awaitable<void> stop_sandbox(std::string uid) override;
  awaitable<void> remove_pod(std::string uid) override;
  awaitable<Result<std::unique_ptr<client::ExecSession>>> exec(std::string uid, client::ExecOptions options) override;
  awaitable<Result<std::unique_ptr<client::ExecSession>>> attach(std::string uid, client::ExecOptions options) override;
  std::string log_path(const std::string& uid, const std::string& name, int attempt) const override;
  std::string pod_dir(const std::string& uid) const override;
  std::optional<Usage> usage(const std::string& uid, const std::string& name) const override;
  std::string describe() const override;
  bool isolates_files() const override { return isolate_; }

 private:
  struct Container {
    ContainerInfo info;
    std::shared_ptr<Process> shim;
  };
  struct Sandbox {
    SandboxInfo info;
    std::shared_ptr<Process> keeper;   // null without namespaces of its own
    bool ending = false;
  };
  using Key = std::pair<std::string, std::string>;  // uid, container name

  std::string container_dir(const std::string& uid, const std::string& name, int attempt) const;
  std::string cgroup_path(const std::string& uid, const std::string& name, int attempt) const;
  std::string shim_config(const ContainerSpec& spec, const std::string& dir, const std::vector<std::string>& cgroups) const;
  Result<pid_t> spawn_shim(const std::string& label, const std::string& config, int config_fd, int report_fd,
                           std::vector<std::pair<int, int>> streams = {}) const;
  ContainerExit read_exit(const std::string& uid, const std::string& name, int attempt) const;
  std::optional<ContainerInfo> recover_container(const std::string& uid, const std::string& name, int attempt);
  void recover_containers(RecoveredPod& pod);
  void watch(const Key& key);
  awaitable<void> wait_for_exit(Key key, int attempt, std::shared_ptr<Process> shim);
  awaitable<void> wait_for_keeper(std::string uid, std::shared_ptr<Process> keeper);
  awaitable<Result<SandboxInfo>> start_keeper(SandboxSpec spec);
  void forget_old_attempts(const std::string& uid, const std::string& name, int attempt);

  async::Loop& loop_;
  PodNetwork* network_;
  ProcessRuntimeOptions options_;
  bool isolate_;
  Cgroups cgroups_;
  ExitHandler on_exit_;
  std::function<void(const std::string&)> on_sandbox_lost_;
  std::map<Key, Container> containers_;
  std::map<std::string, Sandbox> sandboxes_;
  async::TaskGroup tasks_;
};

}  // namespace rs::node
