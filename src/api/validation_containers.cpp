// Rules of containers. Source: pkg/apis/core/validation (validateContainers, validateEnv, validateProbe …).
#include "api/validation_containers.h"

#include "api/quantity.h"

namespace rs::api::validation {
namespace {

std::string_view text_of(const Json& value) {
  return value.is_string() ? std::string_view(value.get_string()) : std::string_view();
}

void ports(Errors& errors, const JsonArray& list, const std::string& path, bool host_network) {
  std::set<std::string, std::less<>> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    const Json& port = list[i];
    std::string here = at(path, i);
    if (std::string_view name = str(port, "name"); !name.empty()) {
      errors.each(at(here, "name"), name, names::port_name(name));
      if (!seen.emplace(name).second) errors.duplicate(at(here, "name"), name);
    }
    int64_t number = integer(port, "containerPort"), host = integer(port, "hostPort");
    if (number == 0) errors.required(at(here, "containerPort"));
    else errors.each(at(here, "containerPort"), number, names::port_number(number));
    if (host != 0) errors.each(at(here, "hostPort"), host, names::port_number(host));
    if (host_network && host != number)
      errors.invalid(at(here, "containerPort"), number, "must match `hostPort` when `hostNetwork` is true");
    one_of(errors, port, "protocol", here, {"SCTP", "TCP", "UDP"}, true);
  }
}

void field_ref(Errors& errors, const Json& ref, const std::string& path) {
  if (str(ref, "apiVersion").empty()) errors.required(at(path, "apiVersion"));
  std::string_view field = str(ref, "fieldPath");
  if (field.empty()) return errors.required(at(path, "fieldPath"));
  if ((field.starts_with("metadata.labels['") || field.starts_with("metadata.annotations['")) && field.ends_with("']")) {
    std::string_view key = field.substr(field.find('\'') + 1);
    key.remove_suffix(2);
    errors.each(path, key, names::qualified_name(key));
    return;
  }
  if (field == "metadata.labels" || field == "metadata.annotations") {
    errors.add(Type::kNotSupported, at(path, "fieldPath"),
               fmt::format("Unsupported value: \"{0}\": supported values: \"metadata.name\", \"metadata.namespace\", "
                           "\"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", "
                           "\"status.hostIPs\", \"status.podIP\", \"status.podIPs\"", field));
    return;
  }
  one_of(errors, ref, "fieldPath", path,
         {"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
          "status.hostIPs", "status.podIP", "status.podIPs"}, true);
}

void key_ref(Errors& errors, const Json& ref, const std::string& path) {
  if (str(ref, "name").empty()) errors.required(at(path, "name"));
  std::string_view key = str(ref, "key");
  if (key.empty()) errors.required(at(path, "key"));
  else errors.each(at(path, "key"), key, names::config_map_key(key));
}

void env_value_from(Errors& errors, const Json& variable, const std::string& path) {
  const Json* from = find(variable, "valueFrom");
  if (from == nullptr) return;
  int sources = 0;
  auto source = [&](std::string_view member) {
    const Json* found = find(*from, member);
    sources += found != nullptr;
    return found;
  };
  if (const Json* ref = source("fieldRef")) field_ref(errors, *ref, at(path, "fieldRef"));
  if (const Json* ref = source("resourceFieldRef"))
    if (str(*ref, "resource").empty()) errors.required(at(at(path, "resourceFieldRef"), "resource"));
  for (std::string_view member : {"configMapKeyRef", "secretKeyRef"})
    if (const Json* ref = source(member)) key_ref(errors, *ref, at(path, member));
  if (!str(variable, "value").empty()) {
    if (sources != 0) errors.invalid(path, "", "may not be specified when `value` is not empty");
  } else if (sources == 0) {
    errors.invalid(path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
  } else if (sources > 1) {
    errors.invalid(path, "", "may not have more than one field specified at a time");
  }
}

void environment(Errors& errors, const Json& container, const std::string& path) {
  const JsonArray& variables = array(container, "env");
  for (size_t i = 0; i < variables.size(); ++i) {
    std::string here = at(at(path, "env"), i);
    std::string_view name = str(variables[i], "name");
    if (name.empty()) errors.required(at(here, "name"));
    else errors.each(at(here, "name"), name, names::env_var_name(name));
    env_value_from(errors, variables[i], at(here, "valueFrom"));
  }
  const JsonArray& sources = array(container, "envFrom");
  for (size_t i = 0; i < sources.size(); ++i) {
    std::string here = at(at(path, "envFrom"), i);
    if (std::string_view prefix = str(sources[i], "prefix"); !prefix.empty())
      errors.each(at(here, "prefix"), prefix, names::env_var_name(prefix));
    int count = 0;
    for (std::string_view member : {"configMapRef", "secretRef"})
      if (const Json* ref = find(sources[i], member)) {
        ++count;
        if (str(*ref, "name").empty()) errors.required(at(at(here, member), "name"));
      }
    if (count == 0) errors.invalid(here, "", "must specify one of: `configMapRef` or `secretRef`");
    if (count > 1) errors.invalid(here, "", "may not have more than one field specified at a time");
  }
}

void mounts(Errors& errors, const Json& container, const std::string& path, const VolumeNames& volumes) {
  const JsonArray& list = array(container, "volumeMounts");
  std::set<std::string, std::less<>> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    std::string here = at(at(path, "volumeMounts"), i);
    std::string_view name = str(list[i], "name"), mount = str(list[i], "mountPath");
    if (name.empty()) errors.required(at(here, "name"));
    if (!volumes.contains(name)) errors.not_found(at(here, "name"), name);
    if (mount.empty()) errors.required(at(here, "mountPath"));
    if (!seen.emplace(mount).second) errors.invalid(at(here, "mountPath"), mount, "must be unique");
    for (std::string_view member : {"subPath", "subPathExpr"})
      if (std::string_view sub = str(list[i], member); !sub.empty()) descending_path(errors, sub, at(here, member));
    if (!str(list[i], "subPath").empty() && !str(list[i], "subPathExpr").empty())
      errors.invalid(at(here, "subPathExpr"), str(list[i], "subPathExpr"), "subPathExpr and subPath are mutually exclusive");
  }
}

void port_or_name(Errors& errors, const Json* value, const std::string& path) {
  if (value != nullptr && value->is_string()) errors.each(path, text_of(*value), names::port_name(text_of(*value)));
  else errors.each(path, integer_of(value, 0), names::port_number(integer_of(value, 0)));
}

// What a probe or a lifecycle hook does: exactly one of these.
void handler(Errors& errors, const Json& owner, const std::string& path, bool hook) {
  int count = 0;
  for (std::string_view member : {"exec", "httpGet", "tcpSocket", "grpc", "sleep"}) {
    const Json* found = find(owner, member);
    if (found == nullptr || (member == "grpc" && hook) || (member == "sleep" && !hook)) continue;
    std::string here = at(path, member);
    if (++count > 1) {
      errors.forbidden(here, "may not specify more than 1 handler type");
      continue;
    }
    if (member == "exec") {
      if (array(*found, "command").empty()) errors.required(at(here, "command"));
    } else if (member == "httpGet") {
      if (str(*found, "path").empty()) errors.required(at(here, "path"));
      port_or_name(errors, find(*found, "port"), at(here, "port"));
      one_of(errors, *found, "scheme", here, {"HTTP", "HTTPS"}, true);
      const JsonArray& headers = array(*found, "httpHeaders");
      for (size_t i = 0; i < headers.size(); ++i)
        errors.each(at(here, "httpHeaders"), str(headers[i], "name"), names::http_header_name(str(headers[i], "name")));
    } else if (member == "sleep") {
      if (integer(*found, "seconds") < 0)
        errors.invalid(here, integer(*found, "seconds"), "must be greater than 0 and less than terminationGracePeriodSeconds");
    } else {
      port_or_name(errors, find(*found, "port"), at(here, "port"));
    }
  }
  if (count == 0) errors.required(path, "must specify a handler type");
}

void probe(Errors& errors, const Json& container, std::string_view member, const std::string& path) {
  const Json* found = find(container, member);
  if (found == nullptr) return;
  std::string here = at(path, member);
  handler(errors, *found, here, false);
  for (std::string_view field : {"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"})
    not_negative(errors, find(*found, field), at(here, field));
  if (const Json* grace = find(*found, "terminationGracePeriodSeconds"); grace != nullptr && integer_of(grace, 1) <= 0)
    errors.invalid(at(here, "terminationGracePeriodSeconds"), integer_of(grace, 0), "must be greater than 0");
  bool readiness = member == "readinessProbe";
  if (readiness && find(*found, "terminationGracePeriodSeconds") != nullptr)
    errors.invalid(at(here, "terminationGracePeriodSeconds"), integer(*found, "terminationGracePeriodSeconds"),
                   "must not be set for readinessProbes");
  if (!readiness && integer_or(*found, 1, "successThreshold") != 1)
    errors.invalid(at(here, "successThreshold"), integer(*found, "successThreshold"), "must be 1");
}

void behaviour(Errors& errors, const Json& container, const std::string& path, bool runs_once) {
  for (std::string_view member : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    if (runs_once && find(container, member) != nullptr)
      errors.forbidden(at(path, member), "may not be set for init containers without restartPolicy=Always");
    else probe(errors, container, member, path);
  }
  const Json* lifecycle = find(container, "lifecycle");
  if (lifecycle == nullptr) return;
  if (runs_once) return errors.forbidden(at(path, "lifecycle"), "may not be set for init containers without restartPolicy=Always");
  for (std::string_view member : {"postStart", "preStop"})
    if (const Json* hook = find(*lifecycle, member)) handler(errors, *hook, at(at(path, "lifecycle"), member), true);
}

bool standard_resource(std::string_view name) {
  return name == "cpu" || name == "memory" || name == "ephemeral-storage" || name.starts_with("hugepages-");
}

std::optional<Quantity> quantity(Errors& errors, std::string_view name, const Json& value, const std::string& path) {
  errors.each(path, name, names::qualified_name(name));
  if (name.find('/') == std::string_view::npos && !standard_resource(name))
    errors.invalid(path, name, "must be a standard resource for containers");
  std::optional<Quantity> out = Quantity::parse(text_of(value));
  if (!out) errors.invalid(path, text_of(value), Quantity::kMalformed);
  else if (out->nanos < 0) errors.invalid(path, text_of(value), "must be greater than or equal to 0");
  return out;
}

void resources(Errors& errors, const Json& container, const std::string& path) {
  const JsonObject& limits = object(container, "resources", "limits");
  for (const auto& [name, value] : limits) quantity(errors, name, value, at_key(at(path, "resources.limits"), name));
  for (const auto& [name, value] : object(container, "resources", "requests")) {
    std::string here = at_key(at(path, "resources.requests"), name);
    std::optional<Quantity> request = quantity(errors, name, value, here);
    const Json* limit = limits.if_contains(name);
    std::optional<Quantity> most = limit == nullptr ? std::nullopt : Quantity::parse(text_of(*limit));
    if (request && most && request->nanos > most->nanos)
      errors.invalid(at(path, "resources.requests"), text_of(value),
                     fmt::format("must be less than or equal to {} limit of {}", std::string_view(name), text_of(*limit)));
  }
}

void security(Errors& errors, const Json& container, const std::string& path) {
  for (const char* member : {"runAsUser", "runAsGroup"}) {
    int64_t id = integer(container, "securityContext", member);
    if (id < 0 || id > INT32_MAX)
      errors.invalid(at(at(path, "securityContext"), member), id, "must be between 0 and 2147483647, inclusive");
  }
  if (boolean(container, "securityContext", "privileged") &&
      find(container, "securityContext", "allowPrivilegeEscalation") != nullptr &&
      !boolean(container, "securityContext", "allowPrivilegeEscalation"))
    errors.invalid_json(at(path, "securityContext"), find(container, "securityContext"),
                        "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
}

}  // namespace

void descending_path(Errors& errors, std::string_view target, const std::string& path) {
  if (target.starts_with('/')) errors.invalid(path, target, "must be a relative path");
  for (size_t begin = 0; begin <= target.size();) {
    size_t end = std::min(target.find('/', begin), target.size());
    if (target.substr(begin, end - begin) == "..") {
      errors.invalid(path, target, "must not contain '..'");
      break;
    }
    begin = end + 1;
  }
}

void container(Errors& errors, const Json& value, const std::string& path, const ContainerRules& rules) {
  std::string_view name = str(value, "name"), image = str(value, "image"), restart = str(value, "restartPolicy");
  if (name.empty()) errors.required(at(path, "name"));
  else errors.each(at(path, "name"), name, names::dns1123_label(name));
  if (image.empty()) errors.required(at(path, "image"));
  else if (std::isspace(static_cast<unsigned char>(image.front())) || std::isspace(static_cast<unsigned char>(image.back())))
    errors.invalid(at(path, "image"), image, "must not have leading or trailing whitespace");
  if (rules.init && !restart.empty() && restart != "Always") errors.unsupported(at(path, "restartPolicy"), restart, {"Always"});
  if (!rules.init && !restart.empty()) errors.forbidden(at(path, "restartPolicy"), "may not be set for non-init containers");
  behaviour(errors, value, path, rules.init && restart != "Always");
  one_of(errors, value, "terminationMessagePolicy", path, {"FallbackToLogsOnError", "File"}, true);
  ports(errors, array(value, "ports"), at(path, "ports"), rules.host_network);
  environment(errors, value, path);
  mounts(errors, value, path, rules.volumes);
  one_of(errors, value, "imagePullPolicy", path, {"Always", "IfNotPresent", "Never"}, true);
  resources(errors, value, path);
  security(errors, value, path);
}

}  // namespace rs::api::validation
