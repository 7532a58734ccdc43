#include "store/auth/tokens.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "store/auth/base64.h"

namespace rs::store::auth {
namespace {

using std::chrono::seconds;

class ManualClock final : public Clock {
 public:
  MonoTime now() const override { return {Duration(seconds(1000)) + passed}; }
  WallTime wall() const override { return {Duration(seconds(1'700'000'000)) + passed}; }
  Duration passed{};
};

void counting_bytes(std::span<std::byte> out) {
  static uint8_t next = 0;
  for (std::byte& byte : out) byte = std::byte(next += 7);
}

TEST(SimpleTokens, LookAsEtcds) {
  ManualClock clock;
  auto tokens = make_simple_tokens(clock, seconds(300), counting_bytes);
  std::string token = *tokens->issue("u", 5);
  ASSERT_EQ(token.find('.'), 16u);
  for (char c : token.substr(0, 16)) EXPECT_TRUE(std::isalpha(c)) << token;
  auto who = tokens->find(token, 9);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->user, "u");
  EXPECT_EQ(who->revision, 9u);  // always of the present
  EXPECT_FALSE(tokens->find("AAAAAAAAAAAAAAAA.1", 9));
  EXPECT_FALSE(tokens->find("", 9));
  EXPECT_NE(*tokens->issue("u", 5), token);
}

TEST(SimpleTokens, LiveOnWhileTheyAreUsed) {
  ManualClock clock;
  auto tokens = make_simple_tokens(clock, seconds(300), counting_bytes);
  std::string token = *tokens->issue("u", 1);
  for (int i = 0; i < 3; ++i) {
    clock.passed += seconds(299);
    EXPECT_TRUE(tokens->find(token, 1));
  }
  clock.passed += seconds(300);
  EXPECT_FALSE(tokens->find(token, 1));
  EXPECT_FALSE(tokens->find(token, 1));
}

TEST(SimpleTokens, AreDroppedByUserOrAll) {
  ManualClock clock;
  auto tokens = make_simple_tokens(clock, seconds(300), counting_bytes);
  std::string a = *tokens->issue("a", 1), a2 = *tokens->issue("a", 1), b = *tokens->issue("b", 1);
  tokens->drop_user("a");
  EXPECT_FALSE(tokens->find(a, 1));
  EXPECT_FALSE(tokens->find(a2, 1));
  EXPECT_TRUE(tokens->find(b, 1));
  tokens->drop_all();
  EXPECT_FALSE(tokens->find(b, 1));
}

struct Pair {
  std::string secret, open;
};

Pair make_pair(EVP_PKEY* key) {
  Pair out;
  for (bool open : {false, true}) {
    BIO* bio = BIO_new(BIO_s_mem());
    if (open) {
      PEM_write_bio_PUBKEY(bio, key);
    } else {
      PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    }
    char* data = nullptr;
    long size = BIO_get_mem_data(bio, &data);
    (open ? out.open : out.secret).assign(data, size_t(size));
    BIO_free(bio);
  }
  EVP_PKEY_free(key);
  return out;
}

const Pair& pair_for(std::string_view method) {
  static const Pair rsa = make_pair(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t(2048)));
  static const Pair p256 = make_pair(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  static const Pair p384 = make_pair(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
  static const Pair p521 = make_pair(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-521"));
  static const Pair ed = make_pair(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  static const Pair secret = {"a shared secret", ""};
  if (method.starts_with("HS")) return secret;
  if (method == "EdDSA") return ed;
  if (method == "ES256") return p256;
  if (method == "ES384") return p384;
  return method == "ES512" ? p521 : rsa;
}

class JwtMethods : public ::testing::TestWithParam<const char*> {};

TEST_P(JwtMethods, WhatIsIssuedIsFoundUntilItsEnd) {
  ManualClock clock;
  const Pair& keys = pair_for(GetParam());
  auto tokens = make_jwt_tokens(clock, {GetParam(), keys.open, keys.secret, seconds(600)});
  ASSERT_TRUE(tokens) << tokens.error().message;
  auto token = (*tokens)->issue("alice", 7);
  ASSERT_TRUE(token);
  auto who = (*tokens)->find(*token, 99);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->user, "alice");
  EXPECT_EQ(who->revision, 7u);  // of when it was issued
  // Each of these has another signature, or text, than was signed.
  std::string broken = *token;
  broken[broken.size() - 10] = broken[broken.size() - 10] == 'A' ? 'B' : 'A';
  EXPECT_FALSE((*tokens)->find(broken, 99));
  std::string other = base64url(R"({"exp":1800000000,"revision":7,"username":"root"})");
  auto first = token->find('.'), last = token->rfind('.');
  EXPECT_FALSE((*tokens)->find(token->substr(0, first + 1) + other + token->substr(last), 99));
  EXPECT_FALSE((*tokens)->find(token->substr(0, last + 1), 99));
  clock.passed += seconds(599);
  EXPECT_TRUE((*tokens)->find(*token, 99));
  clock.passed += seconds(1);
  EXPECT_FALSE((*tokens)->find(*token, 99));
}

INSTANTIATE_TEST_SUITE_P(All, JwtMethods,
                         ::testing::Values("RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
                                           "ES256", "ES384", "ES512", "HS256", "HS384", "HS512",
                                           "EdDSA"));

// Tokens made by an issuer of one's own, as etcd allows. Signed with Python's hmac over the same
// claims.
TEST(Jwt, ATokenOfAnotherIssuer) {
  ManualClock clock;
  auto tokens = make_jwt_tokens(clock, {"HS256", "", "secret", seconds(1)});
  ASSERT_TRUE(tokens);
  auto who = (*tokens)->find(
      "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InJvb3QiLCJyZXZpc2lvbiI6NSw"
      "iZXhwIjoxODAwMDAwMDAwfQ.2AKZCWs4YOPMk9SlwZRDhuV4p5c9XIqFmO-AZSh4p6I",
      1);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->user, "root");
  EXPECT_EQ(who->revision, 5u);
  // Not valid before 2027.
  EXPECT_FALSE((*tokens)->find(
      "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InJvb3QiLCJyZXZpc2lvbiI6NSw"
      "ibmJmIjoxODAwMDAwMDAwfQ.mrtYh7ZQkbkV_vpmAoPzwsgYZn7nI9d8jRLiPbIb1lk",
      1));
  // RFC 7515 A.1: well signed, but it names no user.
  auto key = base64url_decode(
      "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
  tokens = make_jwt_tokens(clock, {"HS256", "", *key, seconds(1)});
  EXPECT_FALSE(
      (*tokens)->find("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
                      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLm"
                      "NvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
                      1));
}

// The method is the server's: a public key must not become a shared secret, and "none" is no
// signature.
TEST(Jwt, TheTokenDoesNotChooseItsMethod) {
  ManualClock clock;
  const Pair& keys = pair_for("RS256");
  auto server = make_jwt_tokens(clock, {"RS256", keys.open, keys.secret, seconds(600)});
  auto forger = make_jwt_tokens(clock, {"HS256", "", keys.open, seconds(600)});
  ASSERT_TRUE(server && forger);
  EXPECT_FALSE((*server)->find(*(*forger)->issue("root", 1), 1));
  std::string claims = base64url(R"({"exp":1800000000,"revision":1,"username":"root"})");
  EXPECT_FALSE((*server)->find(base64url(R"({"alg":"none"})") + "." + claims + ".", 1));
  EXPECT_FALSE((*server)->find("..", 1));
  EXPECT_FALSE((*server)->find("a.b.c", 1));
}

TEST(Jwt, APublicKeyAloneVerifies) {
  ManualClock clock;
  const Pair& keys = pair_for("ES256");
  auto issuer = make_jwt_tokens(clock, {"ES256", "", keys.secret, seconds(600)});
  auto verifier = make_jwt_tokens(clock, {"ES256", keys.open, "", seconds(600)});
  ASSERT_TRUE(issuer && verifier);
  EXPECT_TRUE((*verifier)->find(*(*issuer)->issue("u", 1), 1));
  EXPECT_FALSE((*verifier)->issue("u", 1));
}

TEST(Jwt, WrongKeysAreRefused) {
  ManualClock clock;
  const Pair &rsa = pair_for("RS256"), &p256 = pair_for("ES256"), &p384 = pair_for("ES384");
  EXPECT_FALSE(make_jwt_tokens(clock, {"RS256", "", "", seconds(1)}));
  EXPECT_FALSE(make_jwt_tokens(clock, {"HS256", "x", "", seconds(1)}));
  EXPECT_FALSE(make_jwt_tokens(clock, {"RS256", "", p256.secret, seconds(1)}));
  EXPECT_FALSE(make_jwt_tokens(clock, {"ES256", "", p384.secret, seconds(1)}));
  EXPECT_FALSE(make_jwt_tokens(clock, {"ES256", p384.open, p256.secret, seconds(1)}));
  EXPECT_FALSE(make_jwt_tokens(clock, {"RS256", "", "not a key", seconds(1)}));
  EXPECT_FALSE(make_jwt_tokens(clock, {"none", "", rsa.secret, seconds(1)}));
}

TEST(Base64, PlainAndUrl) {
  // RFC 4648 section 10.
  EXPECT_EQ(base64_decode("Zm9vYmFy"), "foobar");
  EXPECT_EQ(base64_decode("Zm9vYg=="), "foob");
  EXPECT_EQ(base64_decode("Zm9vYmE="), "fooba");
  EXPECT_EQ(base64url("foob"), "Zm9vYg");
  EXPECT_EQ(base64url_decode("Zm9vYg"), "foob");
  EXPECT_EQ(base64url("\xfb\xff\xfe"), "-__-");
  EXPECT_EQ(base64_decode("+//+"), "\xfb\xff\xfe");
  for (const char* bad : {"Z", "Zg", "Zm9vYg=", "Zm9 ", "Zh==", "===="})
    EXPECT_FALSE(base64_decode(bad)) << bad;
}

}  // namespace
}  // namespace rs::store::auth
