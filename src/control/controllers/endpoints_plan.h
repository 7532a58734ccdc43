// Endpoints (core/v1) of a service (k8s pkg/controller/endpoint, RepackSubsets). Pure.
#pragma once

#include "control/controllers/service_ports.h"

namespace rs::control {

constexpr size_t kEndpointsMax = 1000;  // addresses in one Endpoints object; more are cut off, ready ones last

// The Endpoints object that service should have. existing (null: none) gives what is kept; the answer is nothing when it
// is right already. pods: those the service selects.
std::optional<Json> plan_endpoints(const Json& service, const std::vector<ObjectPtr>& pods, const ObjectPtr& existing,
                                   std::string_view trigger_time);

}  // namespace rs::control
