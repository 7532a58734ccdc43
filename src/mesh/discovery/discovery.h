// Discovery: merges Services, EndpointSlices and Pods into one view per service. Pure: objects in, views out.
//
// - An object that cannot be decoded is quarantined: what was last understood of it stays in use, and nothing else is
//   touched (reference mesh.md B.5.1).
// - Nothing is Absent or Empty before synced(): a source that has not told all cannot say that something is not there.
// - Views restored from disk serve until the API confirms or replaces them (B.5.7).
// - Draining marks outlive updates of the slices, until the endpoint is gone (B.5.9).
// Lives on one loop; the views it gives out are immutable and may go anywhere.
#pragma once

#include <map>
#include <set>

#include "mesh/discovery/decode.h"

namespace rs::mesh {

struct Quarantined {
  std::string resource;      // "services", "endpointslices"
  api::ObjectKey key;
  std::string reason;
  bool has_last_good = false;
};

class Discovery {
 public:
  // object nullptr: deleted.
  void apply_service(const ServiceKey& key, const Json* object);
  void apply_slice(const api::ObjectKey& key, const Json* object);
  void apply_pod(const api::ObjectKey& key, const Json* object);
  // Everything the API holds has been applied: what is only on disk goes, and what is not here is Absent.
  void synced(int64_t revision);
  bool is_synced() const { return synced_; }
  void restore(std::vector<ServiceView> views);

  // Marks the endpoints of a pod. Endpoints without a pod's uid are matched by address ("ip" or "ip:port").
  void drain(const std::string& pod_uid, const std::vector<std::string>& addresses);

  // Services whose view may have changed since the last call; rebuilt on the way.
  struct Changes {
    std::vector<std::pair<ServiceKey, ServiceViewPtr>> services;          // null: gone
    std::vector<std::pair<std::string, std::string>> pod_namespaces;      // ip -> namespace; empty: gone
    bool empty() const { return services.empty() && pod_namespaces.empty(); }
  };
  Changes take_changes();

  const std::map<ServiceKey, ServiceViewPtr>& views() const { return views_; }
  const std::map<std::string, std::string, std::less<>>& pod_namespaces() const { return pod_namespaces_; }
  const std::map<std::pair<std::string, api::ObjectKey>, Quarantined>& quarantined() const { return quarantined_; }
  int64_t revision() const { return revision_; }

 private:
  struct Drained {
    std::set<std::string> uids;
    std::set<std::string, std::less<>> addresses;
  };
  ServiceViewPtr build(const ServiceKey& key) const;
  Resolution endpoints_of(const ServiceKey& key, const ServiceRecord& service, const PortView& port) const;
  bool is_drained(const Endpoint& endpoint) const;
  void forget_finished_drains();
  void quarantine(std::string resource, const api::ObjectKey& key, const Error& error, bool has_last_good);
  void release(const std::string& resource, const api::ObjectKey& key) { quarantined_.erase({resource, key}); }

  std::map<ServiceKey, ServiceRecord> services_;
  std::map<api::ObjectKey, SliceRecord> slices_;
  std::map<ServiceKey, std::set<api::ObjectKey>> slices_of_;
  std::map<api::ObjectKey, std::vector<std::string>> pods_;
  std::map<ServiceKey, ServiceViewPtr> views_;
  std::map<ServiceKey, ServiceViewPtr> restored_;
  std::map<std::string, std::string, std::less<>> pod_namespaces_;
  std::map<std::pair<std::string, api::ObjectKey>, Quarantined> quarantined_;
  std::set<ServiceKey> undecodable_services_;      // never understood, and not known to be gone
  std::map<api::ObjectKey, ServiceKey> undecodable_slices_;
  Drained drained_;
  std::set<ServiceKey> dirty_;
  std::set<std::string> dirty_ips_;
  int64_t revision_ = 0;
  bool synced_ = false;
};

}  // namespace rs::mesh
