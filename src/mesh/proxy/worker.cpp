#include "mesh/proxy/worker.h"

#include "base/log.h"
#include "mesh/proxy/detect.h"
#include "mesh/proxy/original_destination.h"

namespace rs::mesh {

using async::awaitable;

Worker::Worker(async::Loop& loop, net::Network& network, ProxyLimits limits, metrics::Registry& registry, size_t index)
    : loop_(loop),
      network_(network),
      limits_(limits),
      registry_(registry),
      index_(index),
      wheel_(loop),
      tasks_(loop),
      accepts_(loop) {}

Worker::~Worker() = default;

void Worker::start() {
  tasks_.spawn("deadlines", wheel_.run());
  tasks_.spawn("tick", tick());
}

void Worker::serve(std::unique_ptr<net::Listener> listener, Port port) {
  accepts_.spawn("accept", accept(std::move(listener), port));
}

awaitable<void> Worker::stop(Duration grace) {
  stopping_ = true;
  co_await accepts_.stop();
  auto until = loop_.now() + grace;
  while (connections_ > 0 && loop_.now() < until) co_await loop_.sleep(std::chrono::milliseconds(5));
  co_await tasks_.stop();
  services_.clear();
  pods_direct_.clear();
}

awaitable<void> Worker::accept(std::unique_ptr<net::Listener> listener, Port port) {
  for (;;) {
    auto stream = co_await listener->accept();
    if (!stream) {
      // Out of descriptors: the backlog holds callers until some connection has ended.
      if (stream.error().code == Code::kResourceExhausted) {
        co_await loop_.sleep(std::chrono::milliseconds(20));
        continue;
      }
      log::warning("mesh", "no longer accepting", {{"reason", stream.error().message}});
      co_return;
    }
    if (connections_ >= limits_.connections) continue;  // closed at once
    tasks_.spawn("client", client(std::move(*stream), port));
  }
}

awaitable<void> Worker::client(std::unique_ptr<net::Stream> owned, Port port) {
  struct Count {
    size_t& value;
    explicit Count(size_t& v) : value(v) { ++value; }
    ~Count() { --value; }
  } count(connections_);
  std::shared_ptr<net::Stream> stream = std::move(owned);
  Buffer in;
  if (port == Port::kProxy) {
    co_await serve_http(*this, stream, std::move(in), nullptr);
    co_return;
  }
  auto destination = original_destination(*stream);
  if (!destination || *destination == stream->local()) co_return;  // not redirected: nothing says where it should go
  auto found = route_address(*destination);
  if (found.backend == nullptr) {
    count_refusal(found.refusal.reason);
    co_return;
  }
  bool http = false;
  if (may_be_http(*found.backend)) {
    auto protocol = co_await detect(*this, *stream, in);
    if (protocol == Protocol::kClosed) co_return;
    if (protocol == Protocol::kSilent) found.backend->server_speaks_first = true;
    http = protocol == Protocol::kHttp1;
  }
  if (http) co_await serve_http(*this, stream, std::move(in), found.backend);
  else co_await serve_opaque(*this, stream, std::move(in), found.backend);
}

awaitable<void> Worker::tick() {
  for (;;) {
    co_await loop_.sleep(std::chrono::seconds(1));
    for (auto& [key, service] : services_)
      for (auto& [port, backend] : service.backends) backend->tick(loop_.now(), loop_.random(), limits_);
    for (auto& [address, backend] : pods_direct_) backend->tick(loop_.now(), loop_.random(), limits_);
  }
}

void Worker::apply(const Update& update) {
  freshness_ = update.freshness;
  for (const auto& [ip, ns] : update.changes.pod_namespaces) {
    if (ns.empty()) pod_namespaces_.erase(ip);
    else pod_namespaces_[ip] = ns;
    if (ns.empty()) std::erase_if(pods_direct_, [&](const auto& entry) { return entry.first.first == ip; });
  }
  for (const auto& [key, view] : update.changes.services) {
    auto known = services_.find(key);
    if (known != services_.end()) {
      for (const auto& ip : known->second.view->cluster_ips)
        if (auto owner = cluster_ips_.find(ip); owner != cluster_ips_.end() && owner->second == key) cluster_ips_.erase(owner);
    }
    if (view == nullptr) {
      if (known != services_.end()) services_.erase(known);
      continue;
    }
    auto& service = services_[key];
    service.view = view;
    for (const auto& ip : view->cluster_ips) cluster_ips_[ip] = key;
    std::erase_if(service.backends, [&](const auto& entry) {
      const PortView* port = nullptr;
      for (const auto& candidate : view->ports)
        if (candidate.port == entry.first && candidate.protocol == "TCP") port = &candidate;
      if (port != nullptr) entry.second->update(view, *port, loop_.now());
      return port == nullptr;
    });
  }
}

std::optional<WorkerStats> Worker::take_stats() {
  WorkerStats stats{.worker = index_};
  stats.connections = connections_;
  for (auto& [key, service] : services_) {
    for (auto& [port, backend] : service.backends) {
      PortStats out;
      if (backend->report(out, loop_.now())) stats.ports.push_back(std::move(out));
    }
  }
  if (stats.ports.empty()) return std::nullopt;
  return stats;
}

BackendPtr Worker::backend(Service& service, const PortView& port) {
  auto& slot = service.backends[port.port];
  if (slot == nullptr) {
    slot = std::make_shared<Backend>(service.view->key, port.port, registry_);
    slot->update(service.view, port, loop_.now());
  }
  return slot;
}

std::string Worker::view_age() const {
  if (!freshness_.synced)
    return freshness_.from_disk ? "view from disk, not yet confirmed by the API" : "no view received from the API yet";
  return fmt::format("view {}, revision {}, {:.1f} s old", to_string(freshness_.currency()), freshness_.revision,
                     std::chrono::duration<double>(freshness_.age).count());
}

Refusal Worker::unknown_service(const ServiceKey& key) const {
  if (!freshness_.synced)
    return {503, "view-unknown", fmt::format("whether service {} exists is not known: {}", to_string(key), view_age())};
  return {404, "unknown-service", fmt::format("there is no service \"{}\" in namespace \"{}\" ({})", key.name, key.ns, view_age())};
}

Route Worker::route_service(const ServiceKey& key, std::optional<uint16_t> port, int depth) {
  auto found = services_.find(key);
  if (found == services_.end()) return {.refusal = unknown_service(key)};
  auto& service = found->second;
  const auto& view = *service.view;
  if (!view.external_name.empty()) {
    auto target = parse_name(view.external_name, key.ns);
    if (target && !target->service.name.empty() && depth < 4 && view.external_name.ends_with(kClusterDomain))
      return route_service(target->service, port, depth + 1);
    return {.refusal = {502, "external-name", fmt::format("service {} stands for {}, which is outside the cluster; nothing leaves it from here",
                                                          to_string(key), view.external_name)}};
  }
  const auto* chosen = choose_port(view, port);
  if (chosen == nullptr) {
    std::string ports;
    for (const auto& candidate : view.ports) ports += fmt::format("{}{}", ports.empty() ? "" : ", ", candidate.port);
    if (ports.empty() || std::holds_alternative<Unknown>(view.summary()))
      return {.refusal = {503, "service-unknown", fmt::format("service {} is known but not understood, or has no ports ({})", to_string(key), view_age())}};
    return {.refusal = {404, "unknown-port",
                        port ? fmt::format("service {} has no TCP port {}; it has {}", to_string(key), *port, ports)
                             : fmt::format("service {} has several ports: name one of {}", to_string(key), ports)}};
  }
  return {.backend = backend(service, *chosen)};
}

Route Worker::route_ip(const std::string& ip, std::optional<uint16_t> port) {
  if (auto service = cluster_ips_.find(ip); service != cluster_ips_.end()) return route_service(service->second, port, 0);
  auto pod = pod_namespaces_.find(ip);
  if (pod == pod_namespaces_.end())
    return {.refusal = {502, "unknown-address", fmt::format("{} is no cluster IP and no pod's address ({})", ip, view_age())}};
  // Straight to one pod: a service of a single endpoint.
  constexpr size_t kDirectMax = 1000;
  if (pods_direct_.size() >= kDirectMax) pods_direct_.clear();
  auto& direct = pods_direct_[{ip, port.value_or(80)}];
  if (direct == nullptr) {
    ServiceView view{.key = {pod->second, "(pods)"}};
    view.ports.push_back({.port = port.value_or(80), .endpoints = Set{0, {Endpoint{.ip = ip, .port = port.value_or(80)}}}});
    auto shared = std::make_shared<const ServiceView>(view);
    direct = std::make_shared<Backend>(view.key, 0, registry_);
    direct->update(shared, view.ports[0], loop_.now());
  }
  return {.backend = direct};
}

Route Worker::route(std::string_view authority, const net::Address& client) {
  auto ns = pod_namespaces_.find(client.host);
  auto name = parse_name(authority, ns == pod_namespaces_.end() ? std::string_view("default") : std::string_view(ns->second));
  if (!name) {
    bool invalid = name.error().code == Code::kInvalid;
    return {.refusal = {invalid ? 400 : 404, invalid ? std::string_view("invalid-name") : std::string_view("unknown-name"),
                        fmt::format("\"{}\": {}", authority.substr(0, 100), name.error().message)}};
  }
  if (!name->ip.empty()) return route_ip(name->ip, name->port);
  auto route = route_service(name->service, name->port, 0);
  route.hostname = std::move(name->hostname);
  return route;
}

Route Worker::route_address(const net::Address& destination) { return route_ip(destination.host, destination.port); }

void Worker::count_refusal(std::string_view reason) {
  registry_.counter("mesh_refused_total", "Requests the proxy answered itself.", {{"reason", std::string(reason)}}).add();
}

}  // namespace rs::mesh
