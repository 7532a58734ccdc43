// What the scheduler knows: nodes, the pods on them, and pods read once into the form that filters and scores ask for.
// Values; pure; one loop.
#pragma once

#include <map>
#include <set>

#include "api/selector.h"
#include "control/controllers/pods.h"

namespace rs::control {

struct Resources {
  int64_t milli_cpu = 0;
  int64_t memory = 0;                      // bytes
  int64_t ephemeral_storage = 0;           // bytes
  std::map<std::string, int64_t> others;   // extended resources and huge pages, in whole units
  void add(const Resources& other);
  void subtract(const Resources& other);
};

struct HostPort {
  std::string ip, protocol;  // ip 0.0.0.0: all
  int64_t port = 0;
  bool conflicts_with(const HostPort& other) const;
};

struct Toleration {
  std::string key, op, value, effect;
};
struct Taint {
  std::string key, value, effect;
};
bool tolerates(const Toleration& toleration, const Taint& taint);
std::vector<Taint> taints_of(const Json& node);
std::vector<Toleration> tolerations_of(const Json& pod);

// One term of a node selector: all requirements hold. Empty terms match nothing.
struct NodeTerm {
  struct Requirement {
    std::string key, op;
    std::vector<std::string> values;
    bool is_field = false;             // metadata.name rather than a label
  };
  std::vector<Requirement> requirements;
  int64_t weight = 0;                  // of a preferred term
  bool matches(const Json& node) const;
};

// A term of pod (anti-)affinity.
struct PodTerm {
  api::LabelSelector selector;
  std::set<std::string> namespaces;
  std::optional<api::LabelSelector> namespace_selector;
  std::string topology_key;
  int64_t weight = 0;
};

struct SpreadConstraint {
  int64_t max_skew = 1, min_domains = 1;
  std::string topology_key;
  bool hard = true;                    // DoNotSchedule
  bool honour_affinity = true, honour_taints = false;
  api::LabelSelector selector;
};

struct PodInfo {
  ObjectPtr object;
  api::ObjectKey key;
  std::string uid, owner_uid;          // owner: its controller, empty when it has none
  int64_t priority = 0;
  Resources requests;
  int64_t score_cpu = 0, score_memory = 0;  // requests with a guess for containers that ask for nothing
  std::vector<HostPort> host_ports;
  std::vector<Toleration> tolerations;
  std::optional<std::vector<NodeTerm>> required_nodes;
  std::vector<NodeTerm> preferred_nodes;
  std::vector<PodTerm> affinity, anti_affinity, preferred_affinity, preferred_anti_affinity;
  std::vector<SpreadConstraint> spread;
  const JsonObject& labels() const { return rs::object(*object, "metadata", "labels"); }
  bool wants_node(const Json& node) const;   // nodeSelector and required node affinity
};
using PodInfoPtr = std::shared_ptr<const PodInfo>;
PodInfoPtr read_pod(ObjectPtr pod);

struct NodeInfo {
  ObjectPtr object;                    // null: pods run there, but the node is not known (yet, or any more)
  Resources allocatable, requested;
  int64_t allocatable_pods = 0;
  int64_t score_cpu = 0, score_memory = 0;
  std::vector<Taint> taints;
  std::map<std::string, int64_t, std::less<>> images;  // name -> bytes
  std::map<api::ObjectKey, PodInfoPtr> pods;
  std::string_view label(std::string_view name) const { return api::label(*object, name); }
  bool has_label(std::string_view name) const { return find(*object, "metadata", "labels", name) != nullptr; }
};

class Cluster {
 public:
  void set_node(ObjectPtr node);
  void remove_node(std::string_view name);
  // Puts the pod on a node, taking it off the one it was on.
  void place(PodInfoPtr pod, const std::string& node);
  void remove_pod(const api::ObjectKey& key);
  const std::string* node_of(const api::ObjectKey& key) const;  // null: not placed
  void set_namespace(const std::string& name, JsonObject labels) { namespaces_[name] = std::move(labels); }
  void remove_namespace(const std::string& name) { namespaces_.erase(name); }

  const std::map<std::string, NodeInfo, std::less<>>& nodes() const { return nodes_; }
  bool term_matches(const PodTerm& term, const PodInfo& pod) const;

 private:
  std::map<std::string, NodeInfo, std::less<>> nodes_;
  std::map<api::ObjectKey, std::string> placed_;
  std::map<std::string, JsonObject> namespaces_;
};

}  // namespace rs::control
