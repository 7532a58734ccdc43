// What Endpoints and EndpointSlices have in common: which pods back a service, and at which ports (k8s
// pkg/controller/util/endpoint, endpointslice/utils.go). Pure.
#pragma once

#include <optional>

#include "control/controllers/pods.h"

namespace rs::control {

constexpr std::string_view kTriggerTime = "endpoints.kubernetes.io/last-change-trigger-time";
constexpr std::string_view kServiceName = "kubernetes.io/service-name";
constexpr std::string_view kManagedBy = "endpointslice.kubernetes.io/managed-by";
constexpr std::string_view kSliceController = "endpointslice-controller.k8s.io";
constexpr std::string_view kMirrorController = "endpointslicemirroring-controller.k8s.io";
constexpr std::string_view kHeadless = "service.kubernetes.io/headless";

bool has_selector(const Json& service);   // otherwise its endpoints are somebody else's
bool is_headless(const Json& service);
bool selects(const Json& service, const Json& pod);
// Families the service has endpoints in: IPv4 unless spec.ipFamilies says otherwise.
std::vector<std::string> families_of(const Json& service);
// The pod's address of a family (IPv4, IPv6), empty when it has none.
std::string_view address_of(const Json& pod, std::string_view family);

// Whether the pod is listed at all: it runs or will run; one being deleted only with include_terminating.
bool is_backend(const Json& pod, bool include_terminating);
// [{name, port, protocol, appProtocol?}] of the service as this pod offers them; a named port it lacks is left out.
JsonArray ports_for(const Json& service, const Json& pod);
// The pod's hostname, when the service is the domain it asked for.
std::string_view hostname_for(const Json& service, const Json& pod);
// {kind: Pod, namespace, name, uid}
Json target_reference(const Json& pod);

}  // namespace rs::control
