// Rules of services and of what they lead to. Source: pkg/apis/core/validation (ValidateService, ValidateEndpoints) and
// pkg/apis/discovery/validation. Loopback addresses of endpoints are allowed: pods on the host's network have them here.
#include "api/meta.h"
#include "api/validation_errors.h"

namespace rs::api::validation {
namespace {

std::string_view text_of(const Json& value) {
  return value.is_string() ? std::string_view(value.get_string()) : std::string_view();
}

void port_or_name(Errors& errors, const Json* value, const std::string& path) {
  if (value == nullptr) return;
  if (value->is_string()) errors.each(path, text_of(*value), names::port_name(text_of(*value)));
  else errors.each(path, integer_of(value, 0), names::port_number(integer_of(value, 0)));
}

void protocol(Errors& errors, const Json& port, const std::string& path) {
  one_of(errors, port, "protocol", path, {"SCTP", "TCP", "UDP"}, true);
}

void service_ports(Errors& errors, const Json& service, bool headless) {
  const JsonArray& ports = array(service, "spec", "ports");
  std::string_view type = str(service, "spec", "type");
  if (ports.empty() && !headless && type != "ExternalName") errors.required("spec.ports");
  std::set<std::string, std::less<>> seen_names;
  std::set<std::pair<int64_t, std::string>> seen_ports, seen_node_ports;
  for (size_t i = 0; i < ports.size(); ++i) {
    const Json& port = ports[i];
    std::string path = at("spec.ports", i);
    std::string_view name = str(port, "name");
    if (name.empty()) {
      if (ports.size() > 1) errors.required(at(path, "name"));
    } else {
      errors.each(at(path, "name"), name, names::dns1123_label(name));
      if (!seen_names.emplace(name).second) errors.duplicate(at(path, "name"), name);
    }
    int64_t number = integer(port, "port"), node_port = integer(port, "nodePort");
    errors.each(at(path, "port"), number, names::port_number(number));
    protocol(errors, port, path);
    port_or_name(errors, find(port, "targetPort"), at(path, "targetPort"));
    if (type == "LoadBalancer" && number == 10250)
      errors.invalid(at(path, "port"), number, "may not expose port 10250 externally since it is used by kubelet");
    std::string transport(str(port, "protocol"));
    if (!seen_ports.insert({number, transport}).second)
      errors.duplicate_json(path, JsonObject{{"protocol", transport}, {"port", number}});
    if (node_port == 0) continue;
    if (type == "ClusterIP" || type == "ExternalName" || type.empty())
      errors.forbidden(at(path, "nodePort"), fmt::format("may not be used when `type` is '{}'", type.empty() ? "ClusterIP" : type));
    if (!seen_node_ports.insert({node_port, transport}).second) errors.duplicate_json(at(path, "nodePort"), Json(node_port));
  }
}

void cluster_ips(Errors& errors, const Json& service, std::string_view type) {
  const JsonArray& ips = array(service, "spec", "clusterIPs");
  std::string_view first = str(service, "spec", "clusterIP");
  if (type == "ExternalName") {
    if (!ips.empty() || !first.empty()) errors.forbidden("spec.clusterIPs", "may not be set when type is 'ExternalName'");
    return;
  }
  if (first == "None" && (type == "LoadBalancer" || type == "NodePort"))
    errors.invalid("spec.clusterIPs[0]", "None", fmt::format("may not be set to 'None' for {} services", type));
  if (!ips.empty() && text_of(ips[0]) != first)
    errors.invalid_json("spec.clusterIPs", find(service, "spec", "clusterIPs"), "first value must match `clusterIP`");
  if (!first.empty() && ips.empty()) errors.required("spec.clusterIPs");
  for (size_t i = 0; i < ips.size(); ++i) {
    std::string_view ip = text_of(ips[i]);
    if (ip == "None") {
      if (ips.size() > 1) errors.invalid(at("spec.clusterIPs", i), ip, "'None' must be the first and only value");
    } else {
      errors.each(at("spec.clusterIPs", i), ip, names::ip_address(ip));
    }
  }
  if (ips.size() > 2)
    errors.invalid_json("spec.clusterIPs", find(service, "spec", "clusterIPs"), "may only hold up to 2 values");
}

void session_affinity(Errors& errors, const Json& service) {
  static const Json kNothing;
  const Json* spec = find(service, "spec");
  one_of(errors, spec == nullptr ? kNothing : *spec, "sessionAffinity", "spec", {"ClientIP", "None"}, true);
  const Json* timeout = find(service, "spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds");
  if (str(service, "spec", "sessionAffinity") == "None" && find(service, "spec", "sessionAffinityConfig") != nullptr)
    errors.forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None");
  if (int64_t seconds = integer_of(timeout, 1); seconds <= 0 || seconds > 86400)
    errors.invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds,
                   "must be greater than 0 and less than 86400");
}

void service(Errors& errors, const Json& object) {
  static const Json kNothing;
  const Json* found = find(object, "spec");
  const Json& spec = found == nullptr ? kNothing : *found;
  std::string_view type = str(spec, "type");
  bool headless = str(spec, "clusterIP") == "None";
  cluster_ips(errors, object, type);
  if (type == "ExternalName") {
    std::string_view name = str(spec, "externalName");
    if (name.ends_with('.')) name.remove_suffix(1);
    if (name.empty()) errors.required("spec.externalName");
    else errors.each("spec.externalName", name, names::dns1123_subdomain(name));
  }
  service_ports(errors, object, headless);
  labels(errors, find(spec, "selector"), "spec.selector");
  session_affinity(errors, object);
  one_of(errors, spec, "type", "spec", {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"}, true);
  const JsonArray& external = array(spec, "externalIPs");
  for (size_t i = 0; i < external.size(); ++i)
    errors.each(at("spec.externalIPs", i), text_of(external[i]), names::ip_address(text_of(external[i])));
  if (type != "LoadBalancer")
    for (std::string_view member : {"loadBalancerSourceRanges", "loadBalancerClass"})
      if (find(spec, member) != nullptr)
        errors.forbidden(at("spec", member), "may only be used when `type` is 'LoadBalancer'");
  if (type != "ExternalName")
    one_of(errors, spec, "internalTrafficPolicy", "spec", {"Cluster", "Local"}, true);
  bool external_access = type == "NodePort" || type == "LoadBalancer" || !external.empty();
  if (std::string_view policy = str(spec, "externalTrafficPolicy"); !policy.empty()) {
    if (!external_access)
      errors.invalid("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services");
    else one_of(errors, spec, "externalTrafficPolicy", "spec", {"Cluster", "Local"}, false);
  }
}

void service_update(Errors& errors, const Json& object, const Json& old) {
  if (str(old, "spec", "type") == "ExternalName" || str(object, "spec", "type") == "ExternalName") return;
  std::string_view before = str(old, "spec", "clusterIP"), now = str(object, "spec", "clusterIP");
  if (!before.empty() && before != now) {
    std::vector<std::string> values;
    for (const Json& ip : array(object, "spec", "clusterIPs")) values.push_back(Errors::quoted(text_of(ip)));
    errors.add(Type::kInvalid, "spec.clusterIPs[0]",
               fmt::format("Invalid value: []string{{{}}}: may not change once set", fmt::join(values, ", ")));
  }
}

void endpoint_address(Errors& errors, const Json& address, const std::string& path) {
  std::string_view ip = str(address, "ip"), host = str(address, "hostname"), node = str(address, "nodeName");
  errors.each(at(path, "ip"), ip, names::ip_address(ip));
  if (!host.empty()) errors.each(at(path, "hostname"), host, names::dns1123_label(host));
  if (!node.empty()) errors.each(at(path, "nodeName"), node, names::dns1123_subdomain(node));
}

void endpoints(Errors& errors, const Json& object) {
  const JsonArray& subsets = array(object, "subsets");
  for (size_t i = 0; i < subsets.size(); ++i) {
    std::string path = at("subsets", i);
    const JsonArray& ready = array(subsets[i], "addresses");
    const JsonArray& not_ready = array(subsets[i], "notReadyAddresses");
    if (ready.empty() && not_ready.empty()) errors.required(path, "must specify `addresses` or `notReadyAddresses`");
    for (size_t j = 0; j < ready.size(); ++j) endpoint_address(errors, ready[j], at(at(path, "addresses"), j));
    for (size_t j = 0; j < not_ready.size(); ++j)
      endpoint_address(errors, not_ready[j], at(at(path, "notReadyAddresses"), j));
    const JsonArray& ports = array(subsets[i], "ports");
    for (size_t j = 0; j < ports.size(); ++j) {
      std::string here = at(at(path, "ports"), j);
      std::string_view name = str(ports[j], "name");
      if (name.empty() && ports.size() > 1) errors.required(at(here, "name"));
      if (!name.empty()) errors.each(at(here, "name"), name, names::dns1123_label(name));
      errors.each(at(here, "port"), integer(ports[j], "port"), names::port_number(integer(ports[j], "port")));
      protocol(errors, ports[j], here);
    }
  }
}

constexpr size_t kMaxEndpoints = 1000, kMaxAddresses = 100, kMaxPorts = 20000;

void slice_endpoint(Errors& errors, const Json& endpoint, std::string_view type, const std::string& path) {
  const JsonArray& addresses = array(endpoint, "addresses");
  if (addresses.empty()) errors.required(at(path, "addresses"), "must contain at least 1 address");
  if (addresses.size() > kMaxAddresses) errors.too_many(at(path, "addresses"), addresses.size(), kMaxAddresses);
  for (size_t i = 0; i < addresses.size(); ++i) {
    std::string here = at(at(path, "addresses"), i);
    std::string_view address = text_of(addresses[i]);
    if (type == "IPv4" && (!names::is_ip(address) || names::is_ipv6(address)))
      errors.invalid(here, address, "must be a valid IPv4 address");
    if (type == "IPv6" && !names::is_ipv6(address)) errors.invalid(here, address, "must be a valid IPv6 address");
    if (type == "FQDN") errors.each(here, address, names::dns1123_subdomain(address));
  }
  if (std::string_view node = str(endpoint, "nodeName"); !node.empty())
    errors.each(at(path, "nodeName"), node, names::dns1123_subdomain(node));
  if (std::string_view host = str(endpoint, "hostname"); !host.empty())
    errors.each(at(path, "hostname"), host, names::dns1123_label(host));
}

void slice(Errors& errors, const Json& object) {
  one_of(errors, object, "addressType", "", {"FQDN", "IPv4", "IPv6"}, true);
  const JsonArray& endpoints_list = array(object, "endpoints");
  if (endpoints_list.size() > kMaxEndpoints) return errors.too_many("endpoints", endpoints_list.size(), kMaxEndpoints);
  for (size_t i = 0; i < endpoints_list.size(); ++i)
    slice_endpoint(errors, endpoints_list[i], str(object, "addressType"), at("endpoints", i));
  const JsonArray& ports = array(object, "ports");
  if (ports.size() > kMaxPorts) return errors.too_many("ports", ports.size(), kMaxPorts);
  std::set<std::string, std::less<>> seen;
  for (size_t i = 0; i < ports.size(); ++i) {
    std::string path = at("ports", i);
    std::string_view name = str(ports[i], "name");
    if (!name.empty()) errors.each(at(path, "name"), name, names::dns1123_label(name));
    if (!seen.emplace(name).second) errors.duplicate(at(path, "name"), name);
    protocol(errors, ports[i], path);
  }
}

void slice_update(Errors& errors, const Json& object, const Json& old) {
  if (str(object, "addressType") != str(old, "addressType"))
    errors.invalid("addressType", str(object, "addressType"), kImmutable);
}

constexpr Rules kRules[] = {{"", "Service", service, service_update, nullptr},
                            {"", "Endpoints", endpoints, nullptr, nullptr},
                            {"discovery.k8s.io", "EndpointSlice", slice, slice_update, nullptr}};

}  // namespace

std::span<const Rules> service_rules() { return kRules; }

}  // namespace rs::api::validation
