#include "control/controllers/endpoint_slices_plan.h"

#include <algorithm>

namespace rs::control {
namespace {

Json endpoint_of(const Json& service, const Json& pod, std::string_view address, const std::string& zone) {
  bool serving = is_ready(pod), terminating = api::is_deleting(pod);
  bool ready = boolean(service, "spec", "publishNotReadyAddresses") || (serving && !terminating);
  JsonObject endpoint{
      {"addresses", JsonArray{Json(address)}},
      {"conditions", JsonObject{{"ready", ready}, {"serving", serving}, {"terminating", terminating}}},
      {"targetRef", target_reference(pod)},
  };
  if (auto node = str(pod, "spec", "nodeName"); !node.empty()) endpoint["nodeName"] = node;
  if (!zone.empty()) endpoint["zone"] = zone;
  if (auto hostname = hostname_for(service, pod); !hostname.empty()) endpoint["hostname"] = hostname;
  return endpoint;
}

std::string group_id(std::string_view address_type, const JsonArray& ports) {
  // Order does not matter, and null, missing and "" are the same.
  std::vector<std::string> texts;
  for (const Json& port : ports)
    texts.push_back(fmt::format("{}/{}/{}/{}", str(port, "name"), integer(port, "port"), str(port, "protocol"),
                                str(port, "appProtocol")));
  std::sort(texts.begin(), texts.end());
  return fmt::format("{} {}", address_type, fmt::join(texts, " "));
}

std::string identity_of(const Json& endpoint) {
  std::string_view uid = str(endpoint, "targetRef", "uid");
  if (!uid.empty()) return std::string(uid);
  const JsonArray& addresses = array(endpoint, "addresses");
  return addresses.empty() ? std::string() : std::string(str(addresses.front()));
}

// Labels of the service, and those that say whose the slice is.
JsonObject labels_for(const Json& owner, std::string_view service, std::string_view manager) {
  JsonObject labels;
  for (const auto& label : object(owner, "metadata", "labels")) labels[label.key()] = label.value();
  labels[std::string(kServiceName)] = service;
  labels[std::string(kManagedBy)] = manager;
  if (is_headless(owner))
    labels[std::string(kHeadless)] = "";
  else
    labels.erase(std::string(kHeadless));
  return labels;
}

// One slice being worked on.
struct Slice {
  Json object;
  ObjectPtr before;
  bool changed = false;
  JsonArray& endpoints() {
    Json& list = ensure(object, "endpoints");
    if (!list.is_array()) list = JsonArray();
    return list.as_array();
  }
};

void keep_known(Slice& slice, std::map<std::string, Json>& wanted) {
  JsonArray kept;
  for (const Json& endpoint : slice.endpoints()) {
    auto found = wanted.find(identity_of(endpoint));
    if (found == wanted.end()) {
      slice.changed = true;
      continue;
    }
    if (api::semantically_equal(endpoint, found->second)) {
      kept.push_back(endpoint);
    } else {
      kept.push_back(std::move(found->second));
      slice.changed = true;
    }
    wanted.erase(found);
  }
  slice.endpoints() = std::move(kept);
}

// Puts what is left where there is room: first into slices that are written anyway, then into others.
void place(std::vector<Slice>& slices, std::map<std::string, Json>& wanted) {
  for (bool only_changed : {true, false})
    for (Slice& slice : slices) {
      if (only_changed && !slice.changed) continue;
      while (!wanted.empty() && slice.endpoints().size() < kEndpointsPerSlice) {
        slice.endpoints().push_back(std::move(wanted.begin()->second));
        wanted.erase(wanted.begin());
        slice.changed = true;
      }
    }
}

Json new_slice(const Json& owner, std::string_view service, std::string_view manager, const EndpointGroup& group) {
  Json slice = JsonObject{{"apiVersion", "discovery.k8s.io/v1"}, {"kind", "EndpointSlice"}};
  set(slice, Json(std::string(service) + "-"), "metadata", "generateName");
  set(slice, Json(api::namespace_of(owner)), "metadata", "namespace");
  set(slice, labels_for(owner, service, manager), "metadata", "labels");
  set(slice, JsonArray{api::owner_reference_to(owner)}, "metadata", "ownerReferences");
  set(slice, Json(group.address_type), "addressType");
  set(slice, JsonArray(), "endpoints");
  set(slice, group.ports, "ports");
  return slice;
}

}  // namespace

std::vector<EndpointGroup> group_endpoints(const Json& service, const std::vector<ObjectPtr>& pods,
                                           const std::function<std::string(std::string_view node)>& zone_of) {
  std::map<std::string, EndpointGroup> groups;
  for (const std::string& family : families_of(service)) {
    bool any = false;
    for (const ObjectPtr& pod : pods) {
      std::string_view address = address_of(*pod, family);
      if (address.empty() || !is_backend(*pod, true)) continue;
      JsonArray ports = ports_for(service, *pod);
      EndpointGroup& group = groups[group_id(family, ports)];
      group.address_type = family;
      group.ports = std::move(ports);
      group.endpoints.emplace(api::uid_of(*pod), endpoint_of(service, *pod, address, zone_of(str(*pod, "spec", "nodeName"))));
      any = true;
    }
    // A service without endpoints keeps one slice that says so: it is empty, not unknown.
    if (!any) groups[group_id(family, {})].address_type = family;
  }
  std::vector<EndpointGroup> out;
  for (auto& [id, group] : groups) out.push_back(std::move(group));
  return out;
}

SliceWrites plan_slices(const Json& owner, std::string_view manager, const std::vector<EndpointGroup>& groups,
                        const std::vector<ObjectPtr>& existing, std::string_view trigger_time) {
  std::string service(api::name_of(owner));
  std::map<std::string, std::vector<Slice>> by_group;
  for (const ObjectPtr& slice : existing)
    if (!api::is_deleting(*slice))
      by_group[group_id(str(*slice, "addressType"), array(*slice, "ports"))].push_back({*slice, slice});
  JsonObject labels = labels_for(owner, service, manager);

  SliceWrites writes;
  auto write = [&](Json object, bool is_new) {
    if (!trigger_time.empty()) set(object, Json(trigger_time), "metadata", "annotations", kTriggerTime);
    (is_new ? writes.create : writes.update).push_back(std::move(object));
  };
  for (const EndpointGroup& group : groups) {
    auto node = by_group.extract(group_id(group.address_type, group.ports));
    std::vector<Slice> slices = node.empty() ? std::vector<Slice>() : std::move(node.mapped());
    auto wanted = group.endpoints;
    for (Slice& slice : slices) {
      keep_known(slice, wanted);
      if (object(slice.object, "metadata", "labels") == labels) continue;
      set(slice.object, labels, "metadata", "labels");
      slice.changed = true;
    }
    place(slices, wanted);
    bool needs_one = group.endpoints.empty();
    for (Slice& slice : slices) {
      if (slice.endpoints().empty() && !std::exchange(needs_one, false))
        writes.remove.push_back(slice.before);
      else if (slice.changed)
        write(std::move(slice.object), false);
    }
    while (!wanted.empty() || needs_one) {
      needs_one = false;
      std::vector<Slice> fresh{{new_slice(owner, service, manager, group), nullptr, true}};
      place(fresh, wanted);
      write(std::move(fresh.front().object), true);
    }
  }
  for (auto& [id, slices] : by_group)
    for (Slice& slice : slices) writes.remove.push_back(slice.before);
  return writes;
}

SliceWrites plan_endpoint_slices(const Json& service, const std::vector<ObjectPtr>& pods,
                                 const std::vector<ObjectPtr>& existing,
                                 const std::function<std::string(std::string_view node)>& zone_of,
                                 std::string_view trigger_time) {
  return plan_slices(service, kSliceController, group_endpoints(service, pods, zone_of), existing, trigger_time);
}

SliceWrites plan_mirrored_slices(const Json& endpoints, const Json& service, const std::vector<ObjectPtr>& existing,
                                 std::string_view trigger_time) {
  std::map<std::string, EndpointGroup> groups;
  for (const Json& subset : array(endpoints, "subsets")) {
    for (bool ready : {true, false}) {
      for (const Json& address : array(subset, ready ? "addresses" : "notReadyAddresses")) {
        std::string_view ip = str(address, "ip");
        if (ip.empty()) continue;
        std::string_view family = ip.contains(':') ? "IPv6" : "IPv4";
        EndpointGroup& group = groups[group_id(family, array(subset, "ports"))];
        group.address_type = family;
        group.ports = array(subset, "ports");
        JsonObject endpoint{{"addresses", JsonArray{Json(ip)}}, {"conditions", JsonObject{{"ready", ready}}}};
        if (const Json* target = find(address, "targetRef")) endpoint["targetRef"] = *target;
        for (const char* name : {"nodeName", "hostname"})
          if (auto value = str(address, name); !value.empty()) endpoint[name] = value;
        std::string identity = identity_of(endpoint);
        group.endpoints.emplace(std::move(identity), std::move(endpoint));
      }
    }
  }
  std::vector<EndpointGroup> list;
  for (auto& [id, group] : groups) list.push_back(std::move(group));
  if (list.empty()) list.push_back({families_of(service).front(), {}, {}});
  return plan_slices(endpoints, kMirrorController, list, existing, trigger_time);
}

}  // namespace rs::control
