// Certificates and keys in OpenSSL's form. Inside this room only.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "net/tls.h"

namespace rs::net {

template <auto function>
struct Free {
  template <class T>
  void operator()(T* pointer) const {
    function(pointer);
  }
};
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

// "what: " and the oldest error of OpenSSL's queue, which is emptied.
std::unexpected<Error> openssl_error(std::string_view what, Code code = Code::kBadRequest);
Result<std::vector<X509Ptr>> read_certificates(const std::string& pem);  // at least one
Result<KeyPtr> read_private_key(const std::string& pem);
PeerCertificate describe(X509* certificate);

// tls_connect(); only_http1: never offers the server "h2", whatever the context would.
awaitable<Result<std::unique_ptr<Stream>>> tls_connect_as(async::Loop& loop, std::unique_ptr<Stream> stream,
                                                          std::shared_ptr<const TlsClientContext> context,
                                                          std::string server_name, Duration timeout, bool only_http1);

}  // namespace rs::net
