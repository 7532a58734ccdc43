// Zone: the names of the cluster, after "Kubernetes DNS-Based Service Discovery" 1.1.0
// (kubernetes/dns docs/specification.md), with CoreDNS's readings where that is silent. Pure: objects in, replies out.
//
// A name that exists without records of the type asked is an empty answer (NODATA), one that does not exist NXDOMAIN:
// resolvers then go on with their search list. A headless service without ready endpoints exists. Before the API has
// told everything the answer is SERVFAIL, never "does not exist".
#pragma once

#include <map>
#include <set>

#include "api/meta.h"
#include "dns/message.h"

namespace rs::dns {

struct ZoneOptions {
  std::string domain = "cluster.local";
  uint32_t ttl = 5;
};

class Zone {
 public:
  explicit Zone(ZoneOptions options = {}) : options_(std::move(options)) {}

  // object nullptr: deleted.
  void apply_service(const api::ObjectKey& key, const Json* object);
  void apply_slice(const api::ObjectKey& key, const Json* object);
  void apply_pod(const api::ObjectKey& key, const Json* object);
  void set_synced(uint32_t serial) { synced_ = true; serial_ = serial; }

  // Nothing: the name is not of this zone, nor an address of it.
  std::optional<Reply> answer(const Query& query) const;

 private:
  struct Port {
    std::string name, protocol;  // "http", "tcp"
    uint16_t number = 0;
  };
  struct Service {
    bool headless = false, publish_not_ready = false;
    std::string external_name;
    std::vector<std::string> ips;
    std::vector<Port> ports;
  };
  struct Host {                  // an endpoint of a slice
    std::string ip, name;        // name: its hostname, else its address with dashes
    bool ready = true, own_name = false;
  };
  struct Slice {
    std::string service;
    std::vector<Host> hosts;
    std::vector<Port> ports;
  };
  Reply answer_service(const Query& query, const std::vector<std::string_view>& labels) const;
  Reply answer_hosts(const Query& query, const api::ObjectKey& key, const Service& service, std::string_view hostname) const;
  Reply answer_srv(const Query& query, const api::ObjectKey& key, const Service& service, std::string_view port, std::string_view protocol) const;
  Reply answer_pod(const Query& query, const std::vector<std::string_view>& labels) const;
  std::optional<Reply> answer_reverse(const Query& query) const;
  std::vector<Host> hosts_of(const api::ObjectKey& key, const Service& service) const;
  Reply negative(Rcode rcode) const;
  Reply addresses(const Query& query, const std::vector<std::string>& ips) const;
  void index_ip(const std::string& ip, const std::string& name, bool add);
  std::string service_name(const api::ObjectKey& key) const;
  bool namespace_exists(std::string_view ns) const;
  Record soa() const;

  ZoneOptions options_;
  std::map<api::ObjectKey, Service> services_;
  std::map<api::ObjectKey, Slice> slices_;
  std::map<api::ObjectKey, std::set<api::ObjectKey>> slices_of_;
  std::map<api::ObjectKey, std::set<std::string>> pods_;                    // pod -> addresses
  std::map<std::pair<std::string, std::string>, int> pod_ips_;              // namespace, ip -> pods
  std::map<std::string, std::set<std::string>> names_of_ip_;                // for PTR
  bool synced_ = false;
  uint32_t serial_ = 0;
};

// "17.0.43.10.in-addr.arpa" as "10.43.0.17"; also ip6.arpa; empty for anything else.
std::string reverse_ip(std::string_view name);

}  // namespace rs::dns
