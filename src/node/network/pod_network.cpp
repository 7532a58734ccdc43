#include "node/network/pod_network.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <filesystem>
#include <sstream>

#include "base/json.h"
#include "base/log.h"

namespace rs::node {
namespace {

constexpr uint32_t kLastResortMetric = 4278198272u;
constexpr Duration kPluginLimit = std::chrono::seconds(30);

uint32_t mask_of(int prefix) { return prefix == 0 ? 0 : ~uint32_t{0} << (32 - prefix); }

// Networks that this machine has routes to, other than by the named device and the default route.
std::vector<Ipv4Network> used_networks(const std::string& but_device) {
  std::vector<Ipv4Network> used;
  auto text = read_file("/proc/net/route");
  std::istringstream in(text ? *text : "");
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::istringstream fields(line);
    std::string device, destination, gateway, flags, rest, mask;
    fields >> device >> destination >> gateway >> flags >> rest >> rest >> rest >> mask;
    Ipv4Network network{ntohl(static_cast<uint32_t>(std::strtoul(destination.c_str(), nullptr, 16))),
                        std::popcount(static_cast<uint32_t>(std::strtoul(mask.c_str(), nullptr, 16)))};
    if (device != but_device && device != "*" && network.prefix > 0) used.push_back(network);
  }
  return used;
}

// Two Roadsteads on one machine have two bridges.
std::string bridge_name(const std::string& data_dir) {
  uint64_t hash = 1469598103934665603ull;
  for (unsigned char c : data_dir) hash = (hash ^ c) * 1099511628211ull;
  return fmt::format("rs{:08x}", static_cast<uint32_t>(hash ^ (hash >> 32)));
}

}  // namespace

bool Ipv4Network::overlaps(const Ipv4Network& other) const {
  uint32_t mask = mask_of(std::min(prefix, other.prefix));
  return (address & mask) == (other.address & mask);
}

Result<Ipv4Network> parse_cidr(std::string_view text) {
  size_t slash = text.find('/');
  in_addr address{};
  if (slash == std::string_view::npos || ::inet_pton(AF_INET, std::string(text.substr(0, slash)).c_str(), &address) != 1)
    return fail(Code::kInvalid, "not an IPv4 range: \"{}\"", text);
  int prefix = std::atoi(std::string(text.substr(slash + 1)).c_str());
  if (prefix < 1 || prefix > 32) return fail(Code::kInvalid, "not an IPv4 range: \"{}\"", text);
  return Ipv4Network{ntohl(address.s_addr) & mask_of(prefix), prefix};
}

std::string to_string(const Ipv4Network& n) {
  return fmt::format("{}.{}.{}.{}/{}", n.address >> 24, n.address >> 16 & 255, n.address >> 8 & 255, n.address & 255, n.prefix);
}

Result<Ipv4Network> choose_subnet(const Ipv4Network& range, const std::vector<Ipv4Network>& used) {
  if (range.prefix > 24) return fail(Code::kInvalid, "the pod range {} is smaller than a /24", to_string(range));
  for (uint32_t i = 0; i < (1u << (24 - range.prefix)); ++i) {
    Ipv4Network candidate{range.address + (i << 8), 24};
    if (std::ranges::none_of(used, [&](const Ipv4Network& u) { return u.prefix >= 24 && u.overlaps(candidate); })) return candidate;
  }
  return fail(Code::kResourceExhausted, "every /24 of {} is in use on this machine", to_string(range));
}

Result<void> add_unreachable_route(const std::string& cidr) {
  auto network = parse_cidr(cidr);
  if (!network) return fail(network.error());
  struct {
    nlmsghdr header;
    rtmsg route;
    char attributes[64];
  } request{};
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(rtmsg));
  request.header.nlmsg_type = RTM_NEWROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  request.route.rtm_family = AF_INET;
  request.route.rtm_dst_len = static_cast<unsigned char>(network->prefix);
  request.route.rtm_table = RT_TABLE_MAIN;
  request.route.rtm_protocol = RTPROT_STATIC;
  request.route.rtm_scope = RT_SCOPE_UNIVERSE;
  request.route.rtm_type = RTN_UNREACHABLE;
  auto add = [&request](unsigned short type, uint32_t value) {
    auto* attribute = reinterpret_cast<rtattr*>(reinterpret_cast<char*>(&request) + NLMSG_ALIGN(request.header.nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = RTA_LENGTH(sizeof value);
    std::memcpy(RTA_DATA(attribute), &value, sizeof value);
    request.header.nlmsg_len = static_cast<uint32_t>(NLMSG_ALIGN(request.header.nlmsg_len) + RTA_ALIGN(attribute->rta_len));
  };
  add(RTA_DST, htonl(network->address));
  add(RTA_PRIORITY, kLastResortMetric);
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd || ::send(fd.get(), &request, request.header.nlmsg_len, 0) < 0)
    return fail(Code::kUnavailable, "add route {}: {}", cidr, std::strerror(errno));
  alignas(nlmsghdr) char answer[1024];
  ssize_t got = ::recv(fd.get(), answer, sizeof answer, 0);
  auto* header = reinterpret_cast<nlmsghdr*>(answer);
  if (got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr))) || header->nlmsg_type != NLMSG_ERROR)
    return fail(Code::kUnavailable, "add route {}: no answer", cidr);
  int error = -static_cast<nlmsgerr*>(NLMSG_DATA(header))->error;
  if (error != 0 && error != EEXIST) return fail(Code::kUnavailable, "add route {}: {}", cidr, std::strerror(error));
  return {};
}

PodNetwork::PodNetwork(async::Loop& loop, PodNetworkOptions options)
    : loop_(loop), options_(std::move(options)), bridge_(bridge_name(options_.data_dir)) {}

Result<void> PodNetwork::open() {
  if (::geteuid() != 0) return fail(Code::kUnavailable, "needs root");
  for (const std::string& range : {options_.pod_cidr, options_.service_cidr})
    if (auto added = add_unreachable_route(range); !added) return added;
  for (std::string_view name : {"bridge", "host-local"})
    if (::access(fmt::format("{}/{}", options_.plugin_dir, name).c_str(), X_OK) != 0)
      return fail(Code::kUnavailable, "the CNI plugin \"{}\" is not in {} (package containernetworking-plugins)", name, options_.plugin_dir);
  auto range = parse_cidr(options_.pod_cidr);
  if (!range) return fail(range.error());
  std::string path = options_.data_dir + "/network.json";
  auto used = used_networks(bridge_);
  if (auto text = read_file(path)) {
    auto kept = parse_json(*text);
    auto network = kept ? parse_cidr(str(*kept, "nodeCIDR")) : Result<Ipv4Network>(fail(kept.error()));
    if (network && network->overlaps(*range) && choose_subnet(*network, used)) {
      node_cidr_ = to_string(*network);
      return {};
    }
  }
  auto chosen = choose_subnet(*range, used);
  if (!chosen) return fail(chosen.error());
  node_cidr_ = to_string(*chosen);
  if (auto made = make_directories(options_.data_dir); !made) return made;
  return write_file(path, to_text(JsonObject{{"nodeCIDR", node_cidr_}, {"bridge", bridge_}}));
}

std::string PodNetwork::gateway() const {
  auto network = parse_cidr(node_cidr_);
  if (!network) return {};
  std::string text = to_string(Ipv4Network{network->address + 1, 32});
  return text.substr(0, text.find('/'));
}

std::string PodNetwork::configuration() const {
  // One set of one range; JsonArray{JsonArray{…}} would copy the inner one instead of holding it.
  JsonArray ranges;
  ranges.emplace_back(JsonArray{JsonObject{{"subnet", node_cidr_}}});
  JsonArray routes{JsonObject{{"dst", options_.pod_cidr}}, JsonObject{{"dst", options_.service_cidr}}};
  if (!options_.node_ip.empty() && !options_.node_ip.starts_with("127."))
    routes.push_back(JsonObject{{"dst", options_.node_ip + "/32"}});
  Json conf = JsonObject{
      {"cniVersion", "0.4.0"}, {"name", bridge_}, {"type", "bridge"}, {"bridge", bridge_}, {"isGateway", true},
      {"ipMasq", false}, {"hairpinMode", true},
      {"ipam", JsonObject{{"type", "host-local"},
                          {"ranges", std::move(ranges)},
                          {"routes", std::move(routes)},
                          {"dataDir", options_.data_dir + "/cni"}}}};
  return to_text(conf);
}

awaitable<Result<Outcome>> PodNetwork::plugin(std::string command, std::string uid, std::string ns, std::string name,
                                              std::string net_ns) {
  std::vector<std::string> env{"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + uid, "CNI_NETNS=" + net_ns, "CNI_IFNAME=eth0",
                               "CNI_PATH=" + options_.plugin_dir,
                               fmt::format("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={}", ns, name),
                               // The plugins are small Go programs: the collector and extra threads only cost time.
                               "GOGC=off", "GOMAXPROCS=1", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  co_return co_await run_to_end(loop_, options_.plugin_dir + "/bridge", {"bridge"}, std::move(env), configuration(), kPluginLimit);
}

awaitable<Result<std::string>> PodNetwork::add(std::string uid, std::string ns, std::string name, std::string net_ns) {
  auto outcome = co_await plugin("ADD", uid, ns, name, net_ns);
  if (!outcome) co_return fail(outcome.error());
  auto result = parse_json(outcome->out);
  if (outcome->exit_code != 0 || !result) {
    std::string why = result ? std::string(str(*result, "msg")) : outcome->err;
    // A half-made attachment must not keep its address.
    auto undone = co_await plugin("DEL", uid, ns, name, net_ns);
    (void)undone;
    co_return fail(Code::kUnavailable, "CNI plugin bridge: {}", why.empty() ? "no reason given" : why);
  }
  for (const Json& ip : array(*result, "ips")) {
    std::string_view address = str(ip, "address");
    if (!address.empty()) co_return std::string(address.substr(0, address.find('/')));
  }
  co_return fail(Code::kUnavailable, "CNI plugin bridge: no address in its answer");
}

awaitable<void> PodNetwork::remove(std::string uid, std::string net_ns) {
  auto outcome = co_await plugin("DEL", uid, "", "", net_ns);
  if (!outcome || outcome->exit_code != 0)
    log::warning("node", "pod network not removed", {{"pod", uid}, {"why", outcome ? outcome->out : outcome.error().message}});
}

}  // namespace rs::node
