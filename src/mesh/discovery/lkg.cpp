#include "mesh/discovery/lkg.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <sstream>

#include <boost/crc.hpp>

#include "base/json.h"
#include "mesh/discovery/decode.h"

namespace rs::mesh {
namespace {

constexpr std::string_view kMagic = "roadstead-lkg ";

uint32_t checksum(std::string_view bytes) {
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

JsonObject encode_endpoint(const Endpoint& endpoint) {
  JsonObject out{{"ip", endpoint.ip}, {"port", endpoint.port}};
  if (!endpoint.ready) out["ready"] = false;
  if (!endpoint.serving) out["serving"] = false;
  if (endpoint.terminating) out["terminating"] = true;
  auto put = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) out[name] = value;
  };
  put("uid", endpoint.pod_uid);
  put("pod", endpoint.pod_name);
  put("node", endpoint.node);
  put("zone", endpoint.zone);
  put("hostname", endpoint.hostname);
  return out;
}

JsonObject encode_port(const PortView& port) {
  JsonObject out{{"name", port.name},           {"port", port.port},
                 {"target", port.target_port},  {"protocol", port.protocol},
                 {"appProtocol", port.app_protocol}, {"state", state_name(port.endpoints)},
                 {"revision", revision_of(port.endpoints)}};
  if (const auto* set = std::get_if<Set>(&port.endpoints)) {
    JsonArray endpoints;
    for (const auto& endpoint : set->endpoints) endpoints.push_back(encode_endpoint(endpoint));
    out["endpoints"] = std::move(endpoints);
  }
  return out;
}

bool flag_or(const Json& object, std::string_view name, bool otherwise) {
  const Json* value = find(object, name);
  return value != nullptr && value->is_bool() ? value->get_bool() : otherwise;
}

PortView decode_port(const Json& item) {
  PortView port;
  port.name = str(item, "name");
  port.port = static_cast<uint16_t>(integer(item, "port"));
  port.target_port = str(item, "target");
  port.protocol = str(item, "protocol");
  port.app_protocol = str(item, "appProtocol");
  int64_t revision = integer(item, "revision");
  Set set{revision, {}};
  for (const auto& entry : array(item, "endpoints")) {
    Endpoint endpoint;
    endpoint.ip = canonical_ip(str(entry, "ip"));
    endpoint.port = static_cast<uint16_t>(integer(entry, "port"));
    if (endpoint.ip.empty() || endpoint.port == 0) continue;
    endpoint.ready = flag_or(entry, "ready", true);
    endpoint.serving = flag_or(entry, "serving", true);
    endpoint.terminating = flag_or(entry, "terminating", false);
    endpoint.pod_uid = str(entry, "uid");
    endpoint.pod_name = str(entry, "pod");
    endpoint.node = str(entry, "node");
    endpoint.zone = str(entry, "zone");
    endpoint.hostname = str(entry, "hostname");
    set.endpoints.push_back(std::move(endpoint));
  }
  if (!set.endpoints.empty()) {
    port.endpoints = std::move(set);
  } else if (str(item, "state") == "Empty") {
    port.endpoints = Empty{revision};
  }
  return port;
}

Result<std::string> read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Code::kNotFound, "{}: cannot be opened", path);
  std::ostringstream out;
  out << file.rdbuf();
  return std::move(out).str();
}

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(Code::kUnavailable, "{}: {}", path, strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  if (::fsync(fd) != 0) return fail(Code::kUnavailable, "{}: fsync: {}", path, strerror(errno));
  return {};
}

}  // namespace

std::string encode_lkg(const LastKnownGood& view) {
  JsonArray services;
  for (const auto& service : view.services) {
    JsonArray ports, ips;
    for (const auto& port : service.ports) ports.push_back(encode_port(port));
    for (const auto& ip : service.cluster_ips) ips.emplace_back(ip);
    services.push_back(JsonObject{{"namespace", service.key.ns},
                                  {"name", service.key.name},
                                  {"headless", service.headless},
                                  {"externalName", service.external_name},
                                  {"clusterIPs", std::move(ips)},
                                  {"revision", service.revision},
                                  {"ports", std::move(ports)}});
  }
  auto body = to_text(Json(JsonObject{{"revision", view.revision},
                                      {"time", view.saved_at.since_unix.count()},
                                      {"services", std::move(services)}}));
  return fmt::format("{}{} {:08x} {}\n{}", kMagic, kLkgVersion, checksum(body), body.size(), body);
}

Result<LastKnownGood> decode_lkg(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) return fail(Code::kDataLoss, "not a last-known-good file");
  auto newline = bytes.substr(0, 100).find('\n');
  if (newline == bytes.npos) return fail(Code::kDataLoss, "its first line does not end");
  auto line = bytes.substr(kMagic.size(), newline - kMagic.size());
  auto body = bytes.substr(newline + 1);
  int version = 0;
  uint32_t crc = 0;
  size_t size = 0;
  auto first = line.find(' '), second = line.rfind(' ');
  if (first == line.npos || first == second) return fail(Code::kDataLoss, "its first line is damaged");
  std::from_chars(line.data(), line.data() + first, version);
  std::from_chars(line.data() + first + 1, line.data() + second, crc, 16);
  std::from_chars(line.data() + second + 1, line.data() + line.size(), size);
  if (version != kLkgVersion) return fail(Code::kDataLoss, "version {}, this program reads {}", version, kLkgVersion);
  if (size != body.size()) return fail(Code::kDataLoss, "{} bytes of {}", body.size(), size);
  if (crc != checksum(body)) return fail(Code::kDataLoss, "the checksum does not match");
  auto json = parse_json(body, {.depth = 16, .bytes = kLkgBytesMax});
  if (!json) return fail(Code::kDataLoss, "{}", json.error().message);
  LastKnownGood view;
  view.revision = integer(*json, "revision");
  view.saved_at = WallTime{Duration(integer(*json, "time"))};
  for (const auto& item : array(*json, "services")) {
    ServiceView service;
    service.key = {std::string(str(item, "namespace")), std::string(str(item, "name"))};
    if (service.key.name.empty()) continue;
    service.headless = boolean(item, "headless");
    service.external_name = str(item, "externalName");
    service.revision = integer(item, "revision");
    service.from_disk = true;
    for (const auto& ip : array(item, "clusterIPs"))
      if (ip.is_string()) service.cluster_ips.emplace_back(ip.get_string());
    for (const auto& port : array(item, "ports")) service.ports.push_back(decode_port(port));
    view.services.push_back(std::move(service));
  }
  return view;
}

Result<void> write_lkg(const std::string& path, std::string_view bytes) {
  auto temporary = path + ".tmp";
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return fail(Code::kUnavailable, "{}: {}", temporary, strerror(errno));
  auto written = write_all(fd, bytes, temporary);
  ::close(fd);
  if (!written) return written;
  // The predecessor stays readable: at no moment is there neither.
  auto previous = path + ".previous";
  ::unlink(previous.c_str());
  if (::link(path.c_str(), previous.c_str()) != 0 && errno != ENOENT)
    return fail(Code::kUnavailable, "{}: {}", previous, strerror(errno));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(Code::kUnavailable, "{}: {}", path, strerror(errno));
  auto slash = path.rfind('/');
  int folder = ::open(slash == path.npos ? "." : path.substr(0, slash + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
  return {};
}

Result<LastKnownGood> read_lkg(const std::string& path) {
  auto attempt = [](const std::string& name) -> Result<LastKnownGood> {
    auto bytes = read_whole(name);
    if (!bytes) return fail(bytes.error());
    auto view = decode_lkg(*bytes);
    if (!view) return fail_at(name, view.error());
    return view;
  };
  auto view = attempt(path);
  if (view) return view;
  auto previous = attempt(path + ".previous");
  if (previous) return previous;
  return view.error().code == Code::kNotFound ? previous : view;
}

}  // namespace rs::mesh
