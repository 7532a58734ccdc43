// etcd's own flags, environment variables and YAML file (etcd server/etcdmain/help.go, embed/config.go), read into what
// a store of one node needs. A setting that cannot be honoured is refused with the reason; one that only concerns
// clusters (elections, peers' TLS, snapshots to followers) is accepted and has nothing to do. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "net/tls.h"
#include "store/auth/tokens.h"

namespace rs::store::etcd {

struct Url {
  bool tls = false;
  std::string host;  // an IP literal
  uint16_t port = 0;
  std::string path;  // of a socket in the file system (unix://, unixs://), which has neither host nor port
};
Result<Url> parse_url(std::string_view text);

struct StandaloneOptions {
  enum class Action { kServe, kHelp, kVersion } action = Action::kServe;
  std::string name = "default";
  std::string data_dir;                                  // "": name + ".etcd"
  std::vector<Url> listen_client_urls, listen_metrics_urls;
  std::vector<std::string> advertise_client_urls, initial_advertise_peer_urls;
  int64_t quota_bytes = 2ll << 30;                       // <= 0: none
  bool gateway = true;                                   // JSON under /v3/
  bool reuse_port = false;                               // of listeners
  size_t max_txn_ops = 128;
  size_t max_request_bytes = 1536 * 1024;
  size_t max_concurrent_streams = 1u << 31;
  Duration keepalive_min_time = std::chrono::seconds(5);
  Duration keepalive_interval = std::chrono::seconds(30), keepalive_timeout = std::chrono::seconds(20);  // 0: never
  Duration progress_notify_interval = std::chrono::minutes(10);
  enum class Compaction { kOff, kPeriodic, kRevision } compaction = Compaction::kOff;
  Duration compaction_period{};
  int64_t compaction_revisions = 0;
  std::string cert_file, key_file, trusted_ca_file, client_crl_file;
  bool client_cert_auth = false, auto_tls = false;
  std::vector<std::string> client_cert_allowed_cn, client_cert_allowed_hostname, cipher_suites;
  net::TlsVersion tls_min = net::TlsVersion::k12, tls_max = net::TlsVersion::k13;
  int self_signed_years = 1;                             // how long a certificate of auto_tls lives
  std::vector<std::string> cors = {"*"}, host_whitelist = {"*"};
  int bcrypt_cost = 10;
  auth::TokenSpec token;
  Duration simple_token_ttl = std::chrono::seconds(300), jwt_ttl = std::chrono::minutes(5);
  log::Level log_level = log::Level::kInfo;
  std::vector<std::string> log_outputs = {"default"};    // default, stderr, stdout, systemd/journal, or a file's path
  bool extensive_metrics = false;                        // histograms of how long calls take
};

using Environment = std::function<const char*(const char* name)>;  // ::getenv
// arguments without the program's name. kBadRequest says which setting, and why.
Result<StandaloneOptions> parse_options(const std::vector<std::string>& arguments, const Environment& environment);
std::string usage();

}  // namespace rs::store::etcd
