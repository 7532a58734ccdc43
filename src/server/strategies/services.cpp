// Services: cluster IPs and node ports, allocated by claim keys written in the transaction of the Service itself
// (pkg/registry/core/service/storage/alloc.go). An address or port is free when its key is absent; a lost race leads to
// another choice. KEP-3070: random choices come from the upper part of the range, what users choose may be anywhere.
#include "server/strategies/service_ips.h"

#include "api/meta.h"
#include "api/validation.h"
#include "server/strategies/strategies.h"

namespace rs::server {
namespace {
constexpr std::string_view kIpPrefix = "/registry/ranges/serviceips/";
constexpr std::string_view kPortPrefix = "/registry/ranges/servicenodeports/";

std::string type_of(const Json& service) {
  std::string_view type = str(service, "spec", "type");
  return std::string(type.empty() ? "ClusterIP" : type);
}
bool has_cluster_ip(const Json& service) { return type_of(service) != "ExternalName"; }
bool has_node_ports(const Json& service) {
  std::string type = type_of(service);
  if (type == "NodePort") return true;
  const Json* wanted = find(service, "spec", "allocateLoadBalancerNodePorts");
  return type == "LoadBalancer" && (wanted == nullptr || *wanted != Json(false));
}
bool is_ip(std::string_view ip) { return !ip.empty() && ip != "None"; }

void take(Write& write, std::string key, const Json& service) {
  write.claims.take.emplace_back(std::move(key), fmt::format("{}/{}", api::namespace_of(service), api::name_of(service)));
}

Result<void> allocate_ip(Core& core, Write& write, Json& service) {
  if (!has_cluster_ip(service)) return {};
  std::string ip(str(service, "spec", "clusterIP"));
  if (ip.empty() && !array(service, "spec", "clusterIPs").empty()) {
    const Json& first = array(service, "spec", "clusterIPs")[0];
    if (first.is_string()) ip = first.get_string();
  }
  if (is_ip(ip)) {
    if (auto in_range = check_service_ip(core.options.service_cidr, ip); !in_range) {
      std::string detail = fmt::format("Invalid value: [\"{}\"]: {}", ip, in_range.error().message);
      return fail(api::invalid_error(*write.kind, api::name_of(service),
                                     {{api::FieldError::Type::kInvalid, "spec.clusterIPs", detail}}));
    }
  } else if (ip.empty()) {
    auto chosen = choose_service_ip(core.options.service_cidr, core.loop.random());
    if (!chosen) return std::unexpected(chosen.error());
    ip = *chosen;
  }
  set(service, Json(ip), "spec", "clusterIP");
  set(service, JsonArray{Json(ip)}, "spec", "clusterIPs");
  if (is_ip(ip)) take(write, std::string(kIpPrefix) + ip, service);
  return {};
}

void fill_families(Json& service) {
  if (!has_cluster_ip(service)) return;
  if (find(service, "spec", "ipFamilies") == nullptr) set(service, JsonArray{Json("IPv4")}, "spec", "ipFamilies");
  if (find(service, "spec", "ipFamilyPolicy") == nullptr) set(service, Json("SingleStack"), "spec", "ipFamilyPolicy");
}

// Gives each port without one a node port; ports in kept are already this Service's.
Result<void> allocate_ports(Core& core, Write& write, Json& service, const std::set<int64_t>& kept) {
  if (!has_node_ports(service)) return {};
  const auto& options = core.options;
  std::set<int64_t> used;
  Json* ports = find(service, "spec", "ports");
  if (ports == nullptr || !ports->is_array()) return {};
  size_t index = 0;
  for (Json& port : ports->get_array()) {
    int64_t number = integer(port, "nodePort");
    if (number != 0 && (number < options.node_port_first || number > options.node_port_last)) {
      return fail(api::invalid_error(
          *write.kind, api::name_of(service),
          {{api::FieldError::Type::kInvalid, fmt::format("spec.ports[{}].nodePort", index),
            fmt::format("Invalid value: {}: provided port is not in the valid range. The range of valid ports is {}-{}",
                        number, options.node_port_first, options.node_port_last)}}));
    }
    while (number == 0 || (used.contains(number) && integer(port, "nodePort") == 0))
      number = core.loop.random().between(options.node_port_first, options.node_port_last);
    set(port, Json(number), "nodePort");
    if (used.insert(number).second && !kept.contains(number))
      take(write, std::string(kPortPrefix) + std::to_string(number), service);
    ++index;
  }
  return {};
}

std::set<int64_t> node_ports(const Json& service) {
  std::set<int64_t> out;
  for (const Json& port : array(service, "spec", "ports"))
    if (int64_t number = integer(port, "nodePort"); number != 0) out.insert(number);
  return out;
}

// A client that sends back an object without what the server had chosen keeps it (alloc.go patchAllocatedValues).
void keep_allocated(Json& service, const Json& old) {
  if (has_cluster_ip(service) && has_cluster_ip(old)) {
    if (str(service, "spec", "clusterIP").empty())
      set(service, Json(str(old, "spec", "clusterIP")), "spec", "clusterIP");
    if (array(service, "spec", "clusterIPs").empty()) {
      Json ips = array(old, "spec", "clusterIPs");
      set(service, std::move(ips), "spec", "clusterIPs");
    }
  }
  Json* ports = find(service, "spec", "ports");
  if (!has_node_ports(service) || !has_node_ports(old) || ports == nullptr || !ports->is_array()) return;
  std::set<int64_t> used = node_ports(service);
  for (Json& port : ports->get_array()) {
    if (integer(port, "nodePort") != 0) continue;
    for (const Json& before : array(old, "spec", "ports")) {
      int64_t number = integer(before, "nodePort");
      bool same = integer(before, "port") == integer(port, "port") && str(before, "protocol") == str(port, "protocol");
      if (same && number != 0 && used.insert(number).second) set(port, Json(number), "nodePort");
    }
  }
}

class ServiceStrategy final : public Strategy {
 public:
  Result<void> prepare_create(Core& core, Write& write, Json& service) const override {
    set(service, JsonObject{{"loadBalancer", JsonObject()}}, "status");
    if (auto ip = allocate_ip(core, write, service); !ip) return ip;
    fill_families(service);
    return allocate_ports(core, write, service, {});
  }

  Result<void> prepare_update(Core& core, Write& write, Json& service, const Json& old) const override {
    if (!write.subresource.empty()) return {};
    keep_allocated(service, old);
    std::string ip(str(service, "spec", "clusterIP")), old_ip(str(old, "spec", "clusterIP"));
    if (!has_cluster_ip(service) && is_ip(old_ip)) {
      for (const char* field : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"})
        erase(service, field, "spec");
      write.claims.release.push_back(std::string(kIpPrefix) + old_ip);
    } else if (has_cluster_ip(service) && !has_cluster_ip(old)) {
      if (auto allocated = allocate_ip(core, write, service); !allocated) return allocated;
      fill_families(service);
    }
    std::set<int64_t> before = has_node_ports(old) ? node_ports(old) : std::set<int64_t>();
    if (auto ports = allocate_ports(core, write, service, before); !ports) return ports;
    std::set<int64_t> now = has_node_ports(service) ? node_ports(service) : std::set<int64_t>();
    for (int64_t port : before)
      if (!now.contains(port)) write.claims.release.push_back(std::string(kPortPrefix) + std::to_string(port));
    return {};
  }

  Claims claims_of_removed(const Json& service) const override {
    Claims claims;
    std::string_view ip = str(service, "spec", "clusterIP");
    if (has_cluster_ip(service) && is_ip(ip)) claims.release.push_back(std::string(kIpPrefix).append(ip));
    for (int64_t port : node_ports(service))
      claims.release.push_back(std::string(kPortPrefix) + std::to_string(port));
    return claims;
  }

  std::optional<Error> claims_refused(const Write& write, const Json& wanted,
                                      const std::vector<std::string>& taken) const override {
    std::vector<api::FieldError> errors;
    std::string_view ip = str(wanted, "spec", "clusterIP");
    for (const std::string& key : taken) {
      if (is_ip(ip) && key == std::string(kIpPrefix).append(ip))
        errors.push_back({api::FieldError::Type::kInvalid, "spec.clusterIPs",
                          fmt::format("Invalid value: [\"{0}\"]: failed to allocate IP {0}: provided IP is already allocated", ip)});
      size_t index = 0;
      for (const Json& port : array(wanted, "spec", "ports")) {
        int64_t number = integer(port, "nodePort");
        if (number != 0 && key == std::string(kPortPrefix) + std::to_string(number))
          errors.push_back({api::FieldError::Type::kInvalid, fmt::format("spec.ports[{}].nodePort", index),
                            fmt::format("Invalid value: {}: provided port is already allocated", number)});
        ++index;
      }
    }
    if (errors.empty()) return std::nullopt;
    return api::invalid_error(*write.kind, api::name_of(wanted), errors);
  }

  bool returns_deleted_object() const override { return true; }
};
}  // namespace

std::map<std::string, std::string> service_claims(const Json& service) {
  std::map<std::string, std::string> out;
  std::string owner = fmt::format("{}/{}", api::namespace_of(service), api::name_of(service));
  for (std::string& key : ServiceStrategy().claims_of_removed(service).release) out.emplace(std::move(key), owner);
  return out;
}

const Strategy& service_strategy() {
  static const ServiceStrategy kStrategy;
  return kStrategy;
}

}  // namespace rs::server
