// Rows of the core group and of its companions in discovery, coordination and events.
// Source: pkg/printers/internalversion/printers.go (1.32).
#include "api/meta.h"
#include "api/table_printers.h"

namespace rs::api::printers {
namespace {

constexpr Column kPodColumns[] = {
    kNameColumn,
    {"Ready", "string", "The aggregate readiness state of this pod for accepting traffic."},
    {"Status", "string", "The aggregate status of the containers in this pod."},
    {"Restarts", "string", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."},
    kAgeColumn,
    {"IP", "string", "podIP address allocated to the pod.", 1},
    {"Node", "string", "The node that this pod is scheduled to.", 1},
    {"Nominated Node", "string", "The node where this pod should run once lower-priority pods have left it.", 1},
    {"Readiness Gates", "string", "How many of the conditions that readiness waits for are true.", 1}};

constexpr Column kServiceColumns[] = {kNameColumn,
                                      {"Type", "string", "How the service is exposed."},
                                      {"Cluster-IP", "string", "The IP address of the service."},
                                      {"External-IP", "string", "Addresses outside the cluster."},
                                      {"Port(s)", "string", "The ports that are exposed by this service."},
                                      kAgeColumn,
                                      {"Selector", "string", "The labels of the pods traffic is routed to.", 1}};

std::string external_ip(const Json& service) {
  std::string_view type = str(service, "spec", "type");
  std::string listed = joined(array(service, "spec", "externalIPs"), "");
  if (type == "ExternalName") return std::string(str(service, "spec", "externalName"));
  if (type == "LoadBalancer") {
    std::string out;
    for (const Json& ingress : array(service, "status", "loadBalancer", "ingress")) {
      std::string_view ip = str(ingress, "ip");
      std::string_view address = ip.empty() ? str(ingress, "hostname") : ip;
      if (!address.empty()) out += fmt::format("{}{}", out.empty() ? "" : ",", address);
    }
    if (!listed.empty()) return out.empty() ? listed : out + "," + listed;
    return out.empty() ? "<pending>" : out;
  }
  if (type == "ClusterIP" || type == "NodePort") return or_none(listed);
  return "<unknown>";
}

std::string service_ports(const Json& service) {
  std::vector<std::string> out;
  for (const Json& port : array(service, "spec", "ports")) {
    int64_t node_port = integer(port, "nodePort");
    out.push_back(node_port > 0 ? fmt::format("{}:{}/{}", integer(port, "port"), node_port, str(port, "protocol"))
                                : fmt::format("{}/{}", integer(port, "port"), str(port, "protocol")));
  }
  return or_none(fmt::format("{}", fmt::join(out, ",")));
}

JsonArray service_cells(const Json& service, WallTime now) {
  return {name_of(service),
          str(service, "spec", "type"),
          or_none(str(service, "spec", "clusterIP")),
          external_ip(service),
          service_ports(service),
          age(service, now),
          format_labels(object(service, "spec", "selector"))};
}

constexpr Column kEndpointsColumns[] = {
    kNameColumn, {"Endpoints", "string", "The addresses and ports that are ready."}, kAgeColumn};

JsonArray endpoints_cells(const Json& endpoints, WallTime now) {
  std::vector<std::string> list;
  for (const Json& subset : array(endpoints, "subsets")) {
    const JsonArray& ports = array(subset, "ports");
    if (ports.empty())  // a headless service may have none
      for (const Json& address : array(subset, "addresses")) list.emplace_back(str(address, "ip"));
    for (const Json& port : ports)
      for (const Json& address : array(subset, "addresses")) {
        std::string_view ip = str(address, "ip");
        bool v6 = ip.find(':') != std::string_view::npos;
        list.push_back(fmt::format("{}{}{}:{}", v6 ? "[" : "", ip, v6 ? "]" : "", integer(port, "port")));
      }
  }
  return {name_of(endpoints), limited_list(list, kNone), age(endpoints, now)};
}

constexpr Column kSliceColumns[] = {kNameColumn,
                                    {"AddressType", "string", "The type of address carried by this EndpointSlice."},
                                    {"Ports", "string", "The ports exposed by each endpoint in this slice."},
                                    {"Endpoints", "string", "The endpoints of this slice."},
                                    kAgeColumn};

JsonArray slice_cells(const Json& slice, WallTime now) {
  std::vector<std::string> ports, addresses;
  for (const Json& port : array(slice, "ports")) {
    if (find(port, "port") != nullptr) ports.push_back(std::to_string(integer(port, "port")));
    else ports.emplace_back(str(port, "name").empty() ? "*" : str(port, "name"));
  }
  for (const Json& endpoint : array(slice, "endpoints"))
    for (const Json& address : array(endpoint, "addresses"))
      addresses.emplace_back(address.is_string() ? std::string_view(address.get_string()) : "");
  return {name_of(slice), str(slice, "addressType"), limited_list(ports, "<unset>"), limited_list(addresses, "<unset>"),
          age(slice, now)};
}

constexpr Column kNodeColumns[] = {kNameColumn,
                                   {"Status", "string", "The status of the node"},
                                   {"Roles", "string", "The roles of the node"},
                                   kAgeColumn,
                                   {"Version", "string", "Version reported by the node agent."},
                                   {"Internal-IP", "string", "Address inside the cluster.", 1},
                                   {"External-IP", "string", "Address outside the cluster.", 1},
                                   {"OS-Image", "string", "OS Image reported by the node.", 1},
                                   {"Kernel-Version", "string", "Kernel Version reported by the node.", 1},
                                   {"Container-Runtime", "string", "ContainerRuntime Version reported by the node.", 1}};

std::string node_status(const Json& node) {
  std::string out = "Unknown";
  if (const Json* ready = condition(node, "Ready")) out = str(*ready, "status") == "True" ? "Ready" : "NotReady";
  if (boolean(node, "spec", "unschedulable")) out += ",SchedulingDisabled";
  return out;
}

std::string node_roles(const Json& node) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::set<std::string> roles;
  for (const auto& [key, value] : object(node, "metadata", "labels")) {
    std::string_view name = key;
    if (name.starts_with(kPrefix) && name.size() > kPrefix.size()) roles.emplace(name.substr(kPrefix.size()));
    if (name == "kubernetes.io/role" && value.is_string() && !value.get_string().empty())
      roles.emplace(std::string_view(value.get_string()));
  }
  return or_none(fmt::format("{}", fmt::join(roles, ",")));
}

std::string node_address(const Json& node, std::string_view type) {
  for (const Json& address : array(node, "status", "addresses"))
    if (str(address, "type") == type) return std::string(str(address, "address"));
  return std::string(kNone);
}

JsonArray node_cells(const Json& node, WallTime now) {
  auto info = [&](std::string_view name) {
    std::string_view text = str(node, "status", "nodeInfo", name);
    return text.empty() ? "<unknown>" : text;
  };
  return {name_of(node),
          node_status(node),
          node_roles(node),
          age(node, now),
          str(node, "status", "nodeInfo", "kubeletVersion"),
          node_address(node, "InternalIP"),
          node_address(node, "ExternalIP"),
          info("osImage"),
          info("kernelVersion"),
          info("containerRuntimeVersion")};
}

constexpr Column kEventColumns[] = {
    {"Last Seen", "string", "Time of the last occurrence."},
    {"Type", "string", "Type of this event (Normal, Warning), new types could be added in the future."},
    {"Reason", "string", "A short, machine understandable string that gives the reason for the transition."},
    {"Object", "string", "The object that this event is about."},
    {"Subobject", "string", "The part of the object.", 1},
    {"Source", "string", "The component reporting this event.", 1},
    {"Message", "string", "A human-readable description of the status of this operation."},
    {"First Seen", "string", "The time at which the event was first recorded.", 1},
    {"Count", "integer", "The number of times this event has occurred.", 1},
    {"Name", "string", "Name must be unique within a namespace.", 1}};

std::string_view trimmed(std::string_view text) {
  size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// The core and the events.k8s.io view of one event name their fields differently.
JsonArray event_cells(const Json& event, WallTime now) {
  auto either = [&](std::string_view core, std::string_view newer) {
    std::string_view text = str(event, core);
    return text.empty() ? str(event, newer) : text;
  };
  std::string first = since(either("firstTimestamp", "deprecatedFirstTimestamp"), now);
  if (first == "<unknown>") first = since(str(event, "eventTime"), now);
  std::string last = since(either("lastTimestamp", "deprecatedLastTimestamp"), now);
  if (last == "<unknown>") last = first;
  int64_t count = integer_or(event, integer(event, "deprecatedCount"), "count");
  if (const Json* series = find(event, "series")) {
    last = since(str(*series, "lastObservedTime"), now);
    count = integer(*series, "count");
  } else if (count == 0) {
    count = 1;
  }
  const Json* target = find(event, "involvedObject");
  if (target == nullptr) target = find(event, "regarding");
  static const Json kNothing;
  if (target == nullptr) target = &kNothing;
  std::string about(str(*target, "kind"));
  std::transform(about.begin(), about.end(), about.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  if (std::string_view name = str(*target, "name"); !name.empty()) about += fmt::format("/{}", name);
  const Json* source = find(event, "source");
  if (source == nullptr) source = find(event, "deprecatedSource");
  std::string_view component = source == nullptr ? "" : str(*source, "component");
  std::string_view host = source == nullptr ? "" : str(*source, "host");
  std::string reporter(component.empty() ? either("reportingComponent", "reportingController") : component);
  if (host.empty()) host = str(event, "reportingInstance");
  if (!host.empty()) reporter += fmt::format(", {}", host);
  return {last,   str(event, "type"), str(event, "reason"), about, str(*target, "fieldPath"), reporter,
          trimmed(either("message", "note")), first, count, name_of(event)};
}

constexpr Column kNamespaceColumns[] = {kNameColumn, {"Status", "string", "The status of the namespace"}, kAgeColumn};
JsonArray namespace_cells(const Json& ns, WallTime now) { return {name_of(ns), str(ns, "status", "phase"), age(ns, now)}; }

constexpr Column kConfigMapColumns[] = {kNameColumn, {"Data", "integer", "How many entries it has."}, kAgeColumn};
JsonArray config_map_cells(const Json& map, WallTime now) {
  return {name_of(map), int64_t(object(map, "data").size() + object(map, "binaryData").size()), age(map, now)};
}

constexpr Column kSecretColumns[] = {kNameColumn,
                                     {"Type", "string", "Used to facilitate programmatic handling of secret data."},
                                     {"Data", "integer", "How many entries it has."},
                                     kAgeColumn};
JsonArray secret_cells(const Json& secret, WallTime now) {
  return {name_of(secret), str(secret, "type"), int64_t(object(secret, "data").size()), age(secret, now)};
}

constexpr Column kServiceAccountColumns[] = {
    kNameColumn, {"Secrets", "string", "How many secrets pods that run with it may reference."}, kAgeColumn};
JsonArray service_account_cells(const Json& account, WallTime now) {
  return {name_of(account), int64_t(array(account, "secrets").size()), age(account, now)};
}

constexpr Column kLeaseColumns[] = {kNameColumn, {"Holder", "string", "The identity of the holder of the lease."}, kAgeColumn};
JsonArray lease_cells(const Json& lease, WallTime now) {
  return {name_of(lease), str(lease, "spec", "holderIdentity"), age(lease, now)};
}

constexpr Printer kPrinters[] = {{"", "Pod", kPodColumns, pod_cells},
                                 {"", "Service", kServiceColumns, service_cells},
                                 {"", "Endpoints", kEndpointsColumns, endpoints_cells},
                                 {"discovery.k8s.io", "EndpointSlice", kSliceColumns, slice_cells},
                                 {"", "Node", kNodeColumns, node_cells},
                                 {"", "Event", kEventColumns, event_cells},
                                 {"events.k8s.io", "Event", kEventColumns, event_cells},
                                 {"", "Namespace", kNamespaceColumns, namespace_cells},
                                 {"", "ConfigMap", kConfigMapColumns, config_map_cells},
                                 {"", "Secret", kSecretColumns, secret_cells},
                                 {"", "ServiceAccount", kServiceAccountColumns, service_account_cells},
                                 {"coordination.k8s.io", "Lease", kLeaseColumns, lease_cells}};

}  // namespace

std::span<const Printer> core_printers() { return kPrinters; }

}  // namespace rs::api::printers
