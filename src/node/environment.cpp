#include "node/environment.h"

#include <algorithm>
#include <set>

#include "api/meta.h"
#include "node/pod_core.h"

namespace rs::node {
namespace {

const std::string* value_of(const Variables& variables, std::string_view name) {
  for (auto it = variables.rbegin(); it != variables.rend(); ++it)
    if (it->first == name) return &it->second;
  return nullptr;
}

void put(Variables& variables, std::string name, std::string value) {
  std::erase_if(variables, [&](const Variable& v) { return v.first == name; });
  variables.emplace_back(std::move(name), std::move(value));
}

bool optional_reference(const Json& reference) { return boolean(reference, "optional"); }

// One key of a ConfigMap or Secret; nothing when it is optional and missing.
Result<std::optional<std::string>> key_value(const EnvironmentInput& in, const Json& reference, bool secret) {
  std::string_view name = str(reference, "name"), key = str(reference, "key");
  const Json* object = secret ? in.secret(name) : in.config_map(name);
  if (object == nullptr) {
    if (optional_reference(reference)) return std::nullopt;
    return fail(Code::kFailedPrecondition, "{} \"{}\" not found", secret ? "secret" : "configmap", name);
  }
  if (const Json* value = find(*object, "data", key); value != nullptr && value->is_string())
    return secret ? decode_base64(value->get_string()) : std::string(value->get_string());
  if (const Json* value = find(*object, "binaryData", key); !secret && value != nullptr && value->is_string())
    return decode_base64(value->get_string());
  if (optional_reference(reference)) return std::nullopt;
  return fail(Code::kFailedPrecondition, "couldn't find key {} in {} {}/{}", key, secret ? "Secret" : "ConfigMap",
              api::namespace_of(in.pod), name);
}

Result<void> add_from(const EnvironmentInput& in, const Json& source, Variables& out) {
  for (bool secret : {false, true}) {
    const Json* reference = find(source, secret ? "secretRef" : "configMapRef");
    if (reference == nullptr) continue;
    std::string_view name = str(*reference, "name");
    const Json* object = secret ? in.secret(name) : in.config_map(name);
    if (object == nullptr) {
      if (optional_reference(*reference)) continue;
      return fail(Code::kFailedPrecondition, "{} \"{}\" not found", secret ? "secret" : "configmap", name);
    }
    for (const auto& [key, value] : rs::object(*object, "data")) {
      if (!value.is_string() || key.find('=') != std::string_view::npos) continue;
      std::string text = secret ? decode_base64(value.get_string()) : std::string(value.get_string());
      put(out, fmt::format("{}{}", str(source, "prefix"), std::string_view(key)), std::move(text));
    }
  }
  return {};
}

Result<std::optional<std::string>> value_from(const EnvironmentInput& in, const Json& source) {
  if (const Json* r = find(source, "configMapKeyRef")) return key_value(in, *r, false);
  if (const Json* r = find(source, "secretKeyRef")) return key_value(in, *r, true);
  if (const Json* r = find(source, "fieldRef")) {
    auto value = field_value(in.pod, in.facts, str(*r, "fieldPath"));
    if (!value) return fail(value.error());
    return std::move(*value);
  }
  if (const Json* r = find(source, "resourceFieldRef")) {
    std::string_view name = str(*r, "containerName");
    auto value = resource_value(in.pod, name.empty() ? &in.container : container_spec(in.pod, name), in.facts, *r);
    if (!value) return fail(value.error());
    return std::move(*value);
  }
  return std::string();
}

std::string as_variable_name(std::string_view service) {
  std::string name(service);
  for (char& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

// labels and annotations whole: key="value" lines, sorted (fieldpath.FormatMap)
std::string format_map(const JsonObject& map) {
  std::set<std::string> lines;
  for (const auto& [key, value] : map)
    lines.insert(fmt::format("{}={}", std::string_view(key), to_text(value)));
  return fmt::format("{}", fmt::join(lines, "\n"));
}

}  // namespace

std::string decode_base64(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                : c >= 'a' && c <= 'z' ? c - 'a' + 26
                : c >= '0' && c <= '9' ? c - '0' + 52
                : c == '+'             ? 62
                : c == '/'             ? 63
                                       : -1;
    if (c == '=' || c == '\n' || c == '\r') continue;
    if (value < 0) return {};
    bits = bits << 6 | static_cast<uint32_t>(value);
    held += 6;
    if (held >= 8) out.push_back(static_cast<char>(bits >> (held -= 8) & 0xff));
  }
  return out;
}

std::string expand(std::string_view text, const Variables& variables) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out.push_back(text[i]);
    } else if (text[i + 1] == '$') {
      out.push_back('$');
      ++i;
    } else if (size_t end = text.find(')', i); text[i + 1] == '(' && end != std::string_view::npos) {
      std::string_view name = text.substr(i + 2, end - i - 2);
      const std::string* value = value_of(variables, name);
      out += value != nullptr ? *value : std::string(text.substr(i, end - i + 1));
      i = end;
    } else {
      out.push_back('$');
    }
  }
  return out;
}

std::vector<std::string> expand_all(const JsonArray& texts, const Variables& variables) {
  std::vector<std::string> result;
  for (const Json& text : texts)
    if (text.is_string()) result.push_back(expand(text.get_string(), variables));
  return result;
}

Result<Variables> build_environment(const EnvironmentInput& in) {
  Variables own;
  for (const Json& source : array(in.container, "envFrom"))
    if (auto added = add_from(in, source, own); !added) return fail(added.error());
  for (const Json& variable : array(in.container, "env")) {
    std::string name(str(variable, "name"));
    Variables known = in.services;
    known.insert(known.end(), own.begin(), own.end());
    if (const Json* source = find(variable, "valueFrom")) {
      auto value = value_from(in, *source);
      if (!value) return fail(value.error());
      if (*value) put(own, name, **value);
    } else {
      put(own, name, expand(str(variable, "value"), known));
    }
  }
  Variables all;
  for (const Variable& v : in.services)
    if (value_of(own, v.first) == nullptr) all.push_back(v);
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

Variables service_environment(const std::vector<const Json*>& services) {
  Variables out;
  for (const Json* service : services) {
    std::string_view ip = str(*service, "spec", "clusterIP");
    const JsonArray& ports = array(*service, "spec", "ports");
    if (ip.empty() || ip == "None" || ports.empty()) continue;
    std::string name = as_variable_name(api::name_of(*service));
    out.emplace_back(name + "_SERVICE_HOST", ip);
    out.emplace_back(name + "_SERVICE_PORT", std::to_string(integer(ports[0], "port")));
    for (const Json& port : ports)
      if (std::string_view port_name = str(port, "name"); !port_name.empty())
        out.emplace_back(fmt::format("{}_SERVICE_PORT_{}", name, as_variable_name(port_name)),
                         std::to_string(integer(port, "port")));
    bool first = true;
    for (const Json& port : ports) {
      std::string protocol(str(port, "protocol").empty() ? "TCP" : str(port, "protocol"));
      std::string lower = protocol;
      for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      int64_t number = integer(port, "port");
      std::string url = fmt::format("{}://{}:{}", lower, ip, number), prefix = fmt::format("{}_PORT_{}_{}", name, number, protocol);
      if (std::exchange(first, false)) out.emplace_back(name + "_PORT", url);
      out.emplace_back(prefix, url);
      out.emplace_back(prefix + "_PROTO", lower);
      out.emplace_back(prefix + "_PORT", std::to_string(number));
      out.emplace_back(prefix + "_ADDR", ip);
    }
  }
  return out;
}

Result<std::string> field_value(const Json& pod, const PodFacts& facts, std::string_view path) {
  for (std::string_view map : {"labels", "annotations"}) {
    std::string head = fmt::format("metadata.{}", map);
    if (path == head) return format_map(rs::object(pod, "metadata", map));
    if (path.starts_with(head + "['") && path.ends_with("']")) {
      std::string_view key = path.substr(head.size() + 2, path.size() - head.size() - 4);
      return std::string(str(pod, "metadata", map, key));
    }
  }
  if (path == "metadata.name") return std::string(api::name_of(pod));
  if (path == "metadata.namespace") return std::string(api::namespace_of(pod));
  if (path == "metadata.uid") return std::string(api::uid_of(pod));
  if (path == "spec.nodeName") return facts.node_name;
  if (path == "spec.serviceAccountName") return std::string(str(pod, "spec", "serviceAccountName"));
  if (path == "status.hostIP" || path == "status.hostIPs") return facts.host_ip;
  if (path == "status.podIP" || path == "status.podIPs") return facts.pod_ip;
  return fail(Code::kInvalid, "unsupported fieldPath: {}", path);
}

Result<std::string> resource_value(const Json& pod, const Json* container, const PodFacts& facts, const Json& reference) {
  std::string_view resource = str(reference, "resource");
  if (container == nullptr)
    return fail(Code::kInvalid, "container {} not found", str(reference, "containerName"));
  size_t dot = resource.find('.');
  if (dot == std::string_view::npos) return fail(Code::kInvalid, "unsupported container resource : {}", resource);
  std::string_view what = resource.substr(0, dot), name = resource.substr(dot + 1);
  std::string_view text = str(*container, "resources", what, name);
  int64_t milli = name == "cpu" ? facts.cpu_milli : facts.memory_bytes * 1000;
  if (text.empty() && what == "requests") milli = 0;
  if (!text.empty()) {
    auto value = api::quantity_milli(text);
    if (!value) return fail(value.error());
    milli = *value;
  }
  (void)pod;
  int64_t divisor = 1000;
  if (std::string_view d = str(reference, "divisor"); !d.empty() && d != "0") {
    auto value = api::quantity_milli(d);
    if (!value || *value <= 0) return fail(Code::kInvalid, "bad divisor {}", d);
    divisor = *value;
  }
  return std::to_string((milli + divisor - 1) / divisor);
}

References references_of(const Json& pod) {
  std::set<std::string> maps, secrets;
  auto add = [](std::set<std::string>& set, std::string_view name) {
    if (!name.empty()) set.emplace(name);
  };
  for (const ContainerRef& ref : containers_of(pod)) {
    for (const Json& from : array(*ref.spec, "envFrom")) {
      add(maps, str(from, "configMapRef", "name"));
      add(secrets, str(from, "secretRef", "name"));
    }
    for (const Json& variable : array(*ref.spec, "env")) {
      add(maps, str(variable, "valueFrom", "configMapKeyRef", "name"));
      add(secrets, str(variable, "valueFrom", "secretKeyRef", "name"));
    }
  }
  for (const Json& volume : array(pod, "spec", "volumes")) {
    add(maps, str(volume, "configMap", "name"));
    add(secrets, str(volume, "secret", "secretName"));
    for (const Json& source : array(volume, "projected", "sources")) {
      add(maps, str(source, "configMap", "name"));
      add(secrets, str(source, "secret", "name"));
    }
  }
  return {{maps.begin(), maps.end()}, {secrets.begin(), secrets.end()}};
}

}  // namespace rs::node
