#include "mesh/discovery/discovery.h"

#include <algorithm>
#include <charconv>

namespace rs::mesh {

void Discovery::quarantine(std::string resource, const api::ObjectKey& key, const Error& error, bool has_last_good) {
  Quarantined entry{resource, key, error.message, has_last_good};
  quarantined_.insert_or_assign({std::move(resource), key}, std::move(entry));
}

void Discovery::apply_service(const ServiceKey& key, const Json* object) {
  dirty_.insert(key);
  if (object == nullptr) {
    services_.erase(key);
    undecodable_services_.erase(key);
    release("services", key);
    return;
  }
  revision_ = std::max(revision_, api::resource_version_of(*object));
  auto record = decode_service(*object);
  if (!record) {
    bool known = services_.contains(key);
    if (!known) undecodable_services_.insert(key);
    quarantine("services", key, record.error(), known || restored_.contains(key));
    return;
  }
  undecodable_services_.erase(key);
  release("services", key);
  services_.insert_or_assign(key, std::move(*record));
}

void Discovery::apply_slice(const api::ObjectKey& key, const Json* object) {
  auto old = slices_.find(key);
  if (old != slices_.end()) dirty_.insert(ServiceKey{key.ns, old->second.service});
  if (auto bad = undecodable_slices_.find(key); bad != undecodable_slices_.end()) {
    dirty_.insert(bad->second);
    undecodable_slices_.erase(bad);
  }
  if (object != nullptr) {
    revision_ = std::max(revision_, api::resource_version_of(*object));
    auto record = decode_slice(*object);
    if (!record) {
      ServiceKey service{key.ns, std::string(api::label(*object, "kubernetes.io/service-name"))};
      bool known = old != slices_.end();
      if (!known) undecodable_slices_[key] = service;
      dirty_.insert(service);
      quarantine("endpointslices", key, record.error(), known);
      return;
    }
    ServiceKey service{key.ns, record->service};
    if (old != slices_.end() && old->second.service != record->service)
      slices_of_[ServiceKey{key.ns, old->second.service}].erase(key);
    slices_of_[service].insert(key);
    dirty_.insert(service);
    slices_.insert_or_assign(key, std::move(*record));
  } else if (old != slices_.end()) {
    auto of = slices_of_.find(ServiceKey{key.ns, old->second.service});
    if (of != slices_of_.end()) {
      of->second.erase(key);
      if (of->second.empty()) slices_of_.erase(of);
    }
    slices_.erase(old);
  }
  release("endpointslices", key);
}

void Discovery::apply_pod(const api::ObjectKey& key, const Json* object) {
  auto now = object == nullptr ? std::vector<std::string>() : pod_addresses(*object);
  auto before = pods_.find(key);
  if (before != pods_.end() && before->second == now) return;
  if (before != pods_.end()) {
    for (const auto& ip : before->second) {
      // An address that has passed on to another pod keeps that pod's namespace.
      if (auto known = pod_namespaces_.find(ip); known != pod_namespaces_.end() && known->second == key.ns) {
        pod_namespaces_.erase(known);
        dirty_ips_.insert(ip);
      }
    }
    pods_.erase(before);
  }
  if (now.empty()) return;
  for (const auto& ip : now) {
    pod_namespaces_[ip] = key.ns;
    dirty_ips_.insert(ip);
  }
  pods_[key] = std::move(now);
}

void Discovery::synced(int64_t revision) {
  synced_ = true;
  revision_ = std::max(revision_, revision);
  for (const auto& [key, view] : views_) dirty_.insert(key);
  for (const auto& [key, record] : services_) dirty_.insert(key);
  // What could not be understood now may have been understood before the restart: its restored view stays.
  for (auto it = restored_.begin(); it != restored_.end();) {
    bool quarantined = undecodable_services_.contains(it->first);
    for (const auto& [slice, service] : undecodable_slices_) quarantined = quarantined || service == it->first;
    it = quarantined ? std::next(it) : restored_.erase(it);
  }
}

void Discovery::restore(std::vector<ServiceView> views) {
  for (auto& view : views) {
    view.from_disk = true;
    auto key = view.key;
    revision_ = std::max(revision_, view.revision);
    restored_[key] = std::make_shared<const ServiceView>(std::move(view));
    dirty_.insert(std::move(key));
  }
}

void Discovery::drain(const std::string& pod_uid, const std::vector<std::string>& addresses) {
  if (!pod_uid.empty()) drained_.uids.insert(pod_uid);
  for (const auto& address : addresses) drained_.addresses.insert(address);
  for (const auto& [key, view] : views_) {
    for (const auto& port : view->ports) {
      const auto* set = std::get_if<Set>(&port.endpoints);
      if (set == nullptr) continue;
      for (const auto& endpoint : set->endpoints)
        if (!endpoint.draining && is_drained(endpoint)) dirty_.insert(key);
    }
  }
}

bool Discovery::is_drained(const Endpoint& endpoint) const {
  if (!endpoint.pod_uid.empty()) return drained_.uids.contains(endpoint.pod_uid);
  return drained_.addresses.contains(endpoint.ip) ||
         drained_.addresses.contains(endpoint.ip + ":" + std::to_string(endpoint.port));
}

// A mark is kept while any slice still holds the endpoint; later the address may belong to another pod.
void Discovery::forget_finished_drains() {
  if (drained_.uids.empty() && drained_.addresses.empty()) return;
  Drained still;
  for (const auto& [key, slice] : slices_) {
    for (const auto& endpoint : slice.endpoints) {
      if (!endpoint.pod_uid.empty()) {
        if (drained_.uids.contains(endpoint.pod_uid)) still.uids.insert(endpoint.pod_uid);
        continue;
      }
      for (const auto& address : drained_.addresses)
        if (address == endpoint.ip || address.starts_with(endpoint.ip + ":")) still.addresses.insert(address);
    }
  }
  drained_ = std::move(still);
}

Resolution Discovery::endpoints_of(const ServiceKey& key, const ServiceRecord& service, const PortView& port) const {
  Set set;
  set.revision = service.revision;
  auto of = slices_of_.find(key);
  if (of != slices_of_.end()) {
    for (const auto& slice_key : of->second) {
      const auto& slice = slices_.at(slice_key);
      set.revision = std::max(set.revision, slice.revision);
      const SlicePort* match = nullptr;
      for (const auto& candidate : slice.ports)
        if (candidate.name == port.name && candidate.protocol == port.protocol) match = &candidate;
      if (match == nullptr) continue;
      uint16_t number = match->port.value_or(0);
      if (number == 0) {
        // "All ports" in the slice: the Service's own target says which.
        const auto& target = port.target_port;
        auto [end, error] = std::from_chars(target.data(), target.data() + target.size(), number);
        if (error != std::errc() || end != target.data() + target.size() || number == 0) number = port.port;
      }
      for (Endpoint endpoint : slice.endpoints) {
        endpoint.port = number;
        if (service.publish_not_ready && !endpoint.terminating) endpoint.ready = true;
        endpoint.draining = is_drained(endpoint);
        set.endpoints.push_back(std::move(endpoint));
      }
    }
  }
  // Two slices may both hold an endpoint while it moves between them: a usable entry wins.
  std::sort(set.endpoints.begin(), set.endpoints.end(), [](const Endpoint& a, const Endpoint& b) {
    return std::tuple(std::string_view(a.ip), a.port, !a.usable(), std::string_view(a.pod_uid)) <
           std::tuple(std::string_view(b.ip), b.port, !b.usable(), std::string_view(b.pod_uid));
  });
  auto same = [](const Endpoint& a, const Endpoint& b) { return a.ip == b.ip && a.port == b.port; };
  set.endpoints.erase(std::unique(set.endpoints.begin(), set.endpoints.end(), same), set.endpoints.end());
  if (!set.endpoints.empty()) return set;
  // "None" counts only from a source that has told everything and was understood.
  if (!synced_) return Unknown{};
  for (const auto& [slice, owner] : undecodable_slices_)
    if (owner == key) return Unknown{};
  return Empty{set.revision};
}

ServiceViewPtr Discovery::build(const ServiceKey& key) const {
  auto restored = restored_.find(key);
  if (!synced_ && restored != restored_.end()) return restored->second;
  auto record = services_.find(key);
  if (record == services_.end()) {
    if (restored != restored_.end()) return restored->second;
    if (!undecodable_services_.contains(key)) return nullptr;
    ServiceView unknown;
    unknown.key = key;
    unknown.ports.push_back({.endpoints = Unknown{}});
    return std::make_shared<const ServiceView>(std::move(unknown));
  }
  if (!synced_) return nullptr;
  const auto& service = record->second;
  ServiceView view;
  view.key = key;
  view.headless = service.headless;
  view.external_name = service.external_name;
  view.cluster_ips = service.cluster_ips;
  view.ports = service.ports;
  view.revision = service.revision;
  for (auto& port : view.ports) {
    port.endpoints = endpoints_of(key, service, port);
    view.revision = std::max(view.revision, revision_of(port.endpoints));
  }
  bool understood = true;
  for (const auto& [slice, owner] : undecodable_slices_) understood = understood && owner != key;
  if (!understood && restored != restored_.end() && !std::holds_alternative<Set>(view.summary()))
    return restored->second;
  return std::make_shared<const ServiceView>(std::move(view));
}

Discovery::Changes Discovery::take_changes() {
  Changes changes;
  forget_finished_drains();
  for (const auto& key : dirty_) {
    auto now = build(key);
    auto before = views_.find(key);
    if (now == nullptr) {
      if (before == views_.end()) continue;
      views_.erase(before);
    } else {
      if (before != views_.end() && *before->second == *now) continue;
      views_[key] = now;
    }
    changes.services.emplace_back(key, std::move(now));
  }
  dirty_.clear();
  for (const auto& ip : dirty_ips_) {
    auto known = pod_namespaces_.find(ip);
    changes.pod_namespaces.emplace_back(ip, known == pod_namespaces_.end() ? std::string() : known->second);
  }
  dirty_ips_.clear();
  return changes;
}

}  // namespace rs::mesh
