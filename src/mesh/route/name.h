// Names that callers use for services: what a Host header, an absolute URL or a CONNECT target asks for. Pure.
//
//   payments                              the caller's own namespace
//   payments.bank                         payments.bank.svc   payments.bank.svc.cluster.local
//   ledger-0.payments.bank.svc…           one pod of it, by its hostname
//   10.43.0.17                            a cluster IP, or a pod's address
// each with an optional :port; a trailing dot is allowed; case does not matter.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mesh/discovery/model.h"

namespace rs::mesh {

struct Name {
  ServiceKey service;                // empty name: an IP address
  std::string hostname;              // one endpoint of it
  std::string ip;
  std::optional<uint16_t> port;      // as written
  friend bool operator==(const Name&, const Name&) = default;
};

constexpr size_t kAuthorityBytesMax = 300;
constexpr std::string_view kClusterDomain = "cluster.local";

// kInvalid: not the form of a host; kNotFound: a well-formed name that cannot be in the cluster.
Result<Name> parse_name(std::string_view authority, std::string_view default_namespace);

// The port of a service that a name means: the one written; else 80, else the one named "http", else the only one.
const PortView* choose_port(const ServiceView& service, std::optional<uint16_t> port);

}  // namespace rs::mesh
