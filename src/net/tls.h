// TLS (OpenSSL 3): contexts, handshakes over any Stream, and a small certificate authority.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/stream.h"

namespace rs::net {

// PEM texts.
struct KeyPair {
  std::string certificate;  // leaf first, then intermediates
  std::string private_key;
};

enum class TlsVersion { k12, k13 };

// Which of the certificates that client_ca vouches for are taken. Only where a certificate is required.
struct TlsClientRules {
  std::string revocation_list;             // PEM or DER; the serial numbers in it are refused, whoever issued it
  std::vector<std::string> common_names;   // empty: any
  std::vector<std::string> host_names;     // of subjectAltName, wildcards match; empty: any
};

struct TlsServerOptions {
  KeyPair identity;
  std::string client_ca;               // PEM bundle; empty: no client certificates asked for
  bool require_client_certificate = false;
  TlsClientRules client_rules;
  TlsVersion version_min = TlsVersion::k12, version_max = TlsVersion::k13;
  std::vector<std::string> cipher_suites;  // IANA's names; of a version that has none in it, the defaults
  std::vector<std::string> alpn = {"h2", "http/1.1"};
};

struct TlsClientOptions {
  std::string server_ca;               // PEM bundle; empty with insecure=false: the system's
  bool insecure = false;               // do not verify (kubectl --insecure-skip-tls-verify)
  KeyPair identity;                    // client certificate; empty: none
  std::string server_name;             // SNI and verified name; empty: the host connected to
  std::vector<std::string> alpn = {"h2", "http/1.1"};
};

// Immutable, shareable between loops.
class TlsServerContext {
 public:
  static Result<std::shared_ptr<const TlsServerContext>> make(const TlsServerOptions& options);
  struct Impl;
  std::unique_ptr<Impl> impl;
  ~TlsServerContext();
  explicit TlsServerContext(std::unique_ptr<Impl> i);
};
class TlsClientContext {
 public:
  static Result<std::shared_ptr<const TlsClientContext>> make(const TlsClientOptions& options);
  struct Impl;
  std::unique_ptr<Impl> impl;
  ~TlsClientContext();
  explicit TlsClientContext(std::unique_ptr<Impl> i);
};

awaitable<Result<std::unique_ptr<Stream>>> tls_accept(async::Loop& loop, std::unique_ptr<Stream> stream,
                                                      std::shared_ptr<const TlsServerContext> context, Duration timeout);
awaitable<Result<std::unique_ptr<Stream>>> tls_connect(async::Loop& loop, std::unique_ptr<Stream> stream,
                                                       std::shared_ptr<const TlsClientContext> context,
                                                       const std::string& server_name, Duration timeout);

// A certificate authority of our own: ECDSA P-256. Blocking, CPU only (about 0.2 ms a certificate).
struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  std::vector<std::string> uris;
  bool server_auth = true;
  bool client_auth = true;
  std::chrono::hours lifetime{24 * 365};
};
Result<KeyPair> make_ca(const std::string& common_name, std::chrono::hours lifetime);
Result<KeyPair> issue(const KeyPair& ca, const CertificateRequest& request);
// Not-after of the first certificate of a PEM text.
Result<WallTime> expiry(const std::string& certificate_pem);

}  // namespace rs::net
