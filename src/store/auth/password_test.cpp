#include "store/auth/password.h"

#include <gtest/gtest.h>

namespace rs::store::auth {
namespace {

// Openwall crypt_blowfish's test vectors.
TEST(Password, KnownHashes) {
  EXPECT_TRUE(is_password("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
  EXPECT_TRUE(is_password("U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"));
  EXPECT_TRUE(is_password("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"));
  EXPECT_FALSE(is_password("U*V", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
}

// Bytes with the high bit set are where the old "$2a$" of C went wrong; Go's never did, and "$2y$"
// marks the right one.
TEST(Password, AHashOfGoWithHighBytes) {
  EXPECT_TRUE(is_password("\xa3", "$2y$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq"));
  EXPECT_TRUE(is_password("\xa3", "$2a$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq"));
}

TEST(Password, HashesOnlyMatchTheirPassword) {
  Salt salt{};
  for (size_t i = 0; i < salt.size(); ++i) salt[i] = std::byte(i * 17);
  auto hash = hash_password("secret", kMinBcryptCost, salt);
  ASSERT_TRUE(hash) << hash.error().message;
  EXPECT_TRUE(hash->starts_with("$2b$04$"));
  EXPECT_TRUE(is_bcrypt_hash(*hash));
  EXPECT_EQ(hash->find("secret"), std::string::npos);
  EXPECT_TRUE(is_password("secret", *hash));
  EXPECT_FALSE(is_password("secre", *hash));
  EXPECT_FALSE(is_password("", *hash));
  EXPECT_FALSE(is_password(std::string_view("secret\0x", 8), *hash));
  salt[0] ^= std::byte(0x80);
  EXPECT_NE(*hash_password("secret", kMinBcryptCost, salt), *hash);
}

TEST(Password, WhatBcryptWouldCutIsRefused) {
  EXPECT_TRUE(hash_password(std::string(72, 'x'), kMinBcryptCost, {}));
  EXPECT_FALSE(hash_password(std::string(73, 'x'), kMinBcryptCost, {}));
  EXPECT_FALSE(hash_password(std::string_view("a\0b", 3), kMinBcryptCost, {}));
}

TEST(Password, NothingElseIsAHash) {
  const std::string good = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
  EXPECT_TRUE(is_bcrypt_hash(good));
  for (std::string bad :
       {std::string(), std::string("x"), good + "x", "$1" + good.substr(2), "$2x" + good.substr(3),
        "$2a$99" + good.substr(6), "$2a$03" + good.substr(6), good.substr(0, 59) + ":"}) {
    EXPECT_FALSE(is_bcrypt_hash(bad)) << bad;
    EXPECT_FALSE(is_password("U*U", bad));
  }
  EXPECT_FALSE(is_password("", ""));
}

}  // namespace
}  // namespace rs::store::auth
