#include "control/controllers/endpoints_plan.h"

#include <algorithm>
#include <map>

namespace rs::control {
namespace {

constexpr std::string_view kOverCapacity = "endpoints.kubernetes.io/over-capacity";

struct Address {
  Json address;
  bool ready;
};

// Subsets with equal ports are one; ports of one address that differ make several subsets.
JsonArray pack(const Json& service, const std::vector<ObjectPtr>& pods, bool& truncated) {
  bool tolerate = boolean(service, "spec", "publishNotReadyAddresses");
  std::string family = families_of(service).front();
  std::map<std::string, std::pair<JsonArray, std::map<std::string, Address>>> subsets;
  std::vector<ObjectPtr> backends;
  for (const ObjectPtr& pod : pods)
    if (is_backend(*pod, tolerate) && !address_of(*pod, family).empty()) backends.push_back(pod);
  truncated = backends.size() > kEndpointsMax;
  if (truncated) {
    std::partition(backends.begin(), backends.end(), [](const ObjectPtr& pod) { return is_ready(*pod); });
    backends.resize(kEndpointsMax);
  }
  for (const ObjectPtr& pod : backends) {
    JsonArray ports = ports_for(service, *pod);
    if (ports.empty() && !is_headless(service)) continue;
    std::string ip(address_of(*pod, family));
    JsonObject address{{"ip", ip}, {"targetRef", target_reference(*pod)}};
    if (auto node = str(*pod, "spec", "nodeName"); !node.empty()) address["nodeName"] = node;
    if (auto hostname = hostname_for(service, *pod); !hostname.empty()) address["hostname"] = hostname;
    auto& [subset_ports, addresses] = subsets[to_text(ports)];
    subset_ports = std::move(ports);
    addresses.insert_or_assign(ip + "/" + std::string(api::uid_of(*pod)), Address{std::move(address), tolerate || is_ready(*pod)});
  }
  JsonArray out;
  for (auto& [id, subset] : subsets) {
    JsonArray ready, not_ready;
    for (auto& [ip, address] : subset.second) (address.ready ? ready : not_ready).push_back(std::move(address.address));
    JsonObject entry;
    if (!ready.empty()) entry["addresses"] = std::move(ready);
    if (!not_ready.empty()) entry["notReadyAddresses"] = std::move(not_ready);
    for (Json& port : subset.first)
      if (str(port, "name").empty()) port.as_object().erase("name");
    if (!subset.first.empty()) entry["ports"] = std::move(subset.first);
    out.push_back(std::move(entry));
  }
  return out;
}

JsonObject labels_for(const Json& service) {
  JsonObject labels;
  for (const auto& label : object(service, "metadata", "labels")) labels[label.key()] = label.value();
  if (is_headless(service))
    labels[std::string(kHeadless)] = "";
  else
    labels.erase(std::string(kHeadless));
  return labels;
}

}  // namespace

std::optional<Json> plan_endpoints(const Json& service, const std::vector<ObjectPtr>& pods, const ObjectPtr& existing,
                                   std::string_view trigger_time) {
  bool truncated = false;
  Json subsets = pack(service, pods, truncated);
  JsonObject labels = labels_for(service);
  Json wanted = JsonObject{{"apiVersion", "v1"}, {"kind", "Endpoints"}};
  if (existing != nullptr) {
    const Json* old = find(*existing, "subsets");
    bool same = api::semantically_equal(old == nullptr ? Json(JsonArray()) : *old, subsets) &&
                api::semantically_equal(object(*existing, "metadata", "labels"), labels) &&
                api::annotation(*existing, kOverCapacity).empty() != truncated;
    if (same) return std::nullopt;
    wanted = *existing;
  }
  set(wanted, Json(api::name_of(service)), "metadata", "name");
  set(wanted, Json(api::namespace_of(service)), "metadata", "namespace");
  set(wanted, std::move(labels), "metadata", "labels");
  if (!trigger_time.empty()) set(wanted, Json(trigger_time), "metadata", "annotations", kTriggerTime);
  if (truncated)
    set(wanted, Json("truncated"), "metadata", "annotations", kOverCapacity);
  else
    erase(wanted, kOverCapacity, "metadata", "annotations");
  set(wanted, std::move(subsets), "subsets");
  return wanted;
}

}  // namespace rs::control
