// EndpointSlices of a service (k8s staging endpointslice/reconciler.go, KEP-752, KEP-1672). Pure.
#pragma once

#include <functional>

#include "control/controllers/service_ports.h"

namespace rs::control {

constexpr size_t kEndpointsPerSlice = 100;

struct SliceWrites {
  std::vector<Json> create, update;
  std::vector<ObjectPtr> remove;
  bool empty() const { return create.empty() && update.empty() && remove.empty(); }
};

// Endpoints of one slice family: all offer the same ports. Endpoints by an identity that stays (the pod's uid).
struct EndpointGroup {
  std::string address_type;
  JsonArray ports;
  std::map<std::string, Json> endpoints;
};

// pods: those the service selects. zone_of: the zone of a node, empty when it has none.
std::vector<EndpointGroup> group_endpoints(const Json& service, const std::vector<ObjectPtr>& pods,
                                           const std::function<std::string(std::string_view node)>& zone_of);
// The fewest writes that make existing (slices of this service managed by manager) hold the groups: endpoints that
// stay keep their slice. owner: what the slices are named after and owned by. trigger_time: goes into what is written.
SliceWrites plan_slices(const Json& owner, std::string_view manager, const std::vector<EndpointGroup>& groups,
                        const std::vector<ObjectPtr>& existing, std::string_view trigger_time);

SliceWrites plan_endpoint_slices(const Json& service, const std::vector<ObjectPtr>& pods,
                                 const std::vector<ObjectPtr>& existing,
                                 const std::function<std::string(std::string_view node)>& zone_of,
                                 std::string_view trigger_time);
// Slices that mirror Endpoints which a user manages (a service without selector).
SliceWrites plan_mirrored_slices(const Json& endpoints, const Json& service, const std::vector<ObjectPtr>& existing,
                                 std::string_view trigger_time);

}  // namespace rs::control
