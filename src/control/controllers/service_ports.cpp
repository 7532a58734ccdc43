#include "control/controllers/service_ports.h"

#include "api/selector.h"

namespace rs::control {

bool has_selector(const Json& service) {
  return !object(service, "spec", "selector").empty() && str(service, "spec", "type") != "ExternalName";
}

bool is_headless(const Json& service) { return str(service, "spec", "clusterIP") == "None"; }

bool selects(const Json& service, const Json& pod) {
  const JsonObject& labels = object(pod, "metadata", "labels");
  for (const auto& wanted : object(service, "spec", "selector")) {
    const Json* value = labels.if_contains(wanted.key());
    if (value == nullptr || *value != wanted.value()) return false;
  }
  return has_selector(service);
}

std::vector<std::string> families_of(const Json& service) {
  std::vector<std::string> families;
  for (const Json& family : array(service, "spec", "ipFamilies"))
    if (std::string_view name = str(family); name == "IPv4" || name == "IPv6") families.emplace_back(name);
  if (families.empty()) families.emplace_back(str(service, "spec", "clusterIP").contains(':') ? "IPv6" : "IPv4");
  return families;
}

std::string_view address_of(const Json& pod, std::string_view family) {
  auto is_of_family = [family](std::string_view ip) { return !ip.empty() && ip.contains(':') == (family == "IPv6"); };
  for (const Json& entry : array(pod, "status", "podIPs"))
    if (is_of_family(str(entry, "ip"))) return str(entry, "ip");
  std::string_view ip = str(pod, "status", "podIP");
  return is_of_family(ip) ? ip : std::string_view();
}

bool is_backend(const Json& pod, bool include_terminating) {
  if (is_finished(pod)) return false;
  if (str(pod, "status", "podIP").empty() && array(pod, "status", "podIPs").empty()) return false;
  return include_terminating || !api::is_deleting(pod);
}

namespace {
bool is_sidecar(const Json& container) { return str(container, "restartPolicy") == "Always"; }

int64_t named_port(const Json& pod, std::string_view name, std::string_view protocol) {
  auto port_in = [&](const Json& container) -> int64_t {
    for (const Json& port : array(container, "ports")) {
      std::string_view own = str(port, "protocol");
      if (str(port, "name") == name && (own.empty() ? "TCP" : own) == protocol) return integer(port, "containerPort");
    }
    return 0;
  };
  for (const Json& container : array(pod, "spec", "containers"))
    if (int64_t port = port_in(container); port != 0) return port;
  for (const Json& container : array(pod, "spec", "initContainers"))
    if (int64_t port = is_sidecar(container) ? port_in(container) : 0; port != 0) return port;
  return 0;
}
}  // namespace

JsonArray ports_for(const Json& service, const Json& pod) {
  JsonArray ports;
  for (const Json& wanted : array(service, "spec", "ports")) {
    std::string_view protocol = str(wanted, "protocol");
    if (protocol.empty()) protocol = "TCP";
    const Json* target = find(wanted, "targetPort");
    int64_t number = target == nullptr || (target->is_number() && integer(*target) == 0) ? integer(wanted, "port")
                     : target->is_string() ? named_port(pod, str(*target), protocol)
                                           : integer(*target);
    if (number <= 0) continue;
    JsonObject port{{"name", str(wanted, "name")}, {"port", number}, {"protocol", protocol}};
    if (auto app = str(wanted, "appProtocol"); !app.empty()) port["appProtocol"] = app;
    ports.push_back(std::move(port));
  }
  return ports;
}

std::string_view hostname_for(const Json& service, const Json& pod) {
  return str(pod, "spec", "subdomain") == api::name_of(service) ? str(pod, "spec", "hostname") : std::string_view();
}

Json target_reference(const Json& pod) {
  return JsonObject{{"kind", "Pod"},
                    {"namespace", api::namespace_of(pod)},
                    {"name", api::name_of(pod)},
                    {"uid", api::uid_of(pod)}};
}

}  // namespace rs::control
