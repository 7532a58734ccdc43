// The core of the pod lifecycle: what to do next for one pod, and the status that says how it is. Pure: values and time
// in, actions and status out. The pod worker (pod_worker.h) acts.
//
// Source: Kubernetes "Pod Lifecycle", KEP-753 (sidecars), pkg/kubelet (computePodActions, getPhase, status/generate.go).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace rs::node {

// The back-off of restarts: none for the first, then 10 s doubling to 5 min, forgotten after 10 minutes of running.
inline constexpr Duration kBackoffFirst = std::chrono::seconds(10);
inline constexpr Duration kBackoffMax = std::chrono::minutes(5);
inline constexpr Duration kBackoffForgotten = std::chrono::minutes(10);

enum class ContainerPhase {
  kNone,      // never started, or its start was refused (waiting_reason says why)
  kStarting,  // being created
  kRunning,
  kStopping,  // told to end
  kExited,
};

struct Termination {
  int exit_code = 0;
  std::string reason;   // Completed, Error, OOMKilled, ContainerCannotRun …
  std::string message;
  WallTime started, finished;
  std::string container_id;
};

struct ContainerView {
  ContainerPhase phase = ContainerPhase::kNone;
  int restarts = 0;                      // how often it was started again
  int streak = 0;                        // restarts in a row, for the back-off
  std::string id;
  WallTime started;
  std::optional<Termination> ended;      // with kExited
  std::optional<Termination> previous;   // of the run before
  bool post_start_done = false;
  bool startup_passed = false;           // no startup probe, or it has succeeded
  bool ready = false;                    // no readiness probe, or it says so now
  std::string kill_reason;               // a liveness or startup probe has given it up: event text
  std::string waiting_reason, waiting_message;
  WallTime not_before;                   // with waiting_reason: when to try again
};

struct PodView {
  enum class Sandbox { kNone, kPreparing, kReady } sandbox = Sandbox::kNone;
  WallTime prepare_not_before;           // after a failed preparation
  std::string ip;
  std::map<std::string, ContainerView, std::less<>> containers;
  bool apps_began = false;               // init containers are over with, in this sandbox
  bool stopping = false;                 // deleted, or past its deadline: nothing is started any more
  bool stopped = false;                  // … and nothing runs any more
  std::string failure_reason, failure_message;  // of the pod as a whole (DeadlineExceeded); phase Failed
  WallTime start_time;                   // when the node took it on
};

struct Plan {
  struct Stop {
    std::string container;
    std::string reason;
  };
  bool prepare = false;                  // volumes, namespaces, address
  std::vector<std::string> start;        // containers to start (again)
  std::vector<Stop> stop;                // containers to end, with their grace
  bool fail_deadline = false;            // activeDeadlineSeconds have passed: end the pod
  bool finished = false;                 // all is over and nothing will be started again
  std::optional<WallTime> wake;          // ask again then, if nothing happens before
};

Plan plan_pod(const Json& pod, const PodView& view, WallTime now);

// How long a container waits between its end and its next start.
Duration backoff_before_restart(int streak);
// The streak with which the next start begins.
int streak_after(const ContainerView& view);
bool is_sidecar(const Json& init_container);
// Every container's name with its spec: init containers, then the others.
struct ContainerRef {
  const Json* spec;
  bool init;
};
std::vector<ContainerRef> containers_of(const Json& pod);
const Json* container_spec(const Json& pod, std::string_view name);

struct NodeAddress {
  std::string host_ip;
};
// The whole .status as it should be, built upon the conditions (and qosClass, resize …) that the object has.
Json pod_status(const Json& pod, const PodView& view, const NodeAddress& node, WallTime now);
// BestEffort, Burstable or Guaranteed.
std::string_view qos_class(const Json& pod);

}  // namespace rs::node
