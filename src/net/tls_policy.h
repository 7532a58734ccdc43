// What a TLS server asks beyond a valid certificate: protocol versions, cipher suites, and which
// clients. Inside this room only.
#pragma once

#include <openssl/ssl.h>

#include <set>

#include "net/tls.h"

namespace rs::net {

Result<void> use_versions(SSL_CTX* context, const TlsServerOptions& options);

// Looks at the certificate chain of each client that connects; one that the rules do not take ends
// the handshake.
class ClientCheck {
 public:
  static Result<ClientCheck> make(const TlsClientRules& rules);
  // Requires a certificate of the context's clients. This has to live as long as the context, at
  // the same place.
  void use(SSL_CTX* context);

 private:
  static int verify(int valid, X509_STORE_CTX* chain);
  bool named(X509* certificate) const;

  std::set<std::string, std::less<>> revoked_;  // serial numbers
  std::vector<std::string> common_names_, host_names_;
};

}  // namespace rs::net
