#include "dns/zone.h"

#include <algorithm>

#include <boost/asio/ip/address.hpp>

namespace rs::dns {
namespace {

std::string canonical(std::string_view literal) {
  boost::system::error_code error;
  auto address = boost::asio::ip::make_address(std::string(literal.substr(0, 60)), error);
  return error ? std::string() : address.to_string();
}
bool is_v6(std::string_view ip) { return ip.find(':') != ip.npos; }

std::string dashed(std::string_view ip) {
  std::string out(ip);
  for (char& c : out)
    if (c == '.' || c == ':') c = '-';
  return out;
}

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

std::vector<std::string_view> split(std::string_view name) {
  std::vector<std::string_view> labels;
  while (!name.empty()) {
    auto dot = name.find('.');
    labels.push_back(name.substr(0, dot));
    name = dot == name.npos ? std::string_view() : name.substr(dot + 1);
  }
  return labels;
}

}  // namespace

void Zone::index_ip(const std::string& ip, const std::string& name, bool add) {
  if (add) {
    names_of_ip_[ip].insert(name);
    return;
  }
  auto known = names_of_ip_.find(ip);
  if (known == names_of_ip_.end()) return;
  known->second.erase(name);
  if (known->second.empty()) names_of_ip_.erase(known);
}

std::string Zone::service_name(const api::ObjectKey& key) const {
  return fmt::format("{}.{}.svc.{}", key.name, key.ns, options_.domain);
}

void Zone::apply_service(const api::ObjectKey& key, const Json* object) {
  if (auto old = services_.find(key); old != services_.end()) {
    for (const auto& ip : old->second.ips) index_ip(ip, service_name(key), false);
    services_.erase(old);
  }
  if (object == nullptr) return;
  Service service;
  if (str(*object, "spec", "type") == "ExternalName") service.external_name = lowered(str(*object, "spec", "externalName"));
  if (service.external_name.ends_with('.')) service.external_name.pop_back();
  service.publish_not_ready = boolean(*object, "spec", "publishNotReadyAddresses");
  std::vector<std::string> texts;
  for (const auto& item : array(*object, "spec", "clusterIPs"))
    if (item.is_string()) texts.emplace_back(item.get_string());
  if (texts.empty()) texts.emplace_back(str(*object, "spec", "clusterIP"));
  for (const auto& text : texts) {
    if (text == "None") service.headless = true;
    else if (auto ip = canonical(text); !ip.empty()) service.ips.push_back(std::move(ip));
  }
  for (const auto& item : array(*object, "spec", "ports")) {
    auto protocol = str(item, "protocol");
    service.ports.push_back({std::string(str(item, "name")), lowered(protocol.empty() ? "TCP" : protocol),
                             static_cast<uint16_t>(integer(item, "port"))});
  }
  for (const auto& ip : service.ips) index_ip(ip, service_name(key), true);
  services_[key] = std::move(service);
}

void Zone::apply_slice(const api::ObjectKey& key, const Json* object) {
  if (auto old = slices_.find(key); old != slices_.end()) {
    api::ObjectKey service{key.ns, old->second.service};
    for (const auto& host : old->second.hosts)
      if (host.own_name) index_ip(host.ip, host.name + "." + service_name(service), false);
    slices_of_[service].erase(key);
    if (slices_of_[service].empty()) slices_of_.erase(service);
    slices_.erase(old);
  }
  if (object == nullptr) return;
  Slice slice;
  slice.service = api::label(*object, "kubernetes.io/service-name");
  api::ObjectKey service{key.ns, slice.service};
  for (const auto& item : array(*object, "endpoints")) {
    const Json* ready = find(item, "conditions", "ready");
    for (const auto& address : array(item, "addresses")) {
      if (!address.is_string()) continue;
      Host host;
      host.ip = canonical(std::string_view(address.get_string()));
      if (host.ip.empty()) continue;
      host.ready = ready == nullptr || !ready->is_bool() || ready->get_bool();
      host.name = lowered(str(item, "hostname"));
      host.own_name = !host.name.empty();
      if (!host.own_name) host.name = dashed(host.ip);
      if (host.own_name) index_ip(host.ip, host.name + "." + service_name(service), true);
      slice.hosts.push_back(std::move(host));
    }
  }
  for (const auto& item : array(*object, "ports")) {
    auto protocol = str(item, "protocol");
    slice.ports.push_back({std::string(str(item, "name")), lowered(protocol.empty() ? "TCP" : protocol),
                           static_cast<uint16_t>(integer(item, "port"))});
  }
  slices_of_[service].insert(key);
  slices_[key] = std::move(slice);
}

void Zone::apply_pod(const api::ObjectKey& key, const Json* object) {
  std::set<std::string> now;
  if (object != nullptr) {
    auto phase = str(*object, "status", "phase");
    if (phase != "Succeeded" && phase != "Failed") {
      for (const auto& item : array(*object, "status", "podIPs")) now.insert(canonical(str(item, "ip")));
      now.insert(canonical(str(*object, "status", "podIP")));
      now.erase("");
    }
  }
  auto& before = pods_[key];
  for (const auto& ip : before)
    if (--pod_ips_[{key.ns, ip}] == 0) pod_ips_.erase({key.ns, ip});
  for (const auto& ip : now) ++pod_ips_[{key.ns, ip}];
  before = std::move(now);
  if (before.empty()) pods_.erase(key);
}

Record Zone::soa() const {
  return {options_.domain, Type::kSoa, options_.ttl, Soa{"ns.dns." + options_.domain, "hostmaster." + options_.domain, serial_, 7200, 1800, 86400, options_.ttl}};
}

// The SOA lets resolvers remember that there is nothing (RFC 2308).
Reply Zone::negative(Rcode rcode) const { return {.rcode = rcode, .authority = {soa()}}; }

Reply Zone::addresses(const Query& query, const std::vector<std::string>& ips) const {
  Reply reply;
  for (const auto& ip : ips) {
    auto type = is_v6(ip) ? Type::kAaaa : Type::kA;
    if (query.type == type || query.type == Type::kAny) reply.answers.push_back({{}, type, options_.ttl, Address{ip}});
  }
  return reply.answers.empty() ? negative(Rcode::kNoError) : reply;
}

std::vector<Zone::Host> Zone::hosts_of(const api::ObjectKey& key, const Service& service) const {
  std::vector<Host> hosts;
  std::set<std::string> seen;
  auto of = slices_of_.find(key);
  if (of == slices_of_.end()) return hosts;
  for (const auto& slice : of->second)
    for (const auto& host : slices_.at(slice).hosts)
      if ((host.ready || service.publish_not_ready) && seen.insert(host.ip).second) hosts.push_back(host);
  return hosts;
}

Reply Zone::answer_hosts(const Query& query, const api::ObjectKey& key, const Service& service, std::string_view hostname) const {
  std::vector<std::string> ips;
  for (const auto& host : hosts_of(key, service))
    if (hostname.empty() || host.name == hostname || dashed(host.ip) == hostname) ips.push_back(host.ip);
  if (ips.empty() && !hostname.empty()) return negative(Rcode::kNameError);
  return addresses(query, ips);
}

Reply Zone::answer_srv(const Query& query, const api::ObjectKey& key, const Service& service, std::string_view port,
                       std::string_view protocol) const {
  Reply reply;
  bool exists = false;
  auto add = [&](uint16_t number, const std::string& target, const std::vector<std::string>& ips) {
    reply.answers.push_back({{}, Type::kSrv, options_.ttl, Srv{0, 100, number, target}});
    for (const auto& ip : ips) reply.additional.push_back({target, is_v6(ip) ? Type::kAaaa : Type::kA, options_.ttl, Address{ip}});
  };
  auto matches = [&](const Port& candidate) { return candidate.name == port && candidate.protocol == protocol; };
  if (!service.headless) {
    for (const auto& candidate : service.ports) {
      if (!matches(candidate)) continue;
      exists = true;
      add(candidate.number, service_name(key), service.ips);
    }
  } else {
    for (const auto& candidate : service.ports) exists = exists || matches(candidate);
    auto of = slices_of_.find(key);
    if (of != slices_of_.end()) {
      for (const auto& slice_key : of->second) {
        const auto& slice = slices_.at(slice_key);
        for (const auto& candidate : slice.ports) {
          if (!matches(candidate)) continue;
          exists = true;
          for (const auto& host : slice.hosts)
            if (host.ready || service.publish_not_ready) add(candidate.number, host.name + "." + service_name(key), {host.ip});
        }
      }
    }
  }
  if (!exists) return negative(Rcode::kNameError);
  if (query.type != Type::kSrv && query.type != Type::kAny) return negative(Rcode::kNoError);
  return reply.answers.empty() ? negative(Rcode::kNoError) : reply;
}

bool Zone::namespace_exists(std::string_view ns) const {
  auto service = services_.lower_bound({std::string(ns), ""});
  if (service != services_.end() && service->first.ns == ns) return true;
  auto pod = pods_.lower_bound({std::string(ns), ""});
  return pod != pods_.end() && pod->first.ns == ns;
}

// labels end with the namespace: [_port _protocol | hostname] service namespace.
Reply Zone::answer_service(const Query& query, const std::vector<std::string_view>& labels) const {
  if (labels.size() == 1) return negative(namespace_exists(labels[0]) ? Rcode::kNoError : Rcode::kNameError);
  size_t count = labels.size();
  api::ObjectKey key{std::string(labels[count - 1]), std::string(labels[count - 2])};
  auto found = services_.find(key);
  if (found == services_.end() || count > 4) return negative(Rcode::kNameError);
  const auto& service = found->second;
  if (!service.external_name.empty()) {
    if (count > 2) return negative(Rcode::kNameError);
    return {.answers = {{{}, Type::kCname, options_.ttl, Name{service.external_name}}}};
  }
  if (count == 4) {
    if (!labels[0].starts_with('_') || !labels[1].starts_with('_')) return negative(Rcode::kNameError);
    return answer_srv(query, key, service, labels[0].substr(1), labels[1].substr(1));
  }
  if (count == 3) {
    if (labels[0] == "_tcp" || labels[0] == "_udp") return negative(Rcode::kNoError);
    return answer_hosts(query, key, service, labels[0]);
  }
  if (service.headless) return answer_hosts(query, key, service, {});
  return addresses(query, service.ips);
}

// labels: dashed-ip namespace.
Reply Zone::answer_pod(const Query& query, const std::vector<std::string_view>& labels) const {
  if (labels.size() == 1) return negative(namespace_exists(labels[0]) ? Rcode::kNoError : Rcode::kNameError);
  if (labels.size() > 2) return negative(Rcode::kNameError);
  std::string v4(labels[0]), v6(labels[0]);
  std::replace(v4.begin(), v4.end(), '-', '.');
  std::replace(v6.begin(), v6.end(), '-', ':');
  for (const auto& text : {v4, v6}) {
    auto ip = canonical(text);
    if (!ip.empty() && pod_ips_.contains({std::string(labels[1]), ip})) return addresses(query, {ip});
  }
  return negative(Rcode::kNameError);
}

std::optional<Reply> Zone::answer_reverse(const Query& query) const {
  auto ip = reverse_ip(query.name);
  if (ip.empty()) return std::nullopt;
  auto names = names_of_ip_.find(ip);
  if (names == names_of_ip_.end()) return std::nullopt;
  if (query.type != Type::kPtr && query.type != Type::kAny) return negative(Rcode::kNoError);
  Reply reply;
  for (const auto& name : names->second) reply.answers.push_back({{}, Type::kPtr, options_.ttl, Name{name}});
  return reply;
}

std::optional<Reply> Zone::answer(const Query& query) const {
  std::string_view name = query.name;
  if (name.ends_with(".in-addr.arpa") || name.ends_with(".ip6.arpa")) return answer_reverse(query);
  bool apex = name == options_.domain;
  if (!apex && !(name.size() > options_.domain.size() && name.ends_with(options_.domain) &&
                 name[name.size() - options_.domain.size() - 1] == '.'))
    return std::nullopt;
  if (query.record_class != 1 && query.record_class != 255) return Reply{.rcode = Rcode::kRefused, .authoritative = false};
  if (apex) {
    if (query.type == Type::kSoa || query.type == Type::kAny) return Reply{.answers = {soa()}};
    if (query.type == Type::kNs) return Reply{.answers = {{{}, Type::kNs, options_.ttl, Name{"ns.dns." + options_.domain}}}};
    return negative(Rcode::kNoError);
  }
  auto labels = split(name.substr(0, name.size() - options_.domain.size() - 1));
  if (labels.size() == 1 && labels[0] == "dns-version") {
    if (query.type != Type::kTxt && query.type != Type::kAny) return negative(Rcode::kNoError);
    return Reply{.answers = {{{}, Type::kTxt, options_.ttl, Text{"1.1.0"}}}};
  }
  if (!synced_) return Reply{.rcode = Rcode::kServerFailure, .authoritative = false};
  auto kind = labels.back();
  labels.pop_back();
  if (kind != "svc" && kind != "pod") return negative(Rcode::kNameError);
  if (labels.empty()) return negative(Rcode::kNoError);
  return kind == "svc" ? answer_service(query, labels) : answer_pod(query, labels);
}

std::string reverse_ip(std::string_view name) {
  auto labels = split(name);
  if (labels.size() == 6 && name.ends_with(".in-addr.arpa"))
    return canonical(fmt::format("{}.{}.{}.{}", labels[3], labels[2], labels[1], labels[0]));
  if (labels.size() != 34 || !name.ends_with(".ip6.arpa")) return {};
  std::string text;
  for (int i = 31; i >= 0; --i) {
    text += labels[static_cast<size_t>(i)];
    if (i % 4 == 0 && i > 0) text += ':';
  }
  return canonical(text);
}

}  // namespace rs::dns
