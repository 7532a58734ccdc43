#include "server/tokens.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "server/encoding.h"

namespace rs::server {
namespace {
constexpr size_t kTokenLimit = 16 << 10;
constexpr int kCoordinateBytes = 32;   // P-256

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

std::string fixed(const BIGNUM* number, int bytes) {
  std::string out(size_t(bytes), '\0');
  BN_bn2binpad(number, reinterpret_cast<unsigned char*>(out.data()), bytes);
  return out;
}

// JOSE carries r and s as they are, OpenSSL as DER.
Result<std::string> raw_from_der(const std::string& der) {
  const auto* data = reinterpret_cast<const unsigned char*>(der.data());
  Owned<ECDSA_SIG> signature(d2i_ECDSA_SIG(nullptr, &data, long(der.size())));
  if (signature == nullptr) return fail(Code::kInternalError, "signing a token failed");
  return fixed(ECDSA_SIG_get0_r(signature.get()), kCoordinateBytes) +
         fixed(ECDSA_SIG_get0_s(signature.get()), kCoordinateBytes);
}
std::string der_from_raw(std::string_view raw) {
  if (raw.size() != 2 * kCoordinateBytes) return {};
  const auto* data = reinterpret_cast<const unsigned char*>(raw.data());
  Owned<ECDSA_SIG> signature(ECDSA_SIG_new());
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(data, kCoordinateBytes, nullptr),
                 BN_bin2bn(data + kCoordinateBytes, kCoordinateBytes, nullptr));
  unsigned char* out = nullptr;
  int size = i2d_ECDSA_SIG(signature.get(), &out);
  std::string der(reinterpret_cast<char*>(out), size > 0 ? size_t(size) : 0);
  OPENSSL_free(out);
  return der;
}

std::string number_param(EVP_PKEY* key, const char* name, int bytes) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &number) != 1) return {};
  Owned<BIGNUM> owned(number);
  return fixed(number, bytes > 0 ? bytes : BN_num_bytes(number));
}

std::unexpected<Error> unauthorized(std::string_view why) {
  return fail(Code::kUnauthorized, "invalid bearer token: {}", why);
}
}  // namespace

struct TokenKeys::Key {
  Owned<EVP_PKEY> pkey;
  bool elliptic = false;
  std::string id;
  std::string_view algorithm() const { return elliptic ? "ES256" : "RS256"; }
};

TokenKeys::TokenKeys() = default;
TokenKeys::~TokenKeys() = default;
TokenKeys::TokenKeys(TokenKeys&&) noexcept = default;
TokenKeys& TokenKeys::operator=(TokenKeys&&) noexcept = default;

Result<TokenKeys> TokenKeys::make(const std::vector<std::string>& pems) {
  TokenKeys out;
  for (const std::string& pem : pems) {
    if (pem.empty()) continue;
    Owned<BIO> bio(BIO_new_mem_buf(pem.data(), int(pem.size())));
    auto key = std::make_unique<Key>();
    key->pkey.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
    if (key->pkey == nullptr) return fail(Code::kInvalid, "the key of ServiceAccount tokens is no private key in PEM form");
    key->elliptic = EVP_PKEY_is_a(key->pkey.get(), "EC") == 1;
    if (!key->elliptic && EVP_PKEY_is_a(key->pkey.get(), "RSA") != 1)
      return fail(Code::kInvalid, "the key of ServiceAccount tokens must be EC P-256 or RSA");
    if (key->elliptic && EVP_PKEY_get_bits(key->pkey.get()) != 256)
      return fail(Code::kInvalid, "the EC key of ServiceAccount tokens must be on P-256");
    unsigned char* der = nullptr;
    int size = i2d_PUBKEY(key->pkey.get(), &der);
    key->id = base64url(sha256(std::string_view(reinterpret_cast<char*>(der), size > 0 ? size_t(size) : 0)));
    OPENSSL_free(der);
    out.keys_.push_back(std::move(key));
  }
  return out;
}

Result<std::string> TokenKeys::sign(const Json& claims) const {
  if (keys_.empty()) return fail(Code::kServiceUnavailable, "this server has no key to sign tokens with");
  const Key& key = *keys_.front();
  JsonObject header{{"alg", key.algorithm()}, {"kid", key.id}};
  std::string text = base64url(to_text(header)) + "." + base64url(to_text(claims));
  Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = 0;
  bool ok = EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.pkey.get()) == 1 &&
            EVP_DigestSign(context.get(), nullptr, &size, data, text.size()) == 1;
  std::string signature(size, '\0');
  ok = ok && EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, data, text.size()) == 1;
  if (!ok) return fail(Code::kInternalError, "signing a token failed");
  signature.resize(size);
  if (key.elliptic) {
    auto raw = raw_from_der(signature);
    if (!raw) return raw;
    signature = std::move(*raw);
  }
  return text + "." + base64url(signature);
}

Result<Json> TokenKeys::verify(std::string_view token) const {
  if (token.size() > kTokenLimit) return unauthorized("too long");
  size_t first = token.find('.'), last = token.rfind('.');
  if (first == std::string_view::npos || first == last) return unauthorized("not a JSON Web Token");
  auto header_text = base64url_decode(token.substr(0, first));
  auto claims_text = base64url_decode(token.substr(first + 1, last - first - 1));
  auto signature = base64url_decode(token.substr(last + 1));
  if (!header_text || !claims_text || !signature) return unauthorized("encoding");
  auto header = parse_json(*header_text, {.depth = 4, .bytes = 4096});
  auto claims = parse_json(*claims_text, {.depth = 16, .bytes = kTokenLimit});
  if (!header || !claims || !claims->is_object()) return unauthorized("not a JSON Web Token");
  std::string_view text = token.substr(0, last);
  for (const auto& key : keys_) {
    // The algorithm is the key's, never the token's choice.
    if (str(*header, "alg") != key->algorithm()) continue;
    if (auto id = str(*header, "kid"); !id.empty() && id != key->id) continue;
    std::string expected = key->elliptic ? der_from_raw(*signature) : *signature;
    Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
    bool good = !expected.empty() &&
                EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key->pkey.get()) == 1 &&
                EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(expected.data()), expected.size(),
                                 reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
    if (good) return std::move(*claims);
  }
  return unauthorized("signature");
}

Json TokenKeys::jwks() const {
  JsonArray keys;
  for (const auto& key : keys_) {
    EVP_PKEY* pkey = key->pkey.get();
    JsonObject item{{"use", "sig"}, {"kid", key->id}, {"alg", key->algorithm()}};
    if (key->elliptic) {
      item["kty"] = "EC";
      item["crv"] = "P-256";
      item["x"] = base64url(number_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, kCoordinateBytes));
      item["y"] = base64url(number_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, kCoordinateBytes));
    } else {
      item["kty"] = "RSA";
      item["n"] = base64url(number_param(pkey, OSSL_PKEY_PARAM_RSA_N, 0));
      item["e"] = base64url(number_param(pkey, OSSL_PKEY_PARAM_RSA_E, 0));
    }
    keys.push_back(std::move(item));
  }
  return JsonObject{{"keys", std::move(keys)}};
}

}  // namespace rs::server
