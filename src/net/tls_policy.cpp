#include "net/tls_policy.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "net/openssl.h"

namespace rs::net {
namespace {

using CrlPtr = std::unique_ptr<X509_CRL, Free<X509_CRL_free>>;
using BioPtr = std::unique_ptr<BIO, Free<BIO_free>>;

std::string serial_of(const ASN1_INTEGER* number) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(number)),
          size_t(ASN1_STRING_length(number))};
}

Result<std::set<std::string, std::less<>>> revoked_serials(const std::string& text) {
  std::vector<CrlPtr> lists;
  const BioPtr pem(BIO_new_mem_buf(text.data(), int(text.size())));
  while (X509_CRL* list = PEM_read_bio_X509_CRL(pem.get(), nullptr, nullptr, nullptr))
    lists.emplace_back(list);
  ERR_clear_error();  // the end of the text is an error there
  if (lists.empty()) {
    const BioPtr der(BIO_new_mem_buf(text.data(), int(text.size())));
    if (X509_CRL* list = d2i_X509_CRL_bio(der.get(), nullptr)) lists.emplace_back(list);
    ERR_clear_error();
  }
  if (lists.empty())
    return fail(Code::kBadRequest, "no certificate revocation list found, in PEM or DER");
  std::set<std::string, std::less<>> out;
  for (const auto& list : lists) {
    STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(list.get());
    for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i)
      out.insert(serial_of(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i))));
  }
  return out;
}

// OpenSSL's name of a suite by IANA's. Go once named two without the hash that they end with.
std::string openssl_name(std::string suite) {
  if (suite.ends_with("_CHACHA20_POLY1305")) suite += "_SHA256";
  const char* name = OPENSSL_cipher_name(suite.c_str());
  return name == nullptr || std::string_view(name) == "(NONE)" ? "" : name;
}

}  // namespace

Result<void> use_versions(SSL_CTX* context, const TlsServerOptions& options) {
  if (options.version_min > options.version_max)
    return fail(Code::kBadRequest, "no TLS version is left to be spoken");
  auto number = [](TlsVersion version) {
    return version == TlsVersion::k12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  };
  SSL_CTX_set_min_proto_version(context, number(options.version_min));
  SSL_CTX_set_max_proto_version(context, number(options.version_max));
  std::string older, newer;  // of TLS 1.2, of TLS 1.3
  for (const std::string& suite : options.cipher_suites) {
    const std::string name = openssl_name(suite);
    if (name.empty()) return fail(Code::kBadRequest, "unexpected TLS cipher suite \"{}\"", suite);
    // Since TLS 1.3 a suite no longer says how keys are exchanged (RFC 8446, B.4).
    std::string& list = suite.find("_WITH_") == std::string::npos ? newer : older;
    list += (list.empty() ? "" : ":") + name;
  }
  if (!older.empty() && SSL_CTX_set_cipher_list(context, older.c_str()) != 1)
    return openssl_error("cipher suites");
  if (!newer.empty() && SSL_CTX_set_ciphersuites(context, newer.c_str()) != 1)
    return openssl_error("cipher suites");
  return {};
}

Result<ClientCheck> ClientCheck::make(const TlsClientRules& rules) {
  ClientCheck out;
  out.common_names_ = rules.common_names;
  out.host_names_ = rules.host_names;
  if (rules.revocation_list.empty()) return out;
  auto revoked = revoked_serials(rules.revocation_list);
  if (!revoked) return fail(revoked.error());
  out.revoked_ = std::move(*revoked);
  return out;
}

void ClientCheck::use(SSL_CTX* context) {
  SSL_CTX_set_app_data(context, this);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify);
}

// Called for each certificate of the chain, the client's own last (SSL_CTX_set_verify(3)).
int ClientCheck::verify(int valid, X509_STORE_CTX* chain) {
  if (valid != 1) return 0;
  auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto& rules = *static_cast<const ClientCheck*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  X509* certificate = X509_STORE_CTX_get_current_cert(chain);
  if (rules.revoked_.contains(serial_of(X509_get0_serialNumber(certificate)))) {
    X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_REVOKED);
    return 0;
  }
  if (X509_STORE_CTX_get_error_depth(chain) == 0 && !rules.named(certificate)) {
    X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_REJECTED);
    return 0;
  }
  return 1;
}

bool ClientCheck::named(X509* certificate) const {
  const PeerCertificate shown = describe(certificate);
  auto has_host = [&](const std::string& name) {
    return X509_check_host(certificate, name.data(), name.size(),
                           X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1 ||
           X509_check_ip_asc(certificate, name.c_str(), 0) == 1;
  };
  if (!common_names_.empty() &&
      std::ranges::find(common_names_, shown.common_name) == common_names_.end())
    return false;
  return host_names_.empty() || std::ranges::any_of(host_names_, has_host);
}

}  // namespace rs::net
