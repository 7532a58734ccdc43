// Expected values: etcd's own defaults and syntax (etcd server/etcdmain/help.go, embed/config.go).
#include "store/etcd/flags.h"

#include <map>

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
  auto options = parse_options({"-name", "n1", "--data-dir=/tmp/x", "--client-cert-auth", "--trusted-ca-file=ca",
                                "--snapshot-count=5"},
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

// What `etcd --help` of 3.4.23 lists, and what 3.6 added (server/etcdmain/config.go), is known: it works, does nothing on a
// single node, or is refused with the reason.
TEST(FlagsTest, EveryFlagOfEtcdIsKnown) {
  for (const char* flag :
       {"name", "data-dir", "wal-dir", "snapshot-count", "heartbeat-interval", "election-timeout", "listen-peer-urls",
        "listen-client-urls", "listen-client-http-urls", "max-snapshots", "max-wals", "quota-backend-bytes",
        "backend-bbolt-freelist-type", "backend-batch-interval", "backend-batch-limit", "max-txn-ops", "max-request-bytes",
        "max-concurrent-streams", "grpc-keepalive-min-time", "grpc-keepalive-interval", "grpc-keepalive-timeout",
        "socket-reuse-port", "socket-reuse-address", "raft-read-timeout", "raft-write-timeout",
        "initial-advertise-peer-urls", "initial-cluster", "initial-cluster-state", "initial-cluster-token",
        "advertise-client-urls", "discovery", "discovery-fallback", "discovery-proxy", "discovery-srv", "discovery-srv-name",
        "discovery-token", "discovery-endpoints", "strict-reconfig-check", "pre-vote", "auto-compaction-retention",
        "auto-compaction-mode", "v2-deprecation", "cert-file", "key-file", "client-cert-auth", "client-cert-file",
        "client-key-file", "client-crl-file", "client-cert-allowed-hostname", "trusted-ca-file", "auto-tls",
        "peer-cert-file", "peer-key-file", "peer-client-cert-auth", "peer-trusted-ca-file", "peer-cert-allowed-cn",
        "peer-cert-allowed-hostname", "peer-auto-tls", "peer-crl-file", "peer-skip-client-san-verification",
        "self-signed-cert-validity", "cipher-suites", "cors", "host-whitelist", "tls-min-version", "tls-max-version",
        "auth-token", "bcrypt-cost", "auth-token-ttl", "enable-pprof", "metrics", "listen-metrics-urls", "logger",
        "log-outputs", "log-level", "log-format", "enable-log-rotation", "log-rotation-config-json",
        "enable-distributed-tracing", "initial-corrupt-check", "corrupt-check-time", "compact-hash-check-time",
        "compaction-batch-limit", "compaction-sleep-interval", "downgrade-check-time", "snapshot-catchup-entries",
        "warning-apply-duration", "warning-unary-request-duration", "watch-progress-notify-interval", "max-learners",
        "memory-mlock", "bootstrap-defrag-threshold-megabytes", "feature-gates", "unsafe-no-fsync", "force-new-cluster",
        "proxy", "proxy-failure-wait", "proxy-refresh-interval", "proxy-dial-timeout", "proxy-write-timeout",
        "proxy-read-timeout", "enable-v2", "enable-grpc-gateway", "experimental-initial-corrupt-check",
        "experimental-corrupt-check-time", "experimental-enable-v2v3", "experimental-enable-lease-checkpoint",
        "experimental-compaction-batch-limit", "experimental-peer-skip-client-san-verification",
        "experimental-watch-progress-notify-interval", "experimental-warning-apply-duration", "config-file", "version",
        "help"}) {
    auto parsed = parse_options({std::string("--") + flag + "=certainly wrong"}, no_environment);
    if (!parsed) EXPECT_EQ(parsed.error().message.find("not defined"), std::string::npos) << flag;
  }
}

// Debian's etcd.service, and what Compose files of etcd set.
TEST(FlagsTest, AUnitFilesEnvironmentIsUnderstood) {
  const std::map<std::string, std::string> environment = {
      {"ETCD_NAME", "host-1"}, {"ETCD_DATA_DIR", "/var/lib/etcd/default"},
      {"ETCD_LISTEN_CLIENT_URLS", "http://0.0.0.0:2379,http://[::1]:4001"},
      {"ETCD_ADVERTISE_CLIENT_URLS", "http://etcd:2379"}, {"ETCD_INITIAL_CLUSTER", "host-1=http://etcd:2380"},
      {"ETCD_INITIAL_CLUSTER_STATE", "new"}, {"ETCD_AUTO_COMPACTION_RETENTION", "1"}, {"ETCD_CORS", "http://a,http://b"},
      {"ETCD_UNSUPPORTED_ARCH", "arm64"}, {"ETCDCTL_API", "3"}};
  auto options = parse_options({}, [&](const char* name) -> const char* {
    auto it = environment.find(name);
    return it == environment.end() ? nullptr : it->second.c_str();
  });
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->name, "host-1");
  ASSERT_EQ(options->listen_client_urls.size(), 2u);
  EXPECT_EQ(options->listen_client_urls[0].host, "0.0.0.0");
  EXPECT_EQ(options->listen_client_urls[1].host, "::1");
  EXPECT_EQ(options->compaction_period, std::chrono::hours(1));
  EXPECT_EQ(options->cors, (std::vector<std::string>{"http://a", "http://b"}));
}

TEST(FlagsTest, UrlsOfSocketsInTheFileSystem) {
  EXPECT_EQ(parse_url("unix:///run/etcd.sock")->path, "/run/etcd.sock");
  EXPECT_EQ(parse_url("unix://localhost:2379")->path, "localhost:2379");
  EXPECT_FALSE(parse_url("unix:///run/etcd.sock")->tls);
  EXPECT_TRUE(parse_url("unixs:///run/etcd.sock")->tls);
  EXPECT_FALSE(parse_url("unix://").has_value());
}

TEST(FlagsTest, Tls) {
  const std::vector<std::string> pair = {"--cert-file=c", "--key-file=k"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), pair.begin(), pair.end());
    return parse_options(more, no_environment);
  };
  auto all = with({"--trusted-ca-file=ca", "--client-crl-file=crl", "--client-cert-allowed-hostname=a,b",
                   "--client-cert-allowed-cn=c", "--cipher-suites=X,Y", "--tls-min-version=TLS1.3", "--tls-max-version="});
  ASSERT_TRUE(all.has_value()) << all.error().message;
  EXPECT_EQ(all->client_crl_file, "crl");
  EXPECT_EQ(all->client_cert_allowed_hostname, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(all->client_cert_allowed_cn, std::vector<std::string>{"c"});
  EXPECT_EQ(all->cipher_suites, (std::vector<std::string>{"X", "Y"}));
  EXPECT_EQ(all->tls_min, net::TlsVersion::k13);
  EXPECT_EQ(all->tls_max, net::TlsVersion::k13);
  EXPECT_TRUE(parse_options({"--auto-tls"}, no_environment)->auto_tls);
  EXPECT_FALSE(with({"--auto-tls"})->auto_tls) << "there is a certificate";
  EXPECT_TRUE(parse_options({"--auto-tls", "--listen-client-urls=https://127.0.0.1:1"}, no_environment).has_value());
  EXPECT_FALSE(with({"--client-cert-auth"}).has_value());
  EXPECT_FALSE(with({"--client-crl-file=crl"}).has_value());
  EXPECT_FALSE(with({"--client-cert-allowed-hostname=a"}).has_value());
  EXPECT_FALSE(with({"--tls-min-version=TLS1.1"}).has_value());
  EXPECT_FALSE(with({"--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"}).has_value());
  EXPECT_FALSE(parse_options({"--cert-file=c"}, no_environment).has_value());
  EXPECT_FALSE(parse_options({"--listen-metrics-urls=https://127.0.0.1:1"}, no_environment).has_value());
}

TEST(FlagsTest, DurationsAreGos) {
  auto interval = [](const std::string& text) {
    auto options = parse_options({"--watch-progress-notify-interval=" + text}, no_environment);
    return options ? options->progress_notify_interval : Duration(-1);
  };
  EXPECT_EQ(interval("1h1m1.5s"), std::chrono::milliseconds(3'661'500));
  EXPECT_EQ(interval("300ms"), std::chrono::milliseconds(300));
  for (const char* wrong : {"", "5", "s", "-5s", "5x", "nans", "infs", "9000000h9000000h", "1e300s"})
    EXPECT_EQ(interval(wrong), Duration(-1)) << wrong;
}

TEST(FlagsTest, LogsMetricsAndKeepAlive) {
  auto options = parse_options({"--log-outputs=stderr,/x", "--metrics=extensive", "--grpc-keepalive-interval=10s",
                                "--grpc-keepalive-timeout=0s"},
                               no_environment);
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->log_outputs, (std::vector<std::string>{"stderr", "/x"}));
  EXPECT_TRUE(options->extensive_metrics);
  EXPECT_EQ(options->keepalive_interval, std::chrono::seconds(10));
  EXPECT_EQ(options->keepalive_timeout, Duration(0));
  EXPECT_FALSE(parse_options({"--metrics=some"}, no_environment).has_value());
  EXPECT_FALSE(parse_options({"--log-outputs="}, no_environment).has_value());
}

TEST(FlagsTest, AMemberOfAClusterDoesNotComeUpAlone) {
  EXPECT_TRUE(parse_options({"--initial-cluster=a=http://10.0.0.1:2380,a=http://[::1]:2380"}, no_environment).has_value());
  auto refused = parse_options({"--initial-cluster=a=http://10.0.0.1:2380,b=http://10.0.0.2:2380"}, no_environment);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("names 2 members"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(parse_options({"--enable-log-rotation"}, no_environment).has_value());
  EXPECT_FALSE(parse_options({"--enable-grpc-gateway=false"}, no_environment)->gateway);
}

TEST(FlagsTest, WhatIsListenedAtIsToldUnlessItIsSaid) {
  EXPECT_EQ(parse_options({}, no_environment)->advertise_client_urls, std::vector<std::string>{"http://localhost:2379"});
  EXPECT_EQ(parse_options({"--listen-client-urls=http://10.0.0.1:2379"}, no_environment)->advertise_client_urls,
            std::vector<std::string>{"http://10.0.0.1:2379"});
  EXPECT_EQ(parse_options({"--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://a:2379"},
                          no_environment)
                ->advertise_client_urls,
            std::vector<std::string>{"http://a:2379"});
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
                         "  trusted-ca-file: /ca\n  allowed-hostname: [a, b]\n  allowed-cn: c\n"
                         "grpc-keepalive-min-time: 3000000000\nwatch-progress-notify-interval: 5s\n"
                         "peer-transport-security:\n  cert-file: /x\n";
  auto options = parse_options({"--config-file", path.string(), "--name", "flag"}, no_environment);
  std::filesystem::remove(path);
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->name, "from-file");
  EXPECT_EQ(options->listen_client_urls.size(), 2u);
  EXPECT_EQ(options->max_txn_ops, 200u);
  EXPECT_EQ(options->keepalive_min_time, std::chrono::seconds(3)) << "nanoseconds, as Go's JSON reads a duration";
  EXPECT_EQ(options->progress_notify_interval, std::chrono::seconds(5));
  EXPECT_EQ(options->client_cert_allowed_hostname, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options->client_cert_allowed_cn, std::vector<std::string>{"c"});
  EXPECT_TRUE(options->client_cert_auth);
}

}  // namespace
}  // namespace rs::store::etcd
