#include "node/machine.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <sstream>

#include "api/meta.h"
#include "node/runtime/fd.h"

namespace rs::node {
namespace {

std::string one_line(const std::string& path) {
  auto text = read_file(path);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

std::string os_name() {
  auto text = read_file("/etc/os-release");
  std::istringstream in(text ? *text : "");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("PRETTY_NAME=")) {
      std::string name = line.substr(12);
      std::erase(name, '"');
      return name;
    }
  return "Linux";
}

// Go's names, which nodeSelectors use.
std::string go_architecture(std::string_view machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return std::string(machine);
}

JsonObject resources(const NodeFacts& facts) {
  return {{"cpu", std::to_string(facts.machine.cpus)},
          {"memory", fmt::format("{}Ki", facts.machine.memory_bytes / 1024)},
          {"ephemeral-storage", fmt::format("{}Ki", facts.machine.disk_bytes / 1024)},
          {"hugepages-1Gi", "0"},
          {"hugepages-2Mi", "0"},
          {"pods", std::to_string(facts.pods_max)}};
}

void heartbeat(Json& node, std::string_view type, std::string_view status, std::string_view reason, std::string_view message,
               WallTime now) {
  api::set_condition(node, type, status, reason, message, now);
  for (Json& c : ensure(node, "status", "conditions").as_array())
    if (str(c, "type") == type) c.as_object()["lastHeartbeatTime"] = rfc3339(now);
}

}  // namespace

Machine inspect_machine(const std::string& data_dir) {
  Machine m;
  m.cpus = std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN));
  m.memory_bytes = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
  struct statvfs disk {};
  if (::statvfs(data_dir.c_str(), &disk) == 0) m.disk_bytes = static_cast<int64_t>(disk.f_blocks * disk.f_frsize);
  utsname name{};
  ::uname(&name);
  m.hostname = name.nodename;
  m.kernel = name.release;
  m.architecture = go_architecture(name.machine);
  m.os_image = os_name();
  m.machine_id = one_line("/etc/machine-id");
  m.boot_id = one_line("/proc/sys/kernel/random/boot_id");
  m.system_uuid = one_line("/sys/class/dmi/id/product_uuid");
  if (m.system_uuid.empty()) m.system_uuid = m.machine_id;
  return m;
}

std::string first_address() {
  std::string found = "127.0.0.1";
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return found;
  for (ifaddrs* i = all; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) != 0 ||
        (i->ifa_flags & IFF_UP) == 0 || std::string_view(i->ifa_name).starts_with("rs"))
      continue;
    char text[INET_ADDRSTRLEN];
    ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(i->ifa_addr)->sin_addr, text, sizeof text);
    found = text;
    break;
  }
  ::freeifaddrs(all);
  return found;
}

void refresh_node(Json& node, const NodeFacts& facts, WallTime now) {
  JsonObject labels{{"kubernetes.io/hostname", facts.node_name}, {"kubernetes.io/os", "linux"},
                    {"kubernetes.io/arch", facts.machine.architecture}, {"beta.kubernetes.io/os", "linux"},
                    {"beta.kubernetes.io/arch", facts.machine.architecture}};
  if (!facts.zone.empty()) labels["topology.kubernetes.io/zone"] = facts.zone;
  for (auto& [key, value] : labels) set(node, value, "metadata", "labels", std::string_view(key));
  if (!facts.pod_cidr.empty() && str(node, "spec", "podCIDR").empty()) {
    set(node, Json(facts.pod_cidr), "spec", "podCIDR");
    set(node, JsonArray{facts.pod_cidr}, "spec", "podCIDRs");
  }
  set(node, resources(facts), "status", "capacity");
  set(node, resources(facts), "status", "allocatable");
  set(node, JsonArray{JsonObject{{"type", "InternalIP"}, {"address", facts.address}},
                      JsonObject{{"type", "Hostname"}, {"address", facts.node_name}}}, "status", "addresses");
  set(node, JsonObject{{"architecture", facts.machine.architecture}, {"bootID", facts.machine.boot_id},
                       {"containerRuntimeVersion", facts.runtime_version}, {"kernelVersion", facts.machine.kernel},
                       {"kubeProxyVersion", ""}, {"kubeletVersion", "v1.32.0+roadstead." ROADSTEAD_VERSION},
                       {"machineID", facts.machine.machine_id}, {"operatingSystem", "linux"},
                       {"osImage", facts.machine.os_image}, {"systemUUID", facts.machine.system_uuid}},
      "status", "nodeInfo");
  set(node, JsonArray{JsonObject{{"names", JsonArray{"host"}}, {"sizeBytes", 0}}}, "status", "images");
  heartbeat(node, "MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available", now);
  heartbeat(node, "DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure", now);
  heartbeat(node, "PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available", now);
  heartbeat(node, "Ready", "True", "KubeletReady", "kubelet is posting ready status", now);
}

Json node_object(const NodeFacts& facts, WallTime now) {
  Json node = JsonObject{{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", JsonObject{{"name", facts.node_name}}}};
  refresh_node(node, facts, now);
  return node;
}

}  // namespace rs::node
