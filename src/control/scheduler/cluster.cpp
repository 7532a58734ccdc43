#include "control/scheduler/cluster.h"

#include <charconv>

namespace rs::control {

void Resources::add(const Resources& other) {
  milli_cpu += other.milli_cpu;
  memory += other.memory;
  ephemeral_storage += other.ephemeral_storage;
  for (const auto& [name, count] : other.others) others[name] += count;
}

void Resources::subtract(const Resources& other) {
  milli_cpu -= other.milli_cpu;
  memory -= other.memory;
  ephemeral_storage -= other.ephemeral_storage;
  for (const auto& [name, count] : other.others) others[name] -= count;
}

bool HostPort::conflicts_with(const HostPort& other) const {
  if (port != other.port || protocol != other.protocol) return false;
  return ip == other.ip || ip == "0.0.0.0" || other.ip == "0.0.0.0";
}

bool tolerates(const Toleration& toleration, const Taint& taint) {
  if (!toleration.effect.empty() && toleration.effect != taint.effect) return false;
  if (!toleration.key.empty() && toleration.key != taint.key) return false;
  if (toleration.op == "Exists") return true;
  return (toleration.op.empty() || toleration.op == "Equal") && !toleration.key.empty() && toleration.value == taint.value;
}

std::vector<Taint> taints_of(const Json& node) {
  std::vector<Taint> taints;
  for (const Json& taint : array(node, "spec", "taints"))
    taints.push_back({std::string(str(taint, "key")), std::string(str(taint, "value")), std::string(str(taint, "effect"))});
  return taints;
}

std::vector<Toleration> tolerations_of(const Json& pod) {
  std::vector<Toleration> tolerations;
  for (const Json& entry : array(pod, "spec", "tolerations"))
    tolerations.push_back({std::string(str(entry, "key")), std::string(str(entry, "operator")),
                           std::string(str(entry, "value")), std::string(str(entry, "effect"))});
  return tolerations;
}

namespace {
bool holds(const NodeTerm::Requirement& requirement, const Json& node) {
  const Json* label = requirement.is_field ? find(node, "metadata", "name")
                                           : find(node, "metadata", "labels", std::string_view(requirement.key));
  std::string_view value = label == nullptr ? std::string_view() : str(*label);
  auto listed = [&] { return std::ranges::find(requirement.values, value) != requirement.values.end(); };
  if (requirement.op == "In") return label != nullptr && listed();
  if (requirement.op == "NotIn") return label == nullptr || !listed();
  if (requirement.op == "Exists") return label != nullptr;
  if (requirement.op == "DoesNotExist") return label == nullptr;
  if (requirement.op != "Gt" && requirement.op != "Lt") return false;
  auto number = [](std::string_view text) -> std::optional<int64_t> {
    int64_t out = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return out;
  };
  if (label == nullptr || requirement.values.size() != 1) return false;
  auto have = number(value), limit = number(requirement.values[0]);
  if (!have || !limit) return false;
  return requirement.op == "Gt" ? *have > *limit : *have < *limit;
}

std::vector<std::string> strings(const JsonArray& list) {
  std::vector<std::string> out;
  for (const Json& item : list) out.emplace_back(str(item));
  return out;
}

NodeTerm read_node_term(const Json& term, int64_t weight) {
  NodeTerm out;
  out.weight = weight;
  for (const char* list : {"matchExpressions", "matchFields"})
    for (const Json& entry : array(term, list))
      out.requirements.push_back({std::string(str(entry, "key")), std::string(str(entry, "operator")),
                                  strings(array(entry, "values")), std::string_view(list) == "matchFields"});
  return out;
}

api::LabelSelector selector_of(const Json* selector) {
  auto parsed = api::LabelSelector::from_json(selector);
  // An unreadable selector matches nothing: it must not attract or repel every pod.
  return parsed ? std::move(*parsed) : *api::LabelSelector::from_json(nullptr);
}

// A selector narrowed to the values the pod itself has (matchLabelKeys, KEP-3243).
api::LabelSelector narrowed(const Json& holder, const char* field, const Json& pod) {
  const Json* selector = find(holder, field);
  if (selector == nullptr || array(holder, "matchLabelKeys").empty()) return selector_of(selector);
  Json copy = *selector;
  for (const Json& key : array(holder, "matchLabelKeys")) {
    const Json* value = find(pod, "metadata", "labels", str(key));
    if (value != nullptr) set(copy, *value, "matchLabels", str(key));
  }
  return selector_of(&copy);
}

PodTerm read_pod_term(const Json& term, const Json& pod, int64_t weight) {
  PodTerm out;
  out.selector = narrowed(term, "labelSelector", pod);
  for (const Json& name : array(term, "namespaces")) out.namespaces.emplace(str(name));
  const Json* namespaces = find(term, "namespaceSelector");
  if (namespaces != nullptr) out.namespace_selector = selector_of(namespaces);
  if (out.namespaces.empty() && namespaces == nullptr) out.namespaces.emplace(api::namespace_of(pod));
  out.topology_key = str(term, "topologyKey");
  out.weight = weight;
  return out;
}

int64_t milli(std::string_view text) { return api::quantity_milli(text).value_or(0); }
int64_t whole(std::string_view text) { return api::quantity_value(text).value_or(0); }

Resources read_resources(const JsonObject& list) {
  Resources out;
  for (const auto& entry : list) {
    std::string_view name = entry.key();
    std::string quantity = entry.value().is_number() ? to_text(entry.value()) : std::string(str(entry.value()));
    if (name == "cpu") out.milli_cpu = milli(quantity);
    else if (name == "memory") out.memory = whole(quantity);
    else if (name == "ephemeral-storage") out.ephemeral_storage = whole(quantity);
    else if (name != "pods") out.others[std::string(name)] = whole(quantity);
  }
  return out;
}

Resources larger(const Resources& a, const Resources& b) {
  Resources out = a;
  out.milli_cpu = std::max(a.milli_cpu, b.milli_cpu);
  out.memory = std::max(a.memory, b.memory);
  out.ephemeral_storage = std::max(a.ephemeral_storage, b.ephemeral_storage);
  for (const auto& [name, count] : b.others) out.others[name] = std::max(out.others[name], count);
  return out;
}

// What the pod needs at most at any moment (KEP-753): its containers together with sidecars, or one init container
// with the sidecars started before it; plus overhead. guess: a default for containers that ask for nothing.
Resources read_requests(const Json& pod, bool guess) {
  auto of = [guess](const Json& container) {
    constexpr int64_t kGuessedCpu = 100, kGuessedMemory = 200 * 1024 * 1024;
    const JsonObject& list = object(container, "resources", "requests");
    Resources out = read_resources(list);
    if (guess && !list.contains("cpu")) out.milli_cpu = kGuessedCpu;
    if (guess && !list.contains("memory")) out.memory = kGuessedMemory;
    return out;
  };
  Resources running, sidecars, peak;
  for (const Json& container : array(pod, "spec", "containers")) running.add(of(container));
  for (const Json& container : array(pod, "spec", "initContainers")) {
    Resources own = of(container);
    own.add(sidecars);
    if (str(container, "restartPolicy") == "Always") sidecars = own;
    peak = larger(peak, own);
  }
  running.add(sidecars);
  Resources out = larger(running, peak);
  out.add(read_resources(object(pod, "spec", "overhead")));
  return out;
}

std::vector<HostPort> read_host_ports(const Json& pod) {
  std::vector<HostPort> out;
  for (const Json& container : array(pod, "spec", "containers"))
    for (const Json& port : array(container, "ports")) {
      int64_t number = integer(port, "hostPort");
      if (number <= 0) continue;
      std::string_view ip = str(port, "hostIP"), protocol = str(port, "protocol");
      out.push_back({std::string(ip.empty() ? "0.0.0.0" : ip), std::string(protocol.empty() ? "TCP" : protocol), number});
    }
  return out;
}

void read_affinity(PodInfo& info, const Json& pod) {
  constexpr auto kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
  constexpr auto kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";
  if (const Json* required = find(pod, "spec", "affinity", "nodeAffinity", kRequired)) {
    info.required_nodes.emplace();
    for (const Json& term : array(*required, "nodeSelectorTerms")) info.required_nodes->push_back(read_node_term(term, 0));
  }
  for (const Json& entry : array(pod, "spec", "affinity", "nodeAffinity", kPreferred))
    if (const Json* term = find(entry, "preference"))
      info.preferred_nodes.push_back(read_node_term(*term, integer(entry, "weight")));
  auto read = [&](const char* kind, std::vector<PodTerm>& required, std::vector<PodTerm>& preferred) {
    for (const Json& term : array(pod, "spec", "affinity", kind, kRequired)) required.push_back(read_pod_term(term, pod, 0));
    for (const Json& entry : array(pod, "spec", "affinity", kind, kPreferred))
      if (const Json* term = find(entry, "podAffinityTerm"))
        preferred.push_back(read_pod_term(*term, pod, integer(entry, "weight")));
  };
  read("podAffinity", info.affinity, info.preferred_affinity);
  read("podAntiAffinity", info.anti_affinity, info.preferred_anti_affinity);
}

void read_spread(PodInfo& info, const Json& pod) {
  for (const Json& entry : array(pod, "spec", "topologySpreadConstraints")) {
    SpreadConstraint constraint;
    constraint.max_skew = std::max<int64_t>(1, integer(entry, "maxSkew"));
    constraint.min_domains = integer_or(entry, 1, "minDomains");
    constraint.topology_key = str(entry, "topologyKey");
    constraint.hard = str(entry, "whenUnsatisfiable") != "ScheduleAnyway";
    constraint.honour_affinity = str(entry, "nodeAffinityPolicy") != "Ignore";
    constraint.honour_taints = str(entry, "nodeTaintsPolicy") == "Honor";
    constraint.selector = narrowed(entry, "labelSelector", pod);
    info.spread.push_back(std::move(constraint));
  }
}
}  // namespace

bool NodeTerm::matches(const Json& node) const {
  return !requirements.empty() && std::ranges::all_of(requirements, [&](const auto& r) { return holds(r, node); });
}

bool PodInfo::wants_node(const Json& node) const {
  for (const auto& wanted : rs::object(*object, "spec", "nodeSelector")) {
    const Json* value = find(node, "metadata", "labels", std::string_view(wanted.key()));
    if (value == nullptr || *value != wanted.value()) return false;
  }
  if (!required_nodes.has_value()) return true;
  return std::ranges::any_of(*required_nodes, [&](const NodeTerm& term) { return term.matches(node); });
}

PodInfoPtr read_pod(ObjectPtr pod) {
  auto info = std::make_shared<PodInfo>();
  info->object = std::move(pod);
  const Json& object = *info->object;
  info->key = api::key_of(object);
  info->uid = api::uid_of(object);
  if (auto owner = api::controller_of(object)) info->owner_uid = owner->uid;
  info->priority = integer(object, "spec", "priority");
  info->requests = read_requests(object, false);
  Resources guessed = read_requests(object, true);
  info->score_cpu = guessed.milli_cpu;
  info->score_memory = guessed.memory;
  info->host_ports = read_host_ports(object);
  info->tolerations = tolerations_of(object);
  read_affinity(*info, object);
  read_spread(*info, object);
  return info;
}

void Cluster::set_node(ObjectPtr node) {
  NodeInfo& info = nodes_[std::string(api::name_of(*node))];
  const JsonObject& allocatable = object(*node, "status", "allocatable");
  info.allocatable = read_resources(allocatable);
  const Json* pods = allocatable.if_contains("pods");
  info.allocatable_pods = pods == nullptr ? 0 : pods->is_number() ? integer(*pods) : whole(str(*pods));
  info.taints = taints_of(*node);
  info.images.clear();
  for (const Json& image : array(*node, "status", "images"))
    for (const Json& name : array(image, "names")) info.images[std::string(str(name))] = integer(image, "sizeBytes");
  info.object = std::move(node);
}

void Cluster::remove_node(std::string_view name) {
  auto it = nodes_.find(name);
  if (it == nodes_.end()) return;
  it->second.object = nullptr;
  if (it->second.pods.empty()) nodes_.erase(it);
}

void Cluster::place(PodInfoPtr pod, const std::string& node) {
  remove_pod(pod->key);
  NodeInfo& info = nodes_[node];
  info.requested.add(pod->requests);
  info.score_cpu += pod->score_cpu;
  info.score_memory += pod->score_memory;
  placed_[pod->key] = node;
  info.pods[pod->key] = std::move(pod);
}

void Cluster::remove_pod(const api::ObjectKey& key) {
  auto placed = placed_.find(key);
  if (placed == placed_.end()) return;
  auto node = nodes_.find(placed->second);
  NodeInfo& info = node->second;
  auto pod = info.pods.find(key);
  info.requested.subtract(pod->second->requests);
  info.score_cpu -= pod->second->score_cpu;
  info.score_memory -= pod->second->score_memory;
  info.pods.erase(pod);
  if (info.pods.empty() && info.object == nullptr) nodes_.erase(node);
  placed_.erase(placed);
}

const std::string* Cluster::node_of(const api::ObjectKey& key) const {
  auto it = placed_.find(key);
  return it == placed_.end() ? nullptr : &it->second;
}

bool Cluster::term_matches(const PodTerm& term, const PodInfo& pod) const {
  bool in_namespace = term.namespaces.contains(pod.key.ns);
  if (!in_namespace && term.namespace_selector.has_value()) {
    auto it = namespaces_.find(pod.key.ns);
    in_namespace = term.namespace_selector->matches(it == namespaces_.end() ? empty_object() : it->second);
  }
  return in_namespace && term.selector.matches(pod.labels());
}

}  // namespace rs::control
