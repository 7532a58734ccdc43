// Runtime: what runs containers. ProcessRuntime (process_runtime.h) runs them as processes of the machine.
//
// Pods are named by uid, containers by pod uid, name and attempt (0, 1, 2 … one for each start). All calls on one loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "client/node_api.h"
#include "node/runtime/cgroup.h"

namespace rs::node {

template <class T>
using awaitable = async::awaitable<T>;

struct Mount {
  std::string source;      // a path of the machine
  std::string target;      // a path in the container
  std::string sub_path;    // inside source; must stay inside
  bool read_only = false;
  bool devices = false;    // device files work in it (hostPath of privileged containers)
};

struct SandboxSpec {
  std::string uid, ns, name, hostname;
  bool host_network = false;
};
struct SandboxInfo {
  std::string ip;          // of the pod; the machine's own for host network
  bool own_network = false;
};

struct ContainerSpec {
  std::string uid, name;   // pod uid, container name
  int attempt = 0;
  int streak = 0;          // kept for who adopts it
  std::vector<std::string> args;
  std::vector<std::string> env;   // "K=V"
  std::string working_dir;
  std::optional<int64_t> user, group;
  std::vector<int64_t> groups;
  std::vector<Mount> mounts;
  bool privileged = false, no_new_privileges = false, read_only_root = false, tty = false, with_stdin = false;
  std::optional<uint64_t> capabilities;  // bit set of those to keep
  bool host_network = false;
  int oom_score_adj = 0;
  Limits limits;
};

struct ContainerExit {
  int code = 0;            // 128 + signal for a killed one
  bool out_of_memory = false;
  bool start_failed = false;
  std::string message;     // why it could not be started, or what is known when its shim has vanished
  WallTime at;
};
struct ContainerInfo {
  std::string uid, name, id;
  int attempt = 0, streak = 0;
  WallTime started;
  std::optional<ContainerExit> exit;
};

// A pod found on disk at start.
struct RecoveredPod {
  std::string uid, ns, name;
  std::optional<SandboxInfo> sandbox;           // alive
  std::vector<ContainerInfo> containers;        // newest attempt of each
  std::vector<ContainerInfo> previous;          // the attempt before, where its end is known
};

class Runtime {
 public:
  virtual ~Runtime() = default;
  // Told once for each container that ends, also for adopted ones.
  using ExitHandler = std::function<void(const ContainerInfo& info)>;
  virtual void on_exit(ExitHandler handler) = 0;
  // Told when the keeper of a pod's namespaces has died: the pod must be made anew.
  virtual void on_sandbox_lost(std::function<void(const std::string& uid)> handler) = 0;

  virtual Result<std::vector<RecoveredPod>> recover() = 0;
  virtual awaitable<Result<SandboxInfo>> start_sandbox(SandboxSpec spec) = 0;
  // A container whose program cannot be started is an exit with start_failed, not an error.
  virtual awaitable<Result<ContainerInfo>> start(ContainerSpec spec) = 0;
  enum class Stop { kTerminate, kKill };
  virtual void stop(const std::string& uid, const std::string& name, Stop how) = 0;
  virtual void close_stdin(const std::string& uid, const std::string& name) = 0;
  // Ends the namespaces, gives the address back. The containers have ended.
  virtual awaitable<void> stop_sandbox(std::string uid) = 0;
  // Everything of the pod, on disk too.
  virtual awaitable<void> remove_pod(std::string uid) = 0;

  virtual awaitable<Result<std::unique_ptr<client::ExecSession>>> exec(std::string uid, client::ExecOptions options) = 0;
  // The running program's own streams: what it writes from now on (or wrote in the last two seconds), and its input.
  virtual awaitable<Result<std::unique_ptr<client::ExecSession>>> attach(std::string uid, client::ExecOptions options) = 0;
  virtual std::string log_path(const std::string& uid, const std::string& name, int attempt) const = 0;
  virtual std::string pod_dir(const std::string& uid) const = 0;
  virtual std::optional<Usage> usage(const std::string& uid, const std::string& name) const = 0;
  virtual std::string describe() const = 0;   // for people: what isolation there is, and what not
  virtual bool isolates_files() const = 0;    // volumes appear at their mountPath
};

}  // namespace rs::node
