#include <cmath>
#include <map>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/json.h"
#include "store/auth/base64.h"
#include "store/auth/errors.h"
#include "store/auth/tokens.h"

namespace rs::store::auth {
namespace {

constexpr size_t kTokenLimit = 16 << 10;
constexpr size_t kCacheEntries = 4096;
constexpr size_t kMaxHmacBytes = 64;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

enum class Family { kHmac, kRsa, kPss, kEc, kEd };

// RFC 7518 section 3.1, RFC 8037.
struct Method {
  std::string_view name;
  Family family;
  const EVP_MD* (*digest)();
  int curve_bits;
};
constexpr Method kMethods[] = {
    {"HS256", Family::kHmac, EVP_sha256, 0}, {"HS384", Family::kHmac, EVP_sha384, 0},
    {"HS512", Family::kHmac, EVP_sha512, 0}, {"RS256", Family::kRsa, EVP_sha256, 0},
    {"RS384", Family::kRsa, EVP_sha384, 0},  {"RS512", Family::kRsa, EVP_sha512, 0},
    {"PS256", Family::kPss, EVP_sha256, 0},  {"PS384", Family::kPss, EVP_sha384, 0},
    {"PS512", Family::kPss, EVP_sha512, 0},  {"ES256", Family::kEc, EVP_sha256, 256},
    {"ES384", Family::kEc, EVP_sha384, 384}, {"ES512", Family::kEc, EVP_sha512, 521},
    {"EdDSA", Family::kEd, nullptr, 0},
};

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Owned<BIO> memory(const std::string& pem) {
  return Owned<BIO>(BIO_new_mem_buf(pem.data(), int(pem.size())));
}

Owned<EVP_PKEY> read_public_key(const std::string& pem) {
  auto bio = memory(pem);
  if (Owned<EVP_PKEY> key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr)); key)
    return key;
  // A certificate holds one too.
  bio = memory(pem);
  Owned<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  return Owned<EVP_PKEY>(certificate ? X509_get_pubkey(certificate.get()) : nullptr);
}

bool fits(const Method& method, EVP_PKEY* key) {
  switch (method.family) {
    case Family::kRsa:
    case Family::kPss:
      return EVP_PKEY_is_a(key, "RSA") == 1;
    case Family::kEc:
      return EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_bits(key) == method.curve_bits;
    case Family::kEd:
      return EVP_PKEY_is_a(key, "ED25519") == 1;
    case Family::kHmac:
      return false;
  }
  return false;
}

// JOSE carries r and s as they are, OpenSSL as DER.
std::string raw_from_der(const std::string& der, int coordinate) {
  const unsigned char* data = bytes_of(der);
  Owned<ECDSA_SIG> signature(d2i_ECDSA_SIG(nullptr, &data, long(der.size())));
  if (!signature) return {};
  std::string out(size_t(coordinate) * 2, '\0');
  auto* place = reinterpret_cast<unsigned char*>(out.data());
  if (BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), place, coordinate) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), place + coordinate, coordinate) < 0)
    return {};
  return out;
}

std::string der_from_raw(std::string_view raw, int coordinate) {
  if (raw.size() != size_t(coordinate) * 2) return {};
  Owned<ECDSA_SIG> signature(ECDSA_SIG_new());
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(bytes_of(raw), coordinate, nullptr),
                 BN_bin2bn(bytes_of(raw) + coordinate, coordinate, nullptr));
  unsigned char* out = nullptr;
  int size = i2d_ECDSA_SIG(signature.get(), &out);
  std::string der(reinterpret_cast<char*>(out), size > 0 ? size_t(size) : 0);
  OPENSSL_free(out);
  return der;
}

class Signer {
 public:
  Signer(const Method& method, std::string secret, Owned<EVP_PKEY> key, bool may_sign)
      : method_(method), secret_(std::move(secret)), key_(std::move(key)), may_sign_(may_sign) {}

  std::string_view name() const { return method_.name; }
  bool may_sign() const { return may_sign_; }

  // Empty when it failed.
  std::string sign(std::string_view text) const {
    if (method_.family == Family::kHmac) return hmac(text);
    Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* settings = nullptr;
    size_t size = 0;
    if (EVP_DigestSignInit(context.get(), &settings, digest(), nullptr, key_.get()) != 1 ||
        !pad(settings, true) ||
        EVP_DigestSign(context.get(), nullptr, &size, bytes_of(text), text.size()) != 1)
      return {};
    std::string out(size, '\0');
    if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                       bytes_of(text), text.size()) != 1)
      return {};
    out.resize(size);
    return method_.family == Family::kEc ? raw_from_der(out, coordinate()) : out;
  }

  bool verify(std::string_view text, std::string_view signature) const {
    if (method_.family == Family::kHmac) {
      std::string expected = hmac(text);
      return expected.size() == signature.size() && !expected.empty() &&
             CRYPTO_memcmp(expected.data(), signature.data(), signature.size()) == 0;
    }
    std::string given = method_.family == Family::kEc ? der_from_raw(signature, coordinate())
                                                      : std::string(signature);
    if (given.empty()) return false;
    Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* settings = nullptr;
    return EVP_DigestVerifyInit(context.get(), &settings, digest(), nullptr, key_.get()) == 1 &&
           pad(settings, false) &&
           EVP_DigestVerify(context.get(), bytes_of(given), given.size(), bytes_of(text),
                            text.size()) == 1;
  }

 private:
  const EVP_MD* digest() const { return method_.digest == nullptr ? nullptr : method_.digest(); }
  int coordinate() const { return (method_.curve_bits + 7) / 8; }

  bool pad(EVP_PKEY_CTX* settings, bool signing) const {
    if (method_.family != Family::kPss) return true;
    return EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(
               settings, signing ? RSA_PSS_SALTLEN_DIGEST : RSA_PSS_SALTLEN_AUTO) == 1;
  }

  std::string hmac(std::string_view text) const {
    std::string out(kMaxHmacBytes, '\0');
    unsigned size = 0;
    if (HMAC(digest(), secret_.data(), int(secret_.size()), bytes_of(text), text.size(),
             reinterpret_cast<unsigned char*>(out.data()), &size) == nullptr)
      return {};
    out.resize(size);
    return out;
  }

  const Method& method_;
  std::string secret_;
  Owned<EVP_PKEY> key_;
  bool may_sign_;
};

double seconds(WallTime time) {
  return double(time.since_unix.count()) / 1e9;
}

std::optional<double> number(const Json& claims, std::string_view name) {
  const Json* value = find(claims, name);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

class JwtTokens final : public Tokens {
 public:
  JwtTokens(const Clock& clock, Signer signer, Duration ttl)
      : clock_(clock), signer_(std::move(signer)), ttl_(ttl) {}

  std::optional<Identity> find(std::string_view token, uint64_t) override {
    double now = seconds(clock_.wall());
    auto it = verified_.find(token);
    if (it == verified_.end()) {
      auto claims = verify(token);
      if (!claims) return std::nullopt;
      // A client shows the same one with each request; the signature need not be computed each
      // time.
      if (verified_.size() >= kCacheEntries) verified_.clear();
      it = verified_.emplace(std::string(token), std::move(*claims)).first;
    }
    const Claims& claims = it->second;
    if (now >= claims.expires || now < claims.not_before) return std::nullopt;
    return claims.identity;
  }

  Result<std::string> issue(std::string_view user, uint64_t now_revision) override {
    if (!signer_.may_sign()) return fail(errors::verify_only_key());
    JsonObject header{{"alg", signer_.name()}, {"typ", "JWT"}};
    auto expires =
        std::chrono::duration_cast<std::chrono::seconds>((clock_.wall() + ttl_).since_unix).count();
    JsonObject claims{{"exp", expires}, {"revision", now_revision}, {"username", user}};
    std::string text = base64url(to_text(header)) + "." + base64url(to_text(claims));
    std::string signature = signer_.sign(text);
    if (signature.empty()) return fail(Code::kInternalError, "signing a token failed");
    return text + "." + base64url(signature);
  }

  void drop_user(std::string_view) override {}
  void drop_all() override {}

 private:
  struct Claims {
    Identity identity;
    double expires = HUGE_VAL, not_before = 0;
  };

  std::optional<Claims> verify(std::string_view token) const {
    if (token.size() > kTokenLimit) return std::nullopt;
    size_t first = token.find('.'), last = token.rfind('.');
    if (first == std::string_view::npos || first == last) return std::nullopt;
    auto header_text = base64url_decode(token.substr(0, first));
    auto claims_text = base64url_decode(token.substr(first + 1, last - first - 1));
    auto signature = base64url_decode(token.substr(last + 1));
    if (!header_text || !claims_text || !signature) return std::nullopt;
    auto header = parse_json(*header_text, {.depth = 4, .bytes = 4096});
    // The method is the server's, never the token's choice.
    if (!header || str(*header, "alg") != signer_.name()) return std::nullopt;
    if (!signer_.verify(token.substr(0, last), *signature)) return std::nullopt;
    auto claims = parse_json(*claims_text, {.depth = 16, .bytes = kTokenLimit});
    if (!claims || !claims->is_object()) return std::nullopt;
    const Json* user = rs::find(*claims, "username");
    auto revision = number(*claims, "revision");
    if (user == nullptr || !user->is_string() || !revision ||
        !(*revision >= 0 && *revision < 0x1p63))
      return std::nullopt;
    Claims out{{std::string(user->get_string()), uint64_t(*revision)}};
    for (auto& [name, place] :
         {std::pair{"exp", &out.expires}, std::pair{"nbf", &out.not_before}}) {
      if (rs::find(*claims, name) == nullptr) continue;
      auto value = number(*claims, name);
      if (!value) return std::nullopt;
      *place = *value;
    }
    return out;
  }

  const Clock& clock_;
  const Signer signer_;
  const Duration ttl_;
  std::map<std::string, Claims, std::less<>> verified_;
};

}  // namespace

Result<std::unique_ptr<Tokens>> make_jwt_tokens(const Clock& clock, JwtOptions options) {
  const Method* method = nullptr;
  for (const Method& known : kMethods) {
    if (known.name == options.method) method = &known;
  }
  if (method == nullptr)
    return fail(Code::kBadRequest, "\"{}\" is not a method that tokens are signed with",
                options.method);
  if (method->family == Family::kHmac) {
    if (options.private_key.empty())
      return fail(Code::kBadRequest, "{} needs its secret as the private key", method->name);
    return std::make_unique<JwtTokens>(
        clock, Signer(*method, std::move(options.private_key), nullptr, true), options.ttl);
  }
  Owned<EVP_PKEY> secret, open;
  if (!options.private_key.empty()) {
    auto bio = memory(options.private_key);
    secret.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
    if (!secret) return fail(Code::kBadRequest, "the private key is not a key in PEM form");
  }
  if (!options.public_key.empty()) {
    open = read_public_key(options.public_key);
    if (!open)
      return fail(Code::kBadRequest, "the public key is not a key or certificate in PEM form");
  }
  if (!secret && !open) return fail(Code::kBadRequest, "{} needs a key", method->name);
  for (EVP_PKEY* key : {secret.get(), open.get()}) {
    if (key != nullptr && !fits(*method, key))
      return fail(Code::kBadRequest, "the key is not one for {}", method->name);
  }
  if (secret && open && EVP_PKEY_eq(secret.get(), open.get()) != 1)
    return fail(Code::kBadRequest, "the public key is not the private key's");
  bool may_sign = secret != nullptr;
  return std::make_unique<JwtTokens>(
      clock, Signer(*method, {}, may_sign ? std::move(secret) : std::move(open), may_sign),
      options.ttl);
}

}  // namespace rs::store::auth
