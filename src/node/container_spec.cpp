#include "node/container_spec.h"

#include <cstdlib>
#include <algorithm>

#include "api/meta.h"
#include "node/pod_core.h"

namespace rs::node {
namespace {

constexpr std::string_view kCapabilityNames[] = {
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
    "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
    "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND",
    "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};

uint64_t capability_bits(const Json& name) {
  if (!name.is_string()) return 0;
  std::string_view text = name.get_string();
  if (text == "ALL") return ~uint64_t{0};
  if (text.starts_with("CAP_")) text.remove_prefix(4);
  auto it = std::ranges::find(kCapabilityNames, text);
  return it == std::end(kCapabilityNames) ? 0 : uint64_t{1} << (it - std::begin(kCapabilityNames));
}

uint64_t capabilities_of(const Json& container) {
  uint64_t bits = kDefaultCapabilities;
  for (const Json& name : array(container, "securityContext", "capabilities", "drop")) bits &= ~capability_bits(name);
  for (const Json& name : array(container, "securityContext", "capabilities", "add")) bits |= capability_bits(name);
  return bits;
}

// A container's own security setting, or its pod's.
const Json* security(const SpecInput& in, std::string_view name) {
  const Json* own = find(in.container, "securityContext", name);
  return own != nullptr ? own : find(in.pod, "spec", "securityContext", name);
}

// KEP: pod QoS out-of-memory scores (pkg/kubelet/qos/policy.go). Negative ones need a right that containers hosts lack.
int oom_score(const SpecInput& in) {
  std::string_view qos = qos_class(in.pod);
  if (qos == "BestEffort") return 1000;
  if (qos == "Guaranteed" || in.machine_memory <= 0) return 0;
  auto request = api::quantity_value(str(in.container, "resources", "requests", "memory"));
  int64_t score = 1000 - (request ? *request : 0) * 1000 / in.machine_memory;
  return static_cast<int>(std::clamp<int64_t>(score, 3, 999));
}

Limits limits_of(const Json& container) {
  Limits limits;
  if (auto v = api::quantity_value(str(container, "resources", "limits", "memory"))) limits.memory_bytes = *v;
  if (auto v = api::quantity_milli(str(container, "resources", "limits", "cpu"))) limits.cpu_limit_milli = *v;
  if (auto v = api::quantity_milli(str(container, "resources", "requests", "cpu"))) limits.cpu_request_milli = *v;
  return limits;
}

void set_user(const SpecInput& in, ContainerSpec& spec) {
  if (const Json* user = security(in, "runAsUser")) spec.user = integer_of(user, 0);
  if (const Json* group = security(in, "runAsGroup")) spec.group = integer_of(group, 0);
  if (spec.user && !spec.group) spec.group = *spec.user == 0 ? 0 : *spec.user;
  if (const Json* fs_group = find(in.pod, "spec", "securityContext", "fsGroup")) spec.groups.push_back(integer_of(fs_group, 0));
  for (const Json& group : array(in.pod, "spec", "securityContext", "supplementalGroups")) spec.groups.push_back(integer_of(&group, 0));
}

}  // namespace

std::optional<std::string> image_problem(std::string_view image) {
  std::string_view name = image.substr(0, image.find_first_of(":@"));
  if (name == "host") return std::nullopt;
  return fmt::format("failed to pull image \"{}\": the process runtime has one image, \"host\" (the machine's own files); "
                     "write image: host, with the program's path as command", image);
}

std::string hostname_of(const Json& pod) {
  std::string name(str(pod, "spec", "hostname"));
  if (name.empty()) name = api::name_of(pod);
  return name.substr(0, 63);
}

Result<ContainerSpec> make_container_spec(const SpecInput& in) {
  ContainerSpec spec;
  spec.uid = api::uid_of(in.pod);
  spec.name = str(in.container, "name");
  // The image is the machine's own root file system, so its programs are found as the agent finds its own.
  const char* own_path = std::getenv("PATH");
  std::string path = own_path != nullptr && *own_path != '\0' ? own_path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  Variables all{{"PATH", std::move(path)}, {"HOSTNAME", in.hostname}, {"HOME", "/root"}};
  for (const Variable& v : in.environment) {
    std::erase_if(all, [&](const Variable& have) { return have.first == v.first; });
    all.push_back(v);
  }
  if (boolean(in.container, "tty") && std::ranges::none_of(all, [](const Variable& v) { return v.first == "TERM"; }))
    all.emplace_back("TERM", "xterm");
  for (const Variable& v : all) spec.env.push_back(v.first + "=" + v.second);
  spec.args = expand_all(array(in.container, "command"), in.environment);
  for (std::string& arg : expand_all(array(in.container, "args"), in.environment)) spec.args.push_back(std::move(arg));
  if (spec.args.empty()) return fail(Code::kInvalid, "no command specified: the image \"host\" has none of its own");
  spec.working_dir = str(in.container, "workingDir");
  if (spec.working_dir.empty()) spec.working_dir = "/";
  set_user(in, spec);
  const Json* non_root = security(in, "runAsNonRoot");
  if (non_root != nullptr && non_root->is_bool() && non_root->get_bool() && spec.user.value_or(0) == 0)
    return fail(Code::kInvalid, "container has runAsNonRoot and image will run as root (pod: \"{}_{}({})\", container: {})",
                api::name_of(in.pod), api::namespace_of(in.pod), spec.uid, spec.name);
  spec.privileged = boolean(in.container, "securityContext", "privileged");
  const Json* escalation = find(in.container, "securityContext", "allowPrivilegeEscalation");
  spec.no_new_privileges = escalation != nullptr && escalation->is_bool() && !escalation->get_bool() && !spec.privileged;
  spec.read_only_root = boolean(in.container, "securityContext", "readOnlyRootFilesystem");
  spec.capabilities = capabilities_of(in.container);
  spec.tty = boolean(in.container, "tty");
  spec.with_stdin = boolean(in.container, "stdin");
  spec.host_network = boolean(in.pod, "spec", "hostNetwork");
  spec.oom_score_adj = oom_score(in);
  spec.limits = limits_of(in.container);
  return spec;
}

std::string resolv_conf(const Json& pod, const DnsSettings& settings) {
  std::string_view policy = str(pod, "spec", "dnsPolicy");
  bool host_network = boolean(pod, "spec", "hostNetwork");
  bool cluster = policy == "ClusterFirstWithHostNet" || ((policy.empty() || policy == "ClusterFirst") && !host_network);
  std::vector<std::string> servers, searches, options;
  std::string text;
  if (cluster && !settings.cluster_dns.empty()) {
    servers.push_back(settings.cluster_dns);
    searches = {fmt::format("{}.svc.{}", api::namespace_of(pod), settings.cluster_domain), "svc." + settings.cluster_domain,
                settings.cluster_domain};
    options.emplace_back("ndots:5");
  } else if (policy != "None") {
    text = settings.machine_resolv_conf;
  }
  for (const Json& s : array(pod, "spec", "dnsConfig", "nameservers"))
    if (s.is_string()) servers.emplace_back(s.get_string());
  for (const Json& s : array(pod, "spec", "dnsConfig", "searches"))
    if (s.is_string()) searches.emplace_back(s.get_string());
  for (const Json& o : array(pod, "spec", "dnsConfig", "options")) {
    std::erase_if(options, [&](const std::string& have) { return have.substr(0, have.find(':')) == str(o, "name"); });
    options.push_back(str(o, "value").empty() ? std::string(str(o, "name")) : fmt::format("{}:{}", str(o, "name"), str(o, "value")));
  }
  if (!searches.empty()) text += fmt::format("search {}\n", fmt::join(searches, " "));
  for (const std::string& server : servers) text += fmt::format("nameserver {}\n", server);
  if (!options.empty()) text += fmt::format("options {}\n", fmt::join(options, " "));
  return text;
}

std::string hosts_file(const Json& pod, std::string_view pod_ip, std::string_view cluster_domain) {
  std::string text =
      "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";
  std::string host = hostname_of(pod);
  if (std::string_view sub = str(pod, "spec", "subdomain"); !sub.empty())
    text += fmt::format("{}\t{}.{}.{}.svc.{}\t{}\n", pod_ip, host, sub, api::namespace_of(pod), cluster_domain, host);
  else
    text += fmt::format("{}\t{}\n", pod_ip, host);
  if (!array(pod, "spec", "hostAliases").empty()) text += "\n# Entries added by HostAliases.\n";
  for (const Json& alias : array(pod, "spec", "hostAliases")) {
    std::string names;
    for (const Json& name : array(alias, "hostnames"))
      if (name.is_string()) names += fmt::format("\t{}", std::string_view(name.get_string()));
    text += fmt::format("{}{}\n", str(alias, "ip"), names);
  }
  return text;
}

}  // namespace rs::node
