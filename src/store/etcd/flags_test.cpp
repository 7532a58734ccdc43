// Expected values: etcd's own defaults and syntax (etcd server/etcdmain/help.go, embed/config.go).
#include "store/etcd/flags.h"

#include <gtest/gtest.h>

namespace rs::store::etcd {
namespace {

const char* no_environment(const char*) { return nullptr; }

TEST(FlagsTest, DefaultsAreEtcds) {
  auto options = parse_options({}, no_environment);
  ASSERT_TRUE(options.has_value());
  EXPECT_EQ(options->data_dir, "default.etcd");
  EXPECT_EQ(options->listen_client_urls.at(0).host, "127.0.0.1");
  EXPECT_EQ(options->listen_client_urls.at(0).port, 2379);
  EXPECT_EQ(options->quota_bytes, 2ll << 30);
}

TEST(FlagsTest, GoSyntaxAndEnvironment) {
  auto options = parse_options({"-name", "n1", "--data-dir=/tmp/x", "--client-cert-auth", "--snapshot-count=5"},
                               [](const char* name) -> const char* {
                                 if (std::string_view(name) == "ETCD_NAME") return "ignored";
                                 if (std::string_view(name) == "ETCD_QUOTA_BACKEND_BYTES") return "1000";
                                 return nullptr;
                               });
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->name, "n1");
  EXPECT_EQ(options->data_dir, "/tmp/x");
  EXPECT_TRUE(options->client_cert_auth);
  EXPECT_EQ(options->quota_bytes, 1000);
}

TEST(FlagsTest, RefusesWithTheReason) {
  auto refused = parse_options({"--unsafe-no-fsync"}, no_environment);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message, "--unsafe-no-fsync is not supported: an acknowledged write is always on disk");
  EXPECT_TRUE(parse_options({"--unsafe-no-fsync=false"}, no_environment).has_value());
  EXPECT_EQ(parse_options({"--nonsense"}, no_environment).error().message, "flag provided but not defined: -nonsense");
  EXPECT_FALSE(parse_options({"--listen-client-urls", "https://127.0.0.1:1"}, no_environment).has_value());
  EXPECT_FALSE(parse_options({"--listen-client-urls", "ftp://127.0.0.1:1"}, no_environment).has_value());
}

TEST(FlagsTest, TokensAndPasswords) {
  auto options = parse_options({"--auth-token=jwt,pub-key=/p,priv-key=/k,sign-method=RS256,ttl=10m",
                                "--auth-token-ttl", "60", "--bcrypt-cost=4"},
                               no_environment);
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_TRUE(options->token.jwt);
  EXPECT_EQ(options->token.method, "RS256");
  EXPECT_EQ(options->token.public_key_file, "/p");
  EXPECT_EQ(options->token.private_key_file, "/k");
  EXPECT_EQ(options->jwt_ttl, std::chrono::minutes(10));
  EXPECT_EQ(options->simple_token_ttl, std::chrono::seconds(60));
  EXPECT_EQ(options->bcrypt_cost, 4);
  for (const char* wrong : {"--auth-token=", "--auth-token=nonsense", "--auth-token=jwt", "--auth-token=jwt,sign-method",
                            "--auth-token=jwt,sign-method=RS256,ttl=soon", "--auth-token=jwt,sign-method=A,sign-method=B",
                            "--auth-token=jwt,sign-method=RS256,what=1", "--auth-token=simple,ttl=5m",
                            "--bcrypt-cost=3", "--bcrypt-cost=32", "--auth-token-ttl=0", "--auth-token-ttl=5m"})
    EXPECT_FALSE(parse_options({wrong}, no_environment).has_value()) << wrong;
}

TEST(FlagsTest, CompactionRetentionInHoursDurationsAndRevisions) {
  EXPECT_EQ(parse_options({"--auto-compaction-retention=2"}, no_environment)->compaction_period, std::chrono::hours(2));
  EXPECT_EQ(parse_options({"--auto-compaction-retention=1h30m"}, no_environment)->compaction_period,
            std::chrono::minutes(90));
  auto revisions = parse_options({"--auto-compaction-mode=revision", "--auto-compaction-retention=100"}, no_environment);
  EXPECT_EQ(revisions->compaction_revisions, 100);
}

TEST(FlagsTest, YamlFileReplacesFlags) {
  auto path = std::filesystem::temp_directory_path() / fmt::format("store_flags_test.{}.yaml", ::getpid());
  std::ofstream(path) << "name: from-file\nlisten-client-urls: http://127.0.0.1:4001,http://127.0.0.1:4002\n"
                         "max-txn-ops: 200\nclient-transport-security:\n  client-cert-auth: true\n"
                         "peer-transport-security:\n  cert-file: /x\n";
  auto options = parse_options({"--config-file", path.string(), "--name", "flag"}, no_environment);
  std::filesystem::remove(path);
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->name, "from-file");
  EXPECT_EQ(options->listen_client_urls.size(), 2u);
  EXPECT_EQ(options->max_txn_ops, 200u);
  EXPECT_TRUE(options->client_cert_auth);
}

}  // namespace
}  // namespace rs::store::etcd
