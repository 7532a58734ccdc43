// The certificates of one Roadstead: made on the first start, kept in DATA_DIR/pki, renewed when little of their life is
// left. No default passwords: the kubeconfig carries a client certificate of its own.
#pragma once

#include "net/tls.h"
#include "roadstead/data_dir.h"

namespace rs::roadstead {

struct Pki {
  net::KeyPair ca;                // signs all of the below; 10 years
  net::KeyPair server;            // API server, etcd port: 1 year
  net::KeyPair admin;             // CN=roadstead-admin, O=system:masters: for the kubeconfig; 1 year
  net::KeyPair service_accounts;  // its private key signs ServiceAccount tokens
};

// host_names: what the server certificate is good for beside the fixed names (localhost, kubernetes.default.svc, …).
Result<Pki> load_or_make_pki(const DataDir& data, const std::vector<std::string>& host_names,
                             const std::vector<std::string>& ip_addresses, WallTime now);

}  // namespace rs::roadstead
