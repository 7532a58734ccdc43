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

}  // namespace rs::net
