#include "mesh/proxy/backend.h"

#include <sys/socket.h>

#include <cerrno>

namespace rs::mesh {
namespace {

// A connection that the peer has closed, or on which it speaks unasked, is no longer of use.
bool lives(const Upstream& upstream) {
  int fd = upstream.stream->native_handle();
  if (fd < 0) return true;
  char byte;
  ssize_t n = ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

metrics::Labels labels_of(const ServiceKey& service, uint16_t port) {
  return {{"direction", "outbound"},
          {"dst_namespace", service.ns},
          {"dst_service", service.name},
          {"dst_port", std::to_string(port)}};
}

const std::vector<double>& bounds() {
  static const auto kBounds = metrics::latency_bounds(1e3);
  return kBounds;
}

}  // namespace

Backend::Backend(ServiceKey service, uint16_t port, metrics::Registry& registry)
    : service_(std::move(service)),
      name_(fmt::format("{}/{}:{}", service_.ns, service_.name, port)),
      registry_(registry),
      labels_(labels_of(service_, port)),
      request_total_(registry.counter("request_total", "Requests taken by the proxy.", labels_)),
      retry_total_(registry.counter("route_retry_total", "Requests sent again to another endpoint.", labels_)),
      connect_failures_(registry.counter("mesh_connect_failures_total", "Connections to endpoints that failed.", labels_)),
      read_bytes_(registry.counter("tcp_read_bytes_total", "Bytes read from endpoints.", labels_)),
      write_bytes_(registry.counter("tcp_write_bytes_total", "Bytes written to endpoints.", labels_)),
      opened_(registry.counter("tcp_open_total", "Connections opened to endpoints.", labels_)),
      latency_ms_(registry.histogram("response_latency_ms", "From the request to the first byte of its answer.", bounds(), labels_)) {}

void Backend::update(const ServiceViewPtr& view, const PortView& port, MonoTime now) {
  view_ = view;
  port_ = port;
  balancer_.update(port.endpoints, now);
  // Idle connections to what is gone or going are closed now.
  for (auto it = idle_.begin(); it != idle_.end();) {
    const auto& nodes = balancer_.nodes();
    auto node = std::find_if(nodes.begin(), nodes.end(), [&](const auto& n) { return n.get() == it->first; });
    bool keep = node != nodes.end() && (*node)->endpoint.usable();
    it = keep ? std::next(it) : idle_.erase(it);
  }
}

UpstreamPtr Backend::take_idle(const Balancer::Node& node, MonoTime now, const ProxyLimits& limits) {
  auto pool = idle_.find(&node);
  if (pool == idle_.end()) return nullptr;
  while (!pool->second.empty()) {
    auto upstream = std::move(pool->second.back());  // the warmest; the others age and are closed
    pool->second.pop_back();
    if (now - upstream->idle_since < limits.upstream_idle && lives(*upstream)) {
      upstream->reused = true;
      return upstream;
    }
  }
  return nullptr;
}

void Backend::put_idle(const Balancer::NodePtr& node, UpstreamPtr upstream, MonoTime now, const ProxyLimits& limits) {
  if (!node->present || !node->endpoint.usable() || !upstream->in.empty()) return;
  auto& pool = idle_[node.get()];
  if (pool.size() >= limits.upstream_idle_max) return;
  upstream->in.release();
  upstream->idle_since = now;
  pool.push_back(std::move(upstream));
}

void Backend::tick(MonoTime now, Random& random, const ProxyLimits& limits) {
  balancer_.tick(now, random);
  for (auto it = idle_.begin(); it != idle_.end();) {
    auto& pool = it->second;
    std::erase_if(pool, [&](const UpstreamPtr& u) { return now - u->idle_since >= limits.upstream_idle || !lives(*u); });
    it = pool.empty() ? idle_.erase(it) : std::next(it);
  }
}

metrics::Counter& Backend::response_counter(int status, bool success) {
  auto& counter = responses_[{status, success}];
  if (counter == nullptr) {
    auto labels = labels_;
    labels.emplace_back("classification", success ? "success" : "failure");
    labels.emplace_back("status_code", std::to_string(status));
    counter = &registry_.counter("response_total", "Answers given to callers.", std::move(labels));
  }
  return *counter;
}

void Backend::count_response(int status, bool success, Duration latency) {
  if (success) ++successes_;
  response_counter(status, success).add();
  latency_.observe(latency);
  latency_ms_.observe(static_cast<double>(latency.count()) / 1e6);
}

bool Backend::report(PortStats& out, MonoTime now) {
  uint64_t states = 1469598103934665603u;
  for (const auto& node : balancer_.nodes()) {
    bool ejected = node->ejected;
    out.endpoints.push_back({node->endpoint.ip, node->endpoint.port, ejected, node->in_flight, node->ewma.value(now) / 1e6,
                             node->interval_requests});
    states = (states ^ (node->in_flight * 2u + (ejected ? 1u : 0u))) * 1099511628211u;
  }
  if (requests_ == 0 && successes_ == 0 && latency_.total() == 0 && states == reported_states_) return false;
  reported_states_ = states;
  out.service = service_;
  out.port = port_.port;
  out.requests = std::exchange(requests_, 0);
  out.successes = std::exchange(successes_, 0);
  out.retries = std::exchange(retries_, 0);
  out.latency = std::exchange(latency_, {});
  return true;
}

}  // namespace rs::mesh
