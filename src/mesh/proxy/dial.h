// Choosing an endpoint and connecting to it.
#pragma once

#include "mesh/proxy/worker.h"

namespace rs::mesh {

// One request's (or connection's) use of an endpoint: balanced, counted, and finished exactly once.
class Attempt {
 public:
  Attempt() = default;
  Attempt(Worker& worker, BackendPtr backend, Balancer::NodePtr node);
  Attempt(Attempt&& other) noexcept { *this = std::move(other); }
  Attempt& operator=(Attempt&& other) noexcept;
  ~Attempt() { finish(Outcome::kUnjudged); }

  void sent() { started_ = worker_->loop().now(); }          // the latency counts from here
  void finish(Outcome outcome);
  const Balancer::NodePtr& node() const { return node_; }
  explicit operator bool() const { return node_ != nullptr; }

 private:
  Worker* worker_ = nullptr;
  BackendPtr backend_;
  Balancer::NodePtr node_;
  MonoTime started_{};
  bool open_ = false;
};

struct Dialled {
  Attempt attempt;
  UpstreamPtr upstream;
  Refusal refusal;            // when upstream is null
};

// hostname: only the endpoint of that name. May reuse an idle connection when reuse is given. Connection failures are
// retried on other endpoints within the budget: nothing was sent. tried grows by what failed.
async::awaitable<Dialled> dial(Worker& worker, BackendPtr backend, std::string hostname, bool reuse,
                               std::vector<Balancer::NodePtr>& tried);

// "no endpoints", "none of 3 endpoints is ready", …; for a backend that gives no node.
Refusal no_endpoint(const Worker& worker, Backend& backend);

}  // namespace rs::mesh
