// PodWorker: the life of one pod on this node. One coroutine asks the core (pod_core.h) what to do next and starts it;
// each act is a task of its own, so that a slow one (a hook, a probe, the API) holds up no other.
//
// Ends when the pod's object is gone and nothing of it is left. stop() ends it earlier and leaves the processes running.
#pragma once

#include "node/agent.h"
#include "node/pod_core.h"
#include "node/probes.h"
#include "node/volumes.h"

namespace rs::node {

class PodWorker {
 public:
  PodWorker(Agent& agent, client::ObjectPtr pod, std::optional<RecoveredPod> recovered);
  ~PodWorker();
  awaitable<void> run();
  awaitable<void> stop();

  void update(client::ObjectPtr pod);          // the object has changed
  void removed();                              // the object is gone
  void container_exited(const ContainerInfo& info);
  void sandbox_lost();
  void references_changed();

  const std::string& uid() const { return uid_; }
  const Json& pod() const { return *pod_; }
  const PodView& view() const { return view_; }

 private:
  using Stop = Plan::Stop;
  void adopt(const RecoveredPod& recovered);
  void adopt_container(const ContainerInfo& info);
  void adopt_lost(const Json& status);
  void forget_for_new_sandbox();
  bool ended() const { return object_gone_ && view_.stopped; }
  bool anything_up() const;
  void act(const Plan& plan);
  void changed();                              // ask the core again, write the status
  awaitable<void> wait_for_change(std::optional<WallTime> wake);

  awaitable<void> prepare();
  awaitable<Result<void>> prepare_all();
  awaitable<Result<void>> refresh_files();
  awaitable<Result<void>> fetch_tokens();
  Result<void> write_etc();
  awaitable<void> keep_files_fresh();
  awaitable<void> refresh_once();
  awaitable<Result<void>> refresh_all();
  PodFacts facts() const;

  awaitable<void> start_container(std::string name);
  awaitable<Result<ContainerSpec>> build_spec(std::string name, const Json& spec);
  void refuse(const std::string& name, std::string reason, std::string message, Duration again);
  void began(const std::string& name, const ContainerInfo& info);
  awaitable<void> post_start(std::string name, int restarts);
  Termination termination_of(const ContainerInfo& info) const;

  awaitable<void> stop_container(std::string name, std::string reason, bool with_hook);
  awaitable<void> wait_for_exit(std::string name, bool bounded);
  awaitable<Result<void>> exited(std::string name);
  awaitable<void> terminate();
  void begin_termination();
  awaitable<void> tear_down();
  awaitable<void> delete_object();
  Duration grace() const;

  void start_probes(const std::string& name);
  void probe_after_startup(const std::string& name, const Json& spec);
  void stop_probes(const std::string& name);
  static awaitable<void> end_group(std::shared_ptr<async::TaskGroup> group);
  awaitable<void> probe_startup(std::string name, int restarts, Json probe);
  awaitable<void> probe_liveness(std::string name, int restarts, Json probe);
  awaitable<void> probe_readiness(std::string name, int restarts, Json probe);
  awaitable<Result<void>> probe_once(std::string name, const Json& probe, std::string_view kind, bool quiet);
  bool still(const std::string& name, int restarts) const;

  awaitable<void> write_statuses();
  awaitable<Result<void>> write_status(Json status);
  ActionTools tools() const;
  ActionTarget target(const std::string& name) const;
  void event(std::string_view type, std::string_view reason, std::string message, std::string_view container = {});

  Agent& agent_;
  async::Loop& loop_;
  client::ObjectPtr pod_;
  std::string uid_, ns_, name_;
  PodView view_;
  bool object_gone_ = false, torn_down_ = false, delete_started_ = false, dirty_ = true, status_dirty_ = true;
  bool terminal_ = false;                       // was over before we came: only to be deleted
  int prepare_failures_ = 0;
  WallTime stop_deadline_;                      // of a deletion; may be moved nearer
  std::map<std::string, int> start_failures_;   // refused starts in a row
  std::map<TokenRequest, std::pair<std::string, WallTime>> tokens_;   // token, when to fetch the next
  Json last_status_;
  async::Event changed_, status_changed_, exited_;
  std::map<std::string, std::shared_ptr<async::TaskGroup>> probes_;
  async::TaskGroup tasks_;
};

}  // namespace rs::node
