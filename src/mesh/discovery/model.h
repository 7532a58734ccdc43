// What the data plane knows of a service. Values, immutable once shared; any thread.
//
// There is no null: a service's endpoints are Unknown (never heard), Absent (confirmed: no such Service), Empty
// (confirmed: exists, no endpoints) or a Set of at least one (reference mesh.md B.5.1). Each answer carries the revision
// that says so; how current the whole view is, Freshness says (B.5.2).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/meta.h"
#include "base/clock.h"

namespace rs::mesh {

using ServiceKey = api::ObjectKey;

// One address and port that serves a port of a service.
struct Endpoint {
  std::string ip;
  uint16_t port = 0;
  bool ready = true;
  bool serving = true;       // answers, perhaps while it terminates (KEP-1672)
  bool terminating = false;
  bool draining = false;     // the node is about to stop it: nothing new goes there (B.5.9)
  std::string pod_uid, pod_name, node, zone, hostname;

  // New work may go here.
  bool usable() const { return ready && !terminating && !draining; }
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

struct Unknown {
  friend bool operator==(const Unknown&, const Unknown&) = default;
};
struct Absent {
  int64_t revision = 0;
  friend bool operator==(const Absent&, const Absent&) = default;
};
struct Empty {
  int64_t revision = 0;
  friend bool operator==(const Empty&, const Empty&) = default;
};
struct Set {
  int64_t revision = 0;
  std::vector<Endpoint> endpoints;  // at least one, ordered by ip and port, each once
  friend bool operator==(const Set&, const Set&) = default;
};
using Resolution = std::variant<Unknown, Absent, Empty, Set>;
std::string_view state_name(const Resolution& resolution);  // "Unknown", "Absent", "Empty", "Set"
int64_t revision_of(const Resolution& resolution);          // 0 for Unknown

struct PortView {
  std::string name;
  uint16_t port = 0;
  std::string target_port;   // "8080" or a name, as the Service has it
  std::string protocol = "TCP";
  std::string app_protocol;
  Resolution endpoints;      // never Absent: the port exists
  friend bool operator==(const PortView&, const PortView&) = default;
};

struct ServiceView {
  ServiceKey key;
  bool headless = false;
  std::string external_name;             // type ExternalName
  std::vector<std::string> cluster_ips;  // without "None"
  std::vector<PortView> ports;           // in the Service's order
  int64_t revision = 0;                  // the newest object this was made of
  bool from_disk = false;                // last known good, not yet confirmed by the API

  // The best of its ports: Set, then Empty, then Unknown.
  Resolution summary() const;
  friend bool operator==(const ServiceView&, const ServiceView&) = default;
};
using ServiceViewPtr = std::shared_ptr<const ServiceView>;

// How current a view is (B.5.2): fresh below 3 s since the last proof, late below 15 s, then stale.
enum class Currency { kFresh, kLate, kStale };
struct Freshness {
  int64_t revision = 0;
  Duration age{};
  bool synced = false;       // the API has confirmed the whole view at least once since start
  bool from_disk = false;    // what is served came from the last-known-good file
  static constexpr Duration kLateAfter = std::chrono::seconds(3);
  static constexpr Duration kStaleAfter = std::chrono::seconds(15);
  Currency currency() const {
    if (!synced || age >= kStaleAfter) return Currency::kStale;
    return age >= kLateAfter ? Currency::kLate : Currency::kFresh;
  }
};
std::string_view to_string(Currency currency);  // "fresh", "late", "stale"

}  // namespace rs::mesh
