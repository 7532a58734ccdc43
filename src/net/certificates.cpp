// A small certificate authority, and reading certificates (RFC 5280).
#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "net/openssl.h"

namespace rs::net {
namespace {

using BioPtr = std::unique_ptr<BIO, Free<BIO_free>>;
constexpr long kBackdateSeconds = 300;  // clocks of nodes differ

BioPtr reader(const std::string& text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string take(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

Result<KeyPair> to_pem(X509* certificate, EVP_PKEY* key) {
  const BioPtr first(BIO_new(BIO_s_mem())), second(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(first.get(), certificate) != 1 ||
      PEM_write_bio_PrivateKey(second.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return openssl_error("PEM");
  return KeyPair{take(first.get()), take(second.get())};
}

void add_name(X509_NAME* name, const char* field, const std::string& value) {
  X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
}

bool add_extension(X509* certificate, X509* issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// Built by hand rather than from a string, so that no character of a name has a meaning.
bool add_alternative_names(X509* certificate, const CertificateRequest& request) {
  const std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>> names(GENERAL_NAMES_new());
  auto add_text = [&](int kind, const std::string& value) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, value.data(), static_cast<int>(value.size()));
    GENERAL_NAME_set0_value(name, kind, text);
    sk_GENERAL_NAME_push(names.get(), name);
  };
  for (const auto& name : request.dns_names) add_text(GEN_DNS, name);
  for (const auto& uri : request.uris) add_text(GEN_URI, uri);
  for (const auto& address : request.ip_addresses) {
    ASN1_OCTET_STRING* bytes = a2i_IPADDRESS(address.c_str());
    if (!bytes) return false;
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, GEN_IPADD, bytes);
    sk_GENERAL_NAME_push(names.get(), name);
  }
  if (sk_GENERAL_NAME_num(names.get()) == 0) return true;
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, 0) == 1;
}

struct Draft {
  X509Ptr certificate{X509_new()};
  KeyPtr key{EVP_EC_gen("P-256")};
};

Result<Draft> draft(const std::string& common_name, const std::vector<std::string>& organizations,
                    std::chrono::hours lifetime) {
  Draft out;
  if (!out.certificate || !out.key) return openssl_error("key");
  X509* certificate = out.certificate.get();
  X509_set_version(certificate, X509_VERSION_3);
  unsigned char serial[16];
  if (RAND_bytes(serial, sizeof serial) != 1) return openssl_error("serial number");
  serial[0] &= 0x7f;
  const std::unique_ptr<BIGNUM, Free<BN_free>> number(BN_bin2bn(serial, sizeof serial, nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate));
  X509_gmtime_adj(X509_getm_notBefore(certificate), -kBackdateSeconds);
  X509_time_adj_ex(X509_getm_notAfter(certificate), static_cast<int>(lifetime.count() / 24),
                   (lifetime.count() % 24) * 3600, nullptr);
  X509_NAME* name = X509_get_subject_name(certificate);
  for (const auto& organization : organizations) add_name(name, "O", organization);
  if (!common_name.empty()) add_name(name, "CN", common_name);
  X509_set_pubkey(certificate, out.key.get());
  return out;
}

}  // namespace

std::unexpected<Error> openssl_error(std::string_view what, Code code) {
  const unsigned long error = ERR_get_error();
  const char* reason = error ? ERR_reason_error_string(error) : nullptr;
  ERR_clear_error();
  return fail(code, "{}: {}", what, reason ? reason : "failed");
}

Result<std::vector<X509Ptr>> read_certificates(const std::string& pem) {
  std::vector<X509Ptr> out;
  const BioPtr bio = reader(pem);
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) out.emplace_back(certificate);
  ERR_clear_error();  // the end of the text is an error there
  if (out.empty()) return fail(Code::kBadRequest, "no PEM certificate found");
  return out;
}

Result<KeyPtr> read_private_key(const std::string& pem) {
  const BioPtr bio = reader(pem);
  // Never asks a terminal for a password.
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  if (!key) return openssl_error("no PEM private key found");
  return key;
}

PeerCertificate describe(X509* certificate) {
  PeerCertificate out;
  const X509_NAME* name = X509_get_subject_name(certificate);
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, i);
    const int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    unsigned char* text = nullptr;
    const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
    if (size < 0) continue;
    std::string value(reinterpret_cast<char*>(text), static_cast<size_t>(size));
    OPENSSL_free(text);
    if (kind == NID_commonName) out.common_name = std::move(value);
    else if (kind == NID_organizationName) out.organizations.push_back(std::move(value));
  }
  const std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* entry = sk_GENERAL_NAME_value(names.get(), i);
    if (entry->type != GEN_URI && entry->type != GEN_DNS) continue;
    const ASN1_IA5STRING* text = entry->type == GEN_URI ? entry->d.uniformResourceIdentifier : entry->d.dNSName;
    std::string value(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<size_t>(ASN1_STRING_length(text)));
    (entry->type == GEN_URI ? out.uris : out.dns_names).push_back(std::move(value));
  }
  ERR_clear_error();
  return out;
}

Result<KeyPair> make_ca(const std::string& common_name, std::chrono::hours lifetime) {
  auto made = draft(common_name, {}, lifetime);
  if (!made) return fail(made.error());
  X509* certificate = made->certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  if (!add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE") ||
      !add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature") ||
      !add_extension(certificate, certificate, NID_subject_key_identifier, "hash") ||
      X509_sign(certificate, made->key.get(), EVP_sha256()) == 0)
    return openssl_error("certificate authority");
  return to_pem(certificate, made->key.get());
}

Result<KeyPair> issue(const KeyPair& ca, const CertificateRequest& request) {
  auto authority = read_certificates(ca.certificate);
  if (!authority) return fail_at("certificate authority", authority.error());
  auto authority_key = read_private_key(ca.private_key);
  if (!authority_key) return fail_at("certificate authority", authority_key.error());
  auto made = draft(request.common_name, request.organizations, request.lifetime);
  if (!made) return fail(made.error());
  X509* certificate = made->certificate.get();
  X509* issuer = authority->front().get();
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
  std::string usage = request.server_auth ? "serverAuth" : "";
  if (request.client_auth) usage += usage.empty() ? "clientAuth" : ",clientAuth";
  if (!add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature,keyEncipherment") ||
      (!usage.empty() && !add_extension(certificate, issuer, NID_ext_key_usage, usage.c_str())) ||
      !add_extension(certificate, issuer, NID_authority_key_identifier, "keyid") ||
      !add_alternative_names(certificate, request) ||
      X509_sign(certificate, authority_key->get(), EVP_sha256()) == 0)
    return openssl_error("certificate for \"" + request.common_name + "\"");
  return to_pem(certificate, made->key.get());
}

Result<WallTime> expiry(const std::string& certificate_pem) {
  auto certificates = read_certificates(certificate_pem);
  if (!certificates) return fail(certificates.error());
  std::tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificates->front().get()), &parts) != 1) return openssl_error("not-after");
  return WallTime{std::chrono::seconds(timegm(&parts))};
}

}  // namespace rs::net
