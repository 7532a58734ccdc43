#include "mesh/proxy/dial.h"

#include <algorithm>

namespace rs::mesh {

using async::awaitable;

Attempt::Attempt(Worker& worker, BackendPtr backend, Balancer::NodePtr node)
    : worker_(&worker), backend_(std::move(backend)), node_(std::move(node)), started_(worker.loop().now()), open_(true) {
  backend_->balancer().started(*node_, started_);
}

Attempt& Attempt::operator=(Attempt&& other) noexcept {
  finish(Outcome::kUnjudged);
  worker_ = other.worker_;
  backend_ = std::move(other.backend_);
  node_ = std::move(other.node_);
  started_ = other.started_;
  open_ = std::exchange(other.open_, false);
  return *this;
}

void Attempt::finish(Outcome outcome) {
  if (!std::exchange(open_, false)) return;
  auto now = worker_->loop().now();
  backend_->balancer().finished(*node_, outcome, now - started_, now, worker_->loop().random(), worker_->view_is_stale());
}

Refusal no_endpoint(const Worker& worker, Backend& backend) {
  const auto& resolution = backend.port().endpoints;
  auto name = to_string(backend.view()->key);
  if (const auto* set = std::get_if<Set>(&resolution)) {
    return {503, "no-ready-endpoints",
            fmt::format("none of the {} endpoints of service {} is ready ({})", set->endpoints.size(), name, worker.view_age())};
  }
  if (std::holds_alternative<Unknown>(resolution))
    return {503, "endpoints-unknown", fmt::format("the endpoints of service {} are not known ({})", name, worker.view_age())};
  return {503, "no-endpoints", fmt::format("service {} has no endpoints ({})", name, worker.view_age())};
}

namespace {
Balancer::NodePtr pick_by_hostname(Backend& backend, const std::string& hostname) {
  for (const auto& node : backend.balancer().nodes())
    if (node->endpoint.hostname == hostname || node->endpoint.pod_name == hostname) return node;
  return nullptr;
}
}  // namespace

awaitable<Dialled> dial(Worker& worker, BackendPtr backend, std::string hostname, bool reuse,
                        std::vector<Balancer::NodePtr>& tried) {
  Dialled out;
  auto& loop = worker.loop();
  std::string last_failure;
  for (int attempt = 0; attempt < worker.limits().attempts; ++attempt) {
    auto node = hostname.empty() ? backend->balancer().pick(loop.now(), loop.random(), tried)
                                 : pick_by_hostname(*backend, hostname);
    if (node == nullptr) {
      out.refusal = no_endpoint(worker, *backend);
      if (!hostname.empty())
        out.refusal = {503, "no-such-endpoint", fmt::format("service {} has no endpoint \"{}\" ({})", to_string(backend->view()->key),
                                                            hostname, worker.view_age())};
      co_return out;
    }
    if (reuse) {
      if (auto upstream = backend->take_idle(*node, loop.now(), worker.limits())) {
        out.attempt = Attempt(worker, backend, std::move(node));
        out.upstream = std::move(upstream);
        co_return out;
      }
    }
    Attempt use(worker, backend, node);
    auto stream = co_await worker.network().connect({node->endpoint.ip, node->endpoint.port}, worker.limits().connect_timeout);
    // Drained while the connection was made: nothing has been sent, so another takes it.
    bool gone = stream && hostname.empty() && !(node->present && node->endpoint.usable()) && backend->balancer().usable() > 0;
    if (gone) {
      use.finish(Outcome::kUnjudged);
      --attempt;
      if (std::find(tried.begin(), tried.end(), node) != tried.end()) ++attempt;
      else tried.push_back(std::move(node));
      continue;
    }
    if (stream) {
      backend->count_open();
      out.attempt = std::move(use);
      out.upstream = std::make_shared<Upstream>();
      out.upstream->stream = std::move(*stream);
      co_return out;
    }
    use.finish(Outcome::kConnectFailure);
    backend->count_connect_failure();
    last_failure = stream.error().message;
    tried.push_back(std::move(node));
    if (attempt + 1 < worker.limits().attempts) {
      if (!backend->budget().try_withdraw(loop.now())) {
        last_failure += "; the retry budget is used up";
        break;
      }
      backend->count_retry();
    }
  }
  out.refusal = {503, "connect-failed", fmt::format("no endpoint of service {} could be reached: {} ({})",
                                                    to_string(backend->view()->key), last_failure, worker.view_age())};
  co_return out;
}

}  // namespace rs::mesh
