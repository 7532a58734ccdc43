#include "mesh/discovery/decode.h"

#include <boost/asio/ip/address.hpp>

namespace rs::mesh {
namespace {

// The member, nullptr for missing and null; fails on another type than wanted.
Result<const Json*> member(const Json& object, std::string_view name, boost::json::kind kind, std::string_view path) {
  const Json* value = find(object, name);
  if (value == nullptr) return static_cast<const Json*>(nullptr);
  if (value->kind() != kind)
    return fail(Code::kInvalid, "{}.{}: expected {}, found {}", path, name, boost::json::to_string(kind),
                boost::json::to_string(value->kind()));
  return value;
}

Result<std::string> text(const Json& object, std::string_view name, std::string_view path) {
  auto value = member(object, name, boost::json::kind::string, path);
  if (!value) return fail(value.error());
  return *value == nullptr ? std::string() : std::string((*value)->get_string());
}

Result<bool> flag(const Json& object, std::string_view name, bool otherwise, std::string_view path) {
  auto value = member(object, name, boost::json::kind::bool_, path);
  if (!value) return fail(value.error());
  return *value == nullptr ? otherwise : (*value)->get_bool();
}

Result<const JsonArray*> list(const Json& object, std::string_view name, size_t limit, std::string_view path) {
  auto value = member(object, name, boost::json::kind::array, path);
  if (!value) return fail(value.error());
  if (*value == nullptr) return &empty_array();
  const auto& items = (*value)->get_array();
  if (items.size() > limit) return fail(Code::kInvalid, "{}.{}: {} items, limit {}", path, name, items.size(), limit);
  return &items;
}

Result<uint16_t> port_number(const Json& value, std::string_view path) {
  int64_t number = integer_of(&value, -1);
  if (!value.is_number() || number < 1 || number > 65535)
    return fail(Code::kInvalid, "{}: not a port number: {}", path, to_text(value).substr(0, 40));
  return static_cast<uint16_t>(number);
}

Result<const Json*> object_member(const Json& object, std::string_view name, std::string_view path) {
  static const Json kNothing{JsonObject()};
  auto value = member(object, name, boost::json::kind::object, path);
  if (!value) return fail(value.error());
  return *value == nullptr ? &kNothing : *value;
}

Result<PortView> decode_service_port(const Json& item) {
  if (!item.is_object()) return fail(Code::kInvalid, "spec.ports[]: expected object");
  PortView port;
  auto name = text(item, "name", "spec.ports[]");
  if (!name) return fail(name.error());
  auto protocol = text(item, "protocol", "spec.ports[]");
  if (!protocol) return fail(protocol.error());
  auto app_protocol = text(item, "appProtocol", "spec.ports[]");
  if (!app_protocol) return fail(app_protocol.error());
  const Json* number = find(item, "port");
  if (number == nullptr) return fail(Code::kInvalid, "spec.ports[].port: missing");
  auto value = port_number(*number, "spec.ports[].port");
  if (!value) return fail(value.error());
  port.name = std::move(*name);
  port.port = *value;
  if (!protocol->empty()) port.protocol = std::move(*protocol);
  port.app_protocol = std::move(*app_protocol);
  port.target_port = std::to_string(port.port);
  if (const Json* target = find(item, "targetPort"); target != nullptr) {
    if (target->is_string()) {
      if (!target->get_string().empty()) port.target_port = std::string(target->get_string());
    } else if (!target->is_number()) {
      return fail(Code::kInvalid, "spec.ports[].targetPort: expected integer or string");
    } else if (integer_of(target, 0) != 0) {  // 0 is what some writers send for "not set"
      auto number_target = port_number(*target, "spec.ports[].targetPort");
      if (!number_target) return fail(number_target.error());
      port.target_port = std::to_string(*number_target);
    }
  }
  return port;
}

Result<void> decode_cluster_ips(const Json& spec, ServiceRecord& record) {
  auto single = text(spec, "clusterIP", "spec");
  if (!single) return fail(single.error());
  auto many = list(spec, "clusterIPs", 2, "spec");
  if (!many) return fail(many.error());
  std::vector<std::string> texts;
  for (const auto& item : **many) {
    if (!item.is_string()) return fail(Code::kInvalid, "spec.clusterIPs[]: expected string");
    texts.emplace_back(item.get_string());
  }
  if (texts.empty() && !single->empty()) texts.push_back(*single);
  for (const auto& item : texts) {
    if (item == "None") {
      record.headless = true;
      continue;
    }
    auto ip = canonical_ip(item);
    if (ip.empty()) return fail(Code::kInvalid, "spec.clusterIPs[]: not an IP address: {}", item.substr(0, 60));
    record.cluster_ips.push_back(std::move(ip));
  }
  return {};
}

Result<void> decode_conditions(const Json& item, Endpoint& endpoint) {
  constexpr std::string_view kPath = "endpoints[].conditions";
  auto conditions = object_member(item, "conditions", "endpoints[]");
  if (!conditions) return fail(conditions.error());
  auto ready = flag(**conditions, "ready", true, kPath);
  if (!ready) return fail(ready.error());
  auto serving = flag(**conditions, "serving", *ready, kPath);
  if (!serving) return fail(serving.error());
  auto terminating = flag(**conditions, "terminating", false, kPath);
  if (!terminating) return fail(terminating.error());
  endpoint.ready = *ready;
  endpoint.serving = *serving;
  endpoint.terminating = *terminating;
  return {};
}

Result<void> decode_endpoint(const Json& item, bool fqdn, std::vector<Endpoint>& out) {
  if (!item.is_object()) return fail(Code::kInvalid, "endpoints[]: expected object");
  Endpoint endpoint;
  if (auto done = decode_conditions(item, endpoint); !done) return fail(done.error());
  for (auto [name, field] : {std::pair("nodeName", &endpoint.node), std::pair("zone", &endpoint.zone),
                             std::pair("hostname", &endpoint.hostname)}) {
    auto value = text(item, name, "endpoints[]");
    if (!value) return fail(value.error());
    *field = std::move(*value);
  }
  auto target = object_member(item, "targetRef", "endpoints[]");
  if (!target) return fail(target.error());
  endpoint.pod_uid = str(**target, "uid");
  endpoint.pod_name = str(**target, "name");
  auto addresses = list(item, "addresses", DecodeLimits::kAddresses, "endpoints[]");
  if (!addresses) return fail(addresses.error());
  for (const auto& address : **addresses) {
    if (!address.is_string()) return fail(Code::kInvalid, "endpoints[].addresses[]: expected string");
    if (fqdn) continue;  // nothing resolves names outside the cluster
    endpoint.ip = canonical_ip(address.get_string());
    if (endpoint.ip.empty())
      return fail(Code::kInvalid, "endpoints[].addresses[]: not an IP address: {}",
                  std::string_view(address.get_string()).substr(0, 60));
    out.push_back(endpoint);
  }
  return {};
}

Result<SlicePort> decode_slice_port(const Json& item) {
  if (!item.is_object()) return fail(Code::kInvalid, "ports[]: expected object");
  SlicePort port;
  auto name = text(item, "name", "ports[]");
  if (!name) return fail(name.error());
  auto protocol = text(item, "protocol", "ports[]");
  if (!protocol) return fail(protocol.error());
  auto app_protocol = text(item, "appProtocol", "ports[]");
  if (!app_protocol) return fail(app_protocol.error());
  port.name = std::move(*name);
  if (!protocol->empty()) port.protocol = std::move(*protocol);
  port.app_protocol = std::move(*app_protocol);
  if (const Json* number = find(item, "port"); number != nullptr) {
    auto value = port_number(*number, "ports[].port");
    if (!value) return fail(value.error());
    port.port = *value;
  }
  return port;
}

}  // namespace

std::string canonical_ip(std::string_view literal) {
  if (literal.empty() || literal.size() > 45) return {};
  boost::system::error_code error;
  auto address = boost::asio::ip::make_address(std::string(literal), error);
  return error ? std::string() : address.to_string();
}

Result<ServiceRecord> decode_service(const Json& object) {
  ServiceRecord record;
  record.revision = api::resource_version_of(object);
  auto spec = object_member(object, "spec", "");
  if (!spec) return fail(spec.error());
  auto type = text(**spec, "type", "spec");
  if (!type) return fail(type.error());
  if (*type == "ExternalName") {
    auto name = text(**spec, "externalName", "spec");
    if (!name) return fail(name.error());
    record.external_name = std::move(*name);
  }
  if (auto done = decode_cluster_ips(**spec, record); !done) return fail(done.error());
  auto publish = flag(**spec, "publishNotReadyAddresses", false, "spec");
  if (!publish) return fail(publish.error());
  record.publish_not_ready = *publish;
  auto ports = list(**spec, "ports", DecodeLimits::kPorts, "spec");
  if (!ports) return fail(ports.error());
  for (const auto& item : **ports) {
    auto port = decode_service_port(item);
    if (!port) return fail(port.error());
    record.ports.push_back(std::move(*port));
  }
  return record;
}

Result<SliceRecord> decode_slice(const Json& object) {
  SliceRecord record;
  record.revision = api::resource_version_of(object);
  record.service = api::label(object, "kubernetes.io/service-name");
  auto type = text(object, "addressType", "");
  if (!type) return fail(type.error());
  auto ports = list(object, "ports", DecodeLimits::kPorts, "");
  if (!ports) return fail(ports.error());
  for (const auto& item : **ports) {
    auto port = decode_slice_port(item);
    if (!port) return fail(port.error());
    record.ports.push_back(std::move(*port));
  }
  auto endpoints = list(object, "endpoints", DecodeLimits::kEndpoints, "");
  if (!endpoints) return fail(endpoints.error());
  for (const auto& item : **endpoints) {
    if (auto done = decode_endpoint(item, *type == "FQDN", record.endpoints); !done) return fail(done.error());
  }
  return record;
}

std::vector<std::string> pod_addresses(const Json& object) {
  std::vector<std::string> addresses;
  if (boolean(object, "spec", "hostNetwork")) return addresses;
  auto phase = str(object, "status", "phase");
  if (phase == "Succeeded" || phase == "Failed") return addresses;
  for (const auto& item : array(object, "status", "podIPs")) {
    if (auto ip = canonical_ip(str(item, "ip")); !ip.empty()) addresses.push_back(std::move(ip));
  }
  if (addresses.empty()) {
    if (auto ip = canonical_ip(str(object, "status", "podIP")); !ip.empty()) addresses.push_back(std::move(ip));
  }
  return addresses;
}

}  // namespace rs::mesh
