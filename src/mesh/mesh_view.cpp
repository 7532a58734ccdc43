// What Mesh says of itself: the JSON view and the gauges of freshness.
#include "mesh/mesh_state.h"
#include "mesh/route/name.h"

namespace rs::mesh {
namespace {

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }
double rounded(double value) { return std::round(value * 1000) / 1000; }

std::string_view state_of(const Endpoint& endpoint, bool ejected) {
  if (endpoint.draining || endpoint.terminating) return "draining";
  if (!endpoint.ready) return "not-ready";
  return ejected ? "ejected" : "ready";
}

}  // namespace

JsonObject Mesh::traffic_json(const ServiceKey& key, uint16_t port) const {
  JsonObject out{{"requestsPerSecond", 0}, {"successRate", nullptr}, {"retriesPerSecond", 0}, {"p50Ms", nullptr}, {"p99Ms", nullptr}};
  auto found = traffic_.find({key, port});
  if (found == traffic_.end()) return out;
  auto sum = found->second->sum();
  out["requestsPerSecond"] = static_cast<double>(sum.requests) / Traffic::kSeconds;
  out["retriesPerSecond"] = static_cast<double>(sum.retries) / Traffic::kSeconds;
  if (sum.answers > 0) {
    out["successRate"] = rounded(static_cast<double>(sum.successes) / static_cast<double>(sum.answers));
    out["p50Ms"] = rounded(sum.latency.quantile_ms(0.5));
    out["p99Ms"] = rounded(sum.latency.quantile_ms(0.99));
  }
  return out;
}

Json Mesh::service_json(const ServiceView& view) const {
  JsonArray ports;
  for (const auto& port : view.ports) {
    JsonArray endpoints;
    size_t ready = 0;
    auto traffic = traffic_.find({view.key, port.port});
    if (const auto* set = std::get_if<Set>(&port.endpoints)) {
      for (const auto& endpoint : set->endpoints) {
        uint32_t in_flight = 0;
        size_t workers = 0;
        double latency_ms = 0;
        bool ejected = false;
        if (traffic != traffic_.end()) {
          for (const auto& [worker, entries] : traffic->second->endpoints) {
            for (const auto& entry : entries) {
              if (entry.ip != endpoint.ip || entry.port != endpoint.port) continue;
              in_flight += entry.in_flight;
              latency_ms += entry.latency_ms;
              ejected = ejected || entry.ejected;
              ++workers;
            }
          }
        }
        auto state = state_of(endpoint, ejected);
        ready += state == "ready" ? 1 : 0;
        endpoints.push_back(JsonObject{{"address", endpoint.ip},
                                       {"port", endpoint.port},
                                       {"state", state},
                                       {"pod", endpoint.pod_name},
                                       {"node", endpoint.node},
                                       {"zone", endpoint.zone},
                                       {"inFlight", in_flight},
                                       {"latencyMs", workers == 0 ? Json(nullptr) : Json(rounded(latency_ms / static_cast<double>(workers)))}});
      }
    }
    JsonObject item{{"name", port.name},
                    {"port", port.port},
                    {"targetPort", port.target_port},
                    {"protocol", port.protocol},
                    {"state", state_name(port.endpoints)},
                    {"revision", revision_of(port.endpoints)},
                    {"ready", ready}};
    item["traffic"] = traffic_json(view.key, port.port);
    item["endpoints"] = std::move(endpoints);
    ports.push_back(std::move(item));
  }
  JsonArray ips;
  for (const auto& ip : view.cluster_ips) ips.emplace_back(ip);
  return JsonObject{{"namespace", view.key.ns},       {"name", view.key.name},
                    {"state", state_name(view.summary())}, {"revision", view.revision},
                    {"clusterIPs", std::move(ips)},   {"externalName", view.external_name},
                    {"fromDisk", view.from_disk},     {"ports", std::move(ports)}};
}

Json Mesh::view(std::string_view service) const {
  auto fresh = freshness();
  JsonObject out{{"revision", fresh.revision},
                 {"ageSeconds", rounded(seconds(fresh.age))},
                 {"currency", to_string(fresh.currency())},
                 {"synced", fresh.synced},
                 {"fromDisk", fresh.from_disk}};
  JsonArray services, quarantined;
  if (service.empty()) {
    for (const auto& [key, view] : discovery_.views()) services.push_back(service_json(*view));
  } else {
    auto name = parse_name(service, "default");
    auto key = name ? name->service : ServiceKey{"", std::string(service)};
    auto view = discovery_.views().find(key);
    if (view != discovery_.views().end()) {
      services.push_back(service_json(*view->second));
    } else {
      // Absent is an answer; Unknown is the lack of one.
      services.push_back(JsonObject{{"namespace", key.ns}, {"name", key.name},
                                    {"state", fresh.synced ? "Absent" : "Unknown"}, {"revision", fresh.synced ? fresh.revision : 0},
                                    {"ports", JsonArray()}});
    }
  }
  for (const auto& [id, entry] : discovery_.quarantined())
    quarantined.push_back(JsonObject{{"resource", entry.resource}, {"object", to_string(entry.key)}, {"reason", entry.reason},
                                     {"lastGoodInUse", entry.has_last_good}});
  out["services"] = std::move(services);
  out["quarantined"] = std::move(quarantined);
  return out;
}

void Mesh::count_view() {
  auto fresh = freshness();
  registry_.gauge("mesh_discovery_age_seconds", "Age of the last proof that the view is current.", {{"source", "api"}}).set(seconds(fresh.age));
  registry_.gauge("mesh_discovery_revision", "The store revision the view has reached.").set(static_cast<double>(fresh.revision));
  for (auto currency : {Currency::kFresh, Currency::kLate, Currency::kStale})
    registry_.gauge("mesh_discovery_state", "1 for the state the view is in.", {{"state", std::string(to_string(currency))}})
        .set(fresh.currency() == currency ? 1 : 0);
  std::map<std::string, size_t> quarantined{{"services", 0}, {"endpointslices", 0}};
  for (const auto& [id, entry] : discovery_.quarantined()) ++quarantined[entry.resource];
  for (const auto& [resource, count] : quarantined)
    registry_.gauge("mesh_discovery_quarantined", "Objects that cannot be understood.", {{"resource", resource}}).set(static_cast<double>(count));
  std::map<std::string, double> states{{"Unknown", 0}, {"Empty", 0}, {"Set", 0}};
  constexpr std::string_view kEndpointStates[] = {"ready", "draining", "not-ready"};
  std::erase_if(counted_, [&](const ServiceKey& key) {
    if (discovery_.views().contains(key)) return false;
    for (auto state : kEndpointStates) registry_.remove("mesh_endpoints", {{"svc", to_string(key)}, {"state", std::string(state)}});
    return true;
  });
  for (const auto& [key, view] : discovery_.views()) {
    counted_.insert(key);
    ++states[std::string(state_name(view->summary()))];
    size_t ready = 0, draining = 0, other = 0;
    for (const auto& port : view->ports) {
      const auto* set = std::get_if<Set>(&port.endpoints);
      if (set == nullptr) continue;
      for (const auto& endpoint : set->endpoints) {
        auto state = state_of(endpoint, false);
        ++(state == "ready" ? ready : state == "draining" ? draining : other);
      }
    }
    const size_t counts[] = {ready, draining, other};
    for (size_t i = 0; i < 3; ++i)
      registry_.gauge("mesh_endpoints", "Endpoints of a service in the view.",
                      {{"svc", to_string(key)}, {"state", std::string(kEndpointStates[i])}}).set(static_cast<double>(counts[i]));
  }
  for (const auto& [state, count] : states)
    registry_.gauge("mesh_services", "Services in the view by what is known of them.", {{"state", state}}).set(count);
}

}  // namespace rs::mesh
