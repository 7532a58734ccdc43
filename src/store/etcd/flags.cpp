#include "store/etcd/flags.h"

#include <charconv>
#include <map>
#include <set>

#include <yaml-cpp/yaml.h>

#include "store/auth/password.h"

namespace rs::store::etcd {
namespace {

enum class Kind { kText, kBool, kAccepted, kAcceptedBool, kRefused, kRefusedBool };

struct Flag {
  std::string_view name;
  Kind kind;
  std::string_view initial;  // default, as etcd's
  std::string_view what;     // help, or why it is refused unless it is left at its default
};

constexpr std::string_view kOneNode = "this store is a single node";
constexpr std::string_view kPeers = "of members to each other; a single node has none";

constexpr Flag kFlags[] = {
    {"name", Kind::kText, "default", "Human-readable name of this member."},
    {"data-dir", Kind::kText, "", "Path to the data directory (default: NAME.etcd)."},
    {"listen-client-urls", Kind::kText, "http://localhost:2379", "URLs to listen on for clients."},
    {"advertise-client-urls", Kind::kText, "http://localhost:2379", "URLs that the member list tells clients."},
    {"initial-advertise-peer-urls", Kind::kText, "http://localhost:2380", "Peer URLs that the member list tells."},
    {"listen-metrics-urls", Kind::kText, "", "More URLs that answer /metrics and /health."},
    {"quota-backend-bytes", Kind::kText, "0", "Writes are refused when live data grows past it (0: 2 GiB, < 0: never)."},
    {"max-txn-ops", Kind::kText, "128", "Most operations of a transaction."},
    {"max-request-bytes", Kind::kText, "1572864", "Most bytes of a request."},
    {"max-concurrent-streams", Kind::kText, "4294967295", "Most streams of a connection."},
    {"grpc-keepalive-min-time", Kind::kText, "5s", "Least time between two pings of a client."},
    {"grpc-keepalive-interval", Kind::kText, "30s", "A client silent for so long during a call is pinged (etcd: 2h). 0: never."},
    {"grpc-keepalive-timeout", Kind::kText, "20s", "How long it may take to answer. 0: forever."},
    {"auto-compaction-mode", Kind::kText, "periodic", "'periodic' or 'revision'."},
    {"auto-compaction-retention", Kind::kText, "0", "How much history is kept: hours or a duration, or revisions. 0: all."},
    {"watch-progress-notify-interval", Kind::kText, "10m", "How often an idle watch is told that it is current."},
    {"experimental-watch-progress-notify-interval", Kind::kText, "", "The same, as etcd < 3.6 names it."},
    {"cert-file", Kind::kText, "", "TLS certificate for clients."},
    {"key-file", Kind::kText, "", "TLS key for clients."},
    {"trusted-ca-file", Kind::kText, "", "CA of the clients' certificates: clients must show one."},
    {"client-cert-auth", Kind::kBool, "false", "The same, and the name in it may be a user's (auth enable)."},
    {"client-crl-file", Kind::kText, "", "Revocation list of the clients' certificates."},
    {"client-cert-allowed-hostname", Kind::kText, "", "Names, one of which a client's certificate must be for."},
    {"client-cert-allowed-cn", Kind::kText, "", "Common names, one of which a client's certificate must have."},
    {"auto-tls", Kind::kBool, "false", "Make a certificate for clients when --cert-file is not given: DATA-DIR/fixtures/client."},
    {"self-signed-cert-validity", Kind::kText, "1", "Years that it lives."},
    {"tls-min-version", Kind::kText, "TLS1.2", "TLS1.2 or TLS1.3."},
    {"tls-max-version", Kind::kText, "", "TLS1.2 or TLS1.3; empty: the newest."},
    {"cipher-suites", Kind::kText, "", "TLS cipher suites, as IANA names them; empty: the secure ones."},
    {"auth-token", Kind::kText, "simple",
     "'simple', or 'jwt,sign-method=M,priv-key=FILE[,pub-key=FILE][,ttl=5m]' (RS256, PS256, ES256, HS256, EdDSA, …)."},
    {"auth-token-ttl", Kind::kText, "300", "Seconds that a simple token lives after its last use."},
    {"bcrypt-cost", Kind::kText, "10", "How costly passwords are to guess, and to check: 4 to 31."},
    {"cors", Kind::kText, "*", "Origins whose web pages may read answers of the HTTP side."},
    {"host-whitelist", Kind::kText, "*", "Host names that HTTP requests without TLS may be for."},
    {"listen-client-http-urls", Kind::kText, "", "More URLs to listen on for clients (etcd: of HTTP only)."},
    {"initial-cluster", Kind::kText, "", "NAME=PEER-URL of this member; others would be members of a cluster, which this is not."},
    {"enable-grpc-gateway", Kind::kBool, "true", "Answer JSON under /v3/."},
    {"socket-reuse-port", Kind::kBool, "false", "Let other processes listen on the same ports (SO_REUSEPORT)."},
    {"log-level", Kind::kText, "info", "debug, info, warn or error."},
    {"debug", Kind::kBool, "false", "The same as --log-level debug."},
    {"log-outputs", Kind::kText, "default", "'default' and 'stderr', 'stdout', or paths of files."},
    {"metrics", Kind::kText, "basic", "'extensive' adds histograms of how long calls take."},
    {"config-file", Kind::kText, "", "YAML file with these settings; flags and environment are not looked at then."},
    {"version", Kind::kBool, "false", "Print the version and exit."},
    {"help", Kind::kBool, "false", "Print this and exit."},
    // Accepted: they concern what a single node does not do, or how etcd does what we do otherwise.
    {"listen-peer-urls", Kind::kAccepted, "http://localhost:2380", kPeers},
    {"initial-cluster-state", Kind::kAccepted, "new", kPeers},
    {"initial-cluster-token", Kind::kAccepted, "etcd-cluster", kPeers},
    {"heartbeat-interval", Kind::kAccepted, "100", kPeers},
    {"election-timeout", Kind::kAccepted, "1000", kPeers},
    {"initial-election-tick-advance", Kind::kAcceptedBool, "true", kPeers},
    {"strict-reconfig-check", Kind::kAcceptedBool, "true", kPeers},
    {"pre-vote", Kind::kAcceptedBool, "true", kPeers},
    {"peer-cert-file", Kind::kAccepted, "", kPeers},
    {"peer-key-file", Kind::kAccepted, "", kPeers},
    {"peer-trusted-ca-file", Kind::kAccepted, "", kPeers},
    {"peer-client-cert-auth", Kind::kAcceptedBool, "false", kPeers},
    {"peer-auto-tls", Kind::kAcceptedBool, "false", kPeers},
    {"peer-cert-allowed-cn", Kind::kAccepted, "", kPeers},
    {"snapshot-count", Kind::kAccepted, "10000", "of the Raft log; there is none"},
    {"experimental-snapshot-catchup-entries", Kind::kAccepted, "5000", "of the Raft log; there is none"},
    {"max-snapshots", Kind::kAccepted, "5", "of the Raft log; there is none"},
    {"max-wals", Kind::kAccepted, "5", "of the Raft log; there is none"},
    {"backend-batch-limit", Kind::kAccepted, "0", "every group is durable at once"},
    {"backend-batch-interval", Kind::kAccepted, "0s", "every group is durable at once"},
    {"backend-bbolt-freelist-type", Kind::kAccepted, "map", "of bbolt"},
    {"experimental-backend-bbolt-freelist-type", Kind::kAccepted, "map", "of bbolt"},
    {"compaction-batch-limit", Kind::kAccepted, "1000", "compaction paces itself"},
    {"experimental-compaction-batch-limit", Kind::kAccepted, "1000", "compaction paces itself"},
    {"experimental-compaction-sleep-interval", Kind::kAccepted, "10ms", "compaction paces itself"},
    {"initial-corrupt-check", Kind::kAcceptedBool, "false", "every start checks"},
    {"experimental-initial-corrupt-check", Kind::kAcceptedBool, "false", "every start checks"},
    {"experimental-corrupt-check-time", Kind::kAccepted, "0s", kPeers},
    {"experimental-warning-apply-duration", Kind::kAccepted, "100ms", "for etcd's log"},
    {"logger", Kind::kAccepted, "zap", "log lines go to stderr"},
    {"log-format", Kind::kAccepted, "json", "log lines go to stderr"},
    {"log-package-levels", Kind::kAccepted, "", "log lines go to stderr"},
    {"enable-pprof", Kind::kAcceptedBool, "false", "of the Go runtime"},
    {"socket-reuse-address", Kind::kAcceptedBool, "false", "of the listener"},
    {"feature-gates", Kind::kAccepted, "", "of etcd's own stages"},
    {"experimental-initial-election-tick-advance", Kind::kAcceptedBool, "true", kPeers},
    {"v2-deprecation", Kind::kAccepted, "write-only-drop-data", "there is no v2 store"},
    {"discovery-srv-name", Kind::kAccepted, "", kPeers},
    {"experimental-enable-lease-checkpoint", Kind::kAcceptedBool, "false", "what is left of long leases is always written down"},
    {"experimental-enable-lease-checkpoint-persist", Kind::kAcceptedBool, "false", "what is left of long leases is always written down"},
    {"peer-skip-client-san-verification", Kind::kAcceptedBool, "false", kPeers},
    {"experimental-peer-skip-client-san-verification", Kind::kAcceptedBool, "false", kPeers},
    {"peer-cert-allowed-hostname", Kind::kAccepted, "", kPeers},
    {"peer-crl-file", Kind::kAccepted, "", kPeers},
    {"peer-client-cert-file", Kind::kAccepted, "", kPeers},
    {"peer-client-key-file", Kind::kAccepted, "", kPeers},
    {"client-cert-file", Kind::kAccepted, "", kPeers},
    {"client-key-file", Kind::kAccepted, "", kPeers},
    {"raft-read-timeout", Kind::kAccepted, "5s", kPeers},
    {"raft-write-timeout", Kind::kAccepted, "5s", kPeers},
    {"max-learners", Kind::kAccepted, "1", kPeers},
    {"experimental-max-learners", Kind::kAccepted, "1", kPeers},
    {"downgrade-check-time", Kind::kAccepted, "5s", kPeers},
    {"experimental-downgrade-check-time", Kind::kAccepted, "5s", kPeers},
    {"corrupt-check-time", Kind::kAccepted, "0s", kPeers},
    {"compact-hash-check-time", Kind::kAccepted, "1m", kPeers},
    {"experimental-compact-hash-check-time", Kind::kAccepted, "1m", kPeers},
    {"experimental-compact-hash-check-enabled", Kind::kAcceptedBool, "false", kPeers},
    {"snapshot-catchup-entries", Kind::kAccepted, "5000", "of the Raft log; there is none"},
    {"compaction-sleep-interval", Kind::kAccepted, "10ms", "compaction paces itself"},
    {"warning-apply-duration", Kind::kAccepted, "100ms", "for etcd's log"},
    {"warning-unary-request-duration", Kind::kAccepted, "300ms", "for etcd's log"},
    {"experimental-warning-unary-request-duration", Kind::kAccepted, "300ms", "for etcd's log"},
    {"bootstrap-defrag-threshold-megabytes", Kind::kAccepted, "0", "there is nothing to defragment"},
    {"experimental-bootstrap-defrag-threshold-megabytes", Kind::kAccepted, "0", "there is nothing to defragment"},
    {"experimental-stop-grpc-service-on-defrag", Kind::kAcceptedBool, "false", "there is nothing to defragment"},
    {"experimental-txn-mode-write-with-shared-buffer", Kind::kAcceptedBool, "true", "of bbolt"},
    {"memory-mlock", Kind::kAcceptedBool, "false", "of bbolt"},
    {"experimental-memory-mlock", Kind::kAcceptedBool, "false", "of bbolt"},
    {"log-rotation-config-json", Kind::kAccepted, "", "log lines go to stderr"},
    {"discovery-dial-timeout", Kind::kAccepted, "2s", kPeers},
    {"discovery-request-timeout", Kind::kAccepted, "5s", kPeers},
    {"discovery-keepalive-time", Kind::kAccepted, "2s", kPeers},
    {"discovery-keepalive-timeout", Kind::kAccepted, "6s", kPeers},
    {"discovery-insecure-transport", Kind::kAcceptedBool, "true", kPeers},
    {"discovery-insecure-skip-tls-verify", Kind::kAcceptedBool, "false", kPeers},
    {"proxy-failure-wait", Kind::kAccepted, "5000", "of the v2 proxy"},
    {"proxy-refresh-interval", Kind::kAccepted, "30000", "of the v2 proxy"},
    {"proxy-dial-timeout", Kind::kAccepted, "1000", "of the v2 proxy"},
    {"proxy-write-timeout", Kind::kAccepted, "5000", "of the v2 proxy"},
    {"proxy-read-timeout", Kind::kAccepted, "0", "of the v2 proxy"},
    {"force-new-cluster", Kind::kAcceptedBool, "false", "a single node is one already"},
    {"set-member-localaddr", Kind::kAcceptedBool, "false", kPeers},
    {"experimental-set-member-localaddr", Kind::kAcceptedBool, "false", kPeers},
    {"wait-cluster-ready-timeout", Kind::kAccepted, "5s", kPeers},
    {"experimental-wait-cluster-ready-timeout", Kind::kAccepted, "5s", kPeers},
    {"discovery-user", Kind::kAccepted, "", kPeers},
    {"discovery-password", Kind::kAccepted, "", kPeers},
    {"discovery-cert", Kind::kAccepted, "", kPeers},
    {"discovery-key", Kind::kAccepted, "", kPeers},
    {"discovery-cacert", Kind::kAccepted, "", kPeers},
    {"distributed-tracing-address", Kind::kAccepted, "localhost:4317", "no traces are sent"},
    {"distributed-tracing-service-name", Kind::kAccepted, "etcd", "no traces are sent"},
    {"distributed-tracing-instance-id", Kind::kAccepted, "", "no traces are sent"},
    {"distributed-tracing-sampling-rate", Kind::kAccepted, "0", "no traces are sent"},
    {"experimental-distributed-tracing-address", Kind::kAccepted, "localhost:4317", "no traces are sent"},
    {"experimental-distributed-tracing-service-name", Kind::kAccepted, "etcd", "no traces are sent"},
    {"experimental-distributed-tracing-instance-id", Kind::kAccepted, "", "no traces are sent"},
    {"experimental-distributed-tracing-sampling-rate", Kind::kAccepted, "0", "no traces are sent"},
    // Refused when asked for.
    {"enable-log-rotation", Kind::kRefusedBool, "false", "let logrotate do it, with copytruncate"},
    {"discovery-token", Kind::kRefused, "", kOneNode},
    {"discovery-endpoints", Kind::kRefused, "", kOneNode},
    {"enable-distributed-tracing", Kind::kRefusedBool, "false", "no traces are sent"},
    {"experimental-enable-distributed-tracing", Kind::kRefusedBool, "false", "no traces are sent"},
    {"wal-dir", Kind::kRefused, "", "the log lies in the data directory: put that on the fast disk"},
    {"unsafe-no-fsync", Kind::kRefusedBool, "false", "an acknowledged write is always on disk"},
    {"discovery", Kind::kRefused, "", kOneNode},
    {"discovery-srv", Kind::kRefused, "", kOneNode},
    {"discovery-proxy", Kind::kRefused, "", kOneNode},
    {"discovery-fallback", Kind::kAccepted, "proxy", kPeers},
    {"proxy", Kind::kRefused, "off", "it is not a proxy"},
    {"enable-v2", Kind::kRefusedBool, "false", "there is no v2 API"},
    {"experimental-enable-v2v3", Kind::kRefused, "", "there is no v2 API"},
};

const Flag* find_flag(std::string_view name) {
  for (const Flag& flag : kFlags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

bool is_bool(Kind kind) { return kind == Kind::kBool || kind == Kind::kAcceptedBool || kind == Kind::kRefusedBool; }

using Settings = std::map<std::string, std::string, std::less<>>;

std::optional<bool> parse_bool(std::string_view text) {
  for (std::string_view yes : {"true", "1", "t", "T", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"false", "0", "f", "F", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

Result<void> take(Settings& settings, const Flag& flag, std::string_view value, std::string_view from) {
  if (is_bool(flag.kind) && !parse_bool(value))
    return fail(Code::kBadRequest, "{}: \"{}\" is neither true nor false", from, value);
  bool refused = flag.kind == Kind::kRefused || flag.kind == Kind::kRefusedBool;
  bool same = is_bool(flag.kind) ? parse_bool(value) == parse_bool(flag.initial) : value == flag.initial;
  if (refused && !same && !value.empty()) return fail(Code::kBadRequest, "{} is not supported: {}", from, flag.what);
  settings[std::string(flag.name)] = value;
  return {};
}

// Go's flag syntax: -name value, --name value, --name=value; a bool alone means true.
Result<void> read_arguments(const std::vector<std::string>& arguments, Settings& settings) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string_view argument = arguments[i];
    if (!argument.starts_with("-")) return fail(Code::kBadRequest, "'{}' is not a valid flag", argument);
    argument.remove_prefix(argument.starts_with("--") ? 2 : 1);
    auto equals = argument.find('=');
    std::string_view name = argument.substr(0, equals);
    if (name == "h") name = "help";
    const Flag* flag = find_flag(name);
    if (flag == nullptr) return fail(Code::kBadRequest, "flag provided but not defined: -{}", name);
    std::string_view value;
    if (equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
    } else if (is_bool(flag->kind)) {
      value = "true";
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return fail(Code::kBadRequest, "flag needs an argument: -{}", name);
    }
    if (auto taken = take(settings, *flag, value, fmt::format("--{}", name)); !taken) return taken;
  }
  return {};
}

Result<void> read_environment(const Environment& environment, Settings& settings) {
  for (const Flag& flag : kFlags) {
    std::string variable = "ETCD_";
    for (char c : flag.name) variable.push_back(c == '-' ? '_' : char(std::toupper(c)));
    const char* value = environment(variable.c_str());
    if (value == nullptr || settings.contains(flag.name)) continue;  // flags go before
    if (auto taken = take(settings, flag, value, variable); !taken) return taken;
  }
  return {};
}

bool is_duration(std::string_view name) {
  return name.ends_with("watch-progress-notify-interval") || name.starts_with("grpc-keepalive-");
}

Result<void> read_yaml_map(const YAML::Node& node, std::string_view prefix, Settings& settings) {
  for (const auto& item : node) {
    auto key = item.first.as<std::string>();
    if (item.second.IsMap()) {
      std::string_view inner = key == "peer-transport-security" ? "peer-" : "";
      if (key != "client-transport-security" && key != "peer-transport-security")
        return fail(Code::kBadRequest, "config file: unknown section {}", key);
      if (auto read = read_yaml_map(item.second, inner, settings); !read) return read;
      continue;
    }
    // In the file's sections these have names of their own.
    if (key == "allowed-cn" || key == "allowed-hostname") key = prefix.empty() ? "client-cert-" + key : "cert-" + key;
    const Flag* flag = find_flag(std::string(prefix) + key);
    if (flag == nullptr) return fail(Code::kBadRequest, "config file: unknown setting {}{}", prefix, key);
    std::string value;
    if (item.second.IsSequence()) {
      for (const auto& element : item.second) value += (value.empty() ? "" : ",") + element.as<std::string>();
    } else if (!item.second.IsNull()) {
      value = item.second.as<std::string>();
    }
    if (value.empty()) continue;
    // etcd reads durations of its file as Go's JSON does: nanoseconds.
    if (is_duration(flag->name) && std::ranges::all_of(value, [](char c) { return std::isdigit(uint8_t(c)); })) value += "ns";
    if (auto taken = take(settings, *flag, value, "config file: " + key); !taken) return taken;
  }
  return {};
}

Result<void> read_yaml(const std::string& path, Settings& settings) {
  try {
    YAML::Node root = YAML::LoadFile(path);
    if (root.IsNull()) return {};
    if (!root.IsMap()) return fail(Code::kBadRequest, "{}: not a mapping of settings", path);
    return read_yaml_map(root, "", settings);
  } catch (const YAML::Exception& error) {
    return fail(Code::kBadRequest, "{}: {}", path, error.what());
  }
}

Result<int64_t> parse_number(std::string_view name, std::string_view text) {
  int64_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size())
    return fail(Code::kBadRequest, "--{}: \"{}\" is not a number", name, text);
  return value;
}

// Go's time.ParseDuration for what people write: 10s, 1h30m, 500ms.
Result<Duration> parse_duration(std::string_view name, std::string_view text) {
  Duration total{};
  std::string_view rest = text;
  if (rest == "0") return total;
  if (rest.empty()) return fail(Code::kBadRequest, "--{}: a duration is missing", name);
  while (!rest.empty()) {
    double amount = 0;
    auto [end, ec] = std::from_chars(rest.data(), rest.data() + rest.size(), amount);
    if (ec != std::errc() || !(amount >= 0))  // nor a NaN
      return fail(Code::kBadRequest, "--{}: \"{}\" is not a duration", name, text);
    rest.remove_prefix(size_t(end - rest.data()));
    size_t unit = 0;
    while (unit < rest.size() && std::isalpha(uint8_t(rest[unit]))) ++unit;
    static const std::map<std::string_view, double> kUnits = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6},
                                                              {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    auto it = kUnits.find(rest.substr(0, unit));
    if (it == kUnits.end() || double(total.count()) + amount * it->second > 9e18)
      return fail(Code::kBadRequest, "--{}: \"{}\" is not a duration", name, text);
    total += Duration(int64_t(amount * it->second));
    rest.remove_prefix(unit);
  }
  return total;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    auto comma = text.find(',');
    if (comma != 0) parts.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return parts;
}

Result<std::vector<Url>> parse_urls(std::string_view name, std::string_view text) {
  std::vector<Url> urls;
  for (const std::string& part : split(text)) {
    auto url = parse_url(part);
    if (!url) return fail(Code::kBadRequest, "--{}: {}", name, url.error().message);
    urls.push_back(*url);
  }
  return urls;
}

class Interpreter {
 public:
  explicit Interpreter(const Settings& settings) : settings_(settings) {}

  Result<StandaloneOptions> run() {
    StandaloneOptions out;
    out.name = text("name");
    out.data_dir = text("data-dir").empty() ? out.name + ".etcd" : text("data-dir");
    urls("listen-client-urls", out.listen_client_urls);
    std::vector<Url> http_urls;
    urls("listen-client-http-urls", http_urls);
    out.listen_client_urls.insert(out.listen_client_urls.end(), http_urls.begin(), http_urls.end());
    urls("listen-metrics-urls", out.listen_metrics_urls);
    out.cors = split(text("cors"));
    out.host_whitelist = split(text("host-whitelist"));
    // Who says where to listen and not what to tell is found there at least (etcd would refuse to start).
    const bool told = settings_.contains("advertise-client-urls") || !settings_.contains("listen-client-urls");
    out.advertise_client_urls = split(text(told ? "advertise-client-urls" : "listen-client-urls"));
    out.initial_advertise_peer_urls = split(text("initial-advertise-peer-urls"));
    members();
    out.gateway = flag("enable-grpc-gateway");
    out.reuse_port = flag("socket-reuse-port");
    number("quota-backend-bytes", out.quota_bytes, INT64_MIN, INT64_MAX);
    if (out.quota_bytes == 0) out.quota_bytes = 2ll << 30;
    number("max-txn-ops", out.max_txn_ops, 1, 1'000'000);
    number("max-request-bytes", out.max_request_bytes, 1, 1 << 30);
    number("max-concurrent-streams", out.max_concurrent_streams, 1, UINT32_MAX);
    duration("grpc-keepalive-min-time", out.keepalive_min_time);
    bool old_name = settings_.contains("experimental-watch-progress-notify-interval");
    duration(old_name ? "experimental-watch-progress-notify-interval" : "watch-progress-notify-interval",
             out.progress_notify_interval);
    compaction(out);
    duration("grpc-keepalive-interval", out.keepalive_interval);
    duration("grpc-keepalive-timeout", out.keepalive_timeout);
    tls(out);
    tokens(out);
    logs_and_metrics(out);
    if (!error_ && out.listen_client_urls.empty()) refuse("--listen-client-urls: at least one is needed");
    if (!error_ && out.progress_notify_interval < std::chrono::milliseconds(100))
      refuse("--watch-progress-notify-interval: 100ms at least");
    if (error_) return fail(*error_);
    return out;
  }

 private:
  std::string text(std::string_view name) const {
    if (auto it = settings_.find(name); it != settings_.end()) return it->second;
    return std::string(find_flag(name)->initial);
  }
  bool flag(std::string_view name) const { return parse_bool(text(name)).value_or(false); }
  void refuse(std::string_view why) { keep(Error{Code::kBadRequest, std::string(why)}); }
  void keep(const Error& error) {
    if (!error_) error_ = error;
  }
  template <class T>
  void number(std::string_view name, T& out, int64_t low, int64_t high) {
    auto value = parse_number(name, text(name));
    if (!value) return keep(value.error());
    if (*value < low || *value > high) return refuse(fmt::format("--{}: {} is out of range", name, *value));
    out = T(*value);
  }
  void duration(std::string_view name, Duration& out) {
    auto value = parse_duration(name, text(name));
    if (!value) return keep(value.error());
    out = *value;
  }
  void urls(std::string_view name, std::vector<Url>& out) {
    auto value = parse_urls(name, text(name));
    if (!value) return keep(value.error());
    out = std::move(*value);
  }
  // A member of a cluster that came up alone would take writes that the others never see.
  void members() {
    std::set<std::string> names;
    for (const std::string& member : split(text("initial-cluster"))) names.insert(member.substr(0, member.find('=')));
    if (names.size() > 1)
      refuse(fmt::format("--initial-cluster names {} members: this store is a single node, and would share nothing with the "
                         "others. Name this one alone, or run etcd for a cluster",
                         names.size()));
  }
  // Hours when it is a bare number in periodic mode (etcd's older form).
  void compaction(StandaloneOptions& out) {
    std::string mode = text("auto-compaction-mode"), retention = text("auto-compaction-retention");
    if (mode != "periodic" && mode != "revision") return refuse("--auto-compaction-mode: periodic or revision");
    if (retention == "0" || retention.empty()) return;
    if (mode == "revision") {
      number("auto-compaction-retention", out.compaction_revisions, 0, INT64_MAX);
      out.compaction = StandaloneOptions::Compaction::kRevision;
      return;
    }
    bool bare = std::all_of(retention.begin(), retention.end(), [](char c) { return std::isdigit(uint8_t(c)); });
    auto period = parse_duration("auto-compaction-retention", bare ? retention + "h" : retention);
    if (!period) return keep(period.error());
    out.compaction_period = *period;
    if (period->count() > 0) out.compaction = StandaloneOptions::Compaction::kPeriodic;
  }
  void tokens(StandaloneOptions& out) {
    number("bcrypt-cost", out.bcrypt_cost, auth::kMinBcryptCost, auth::kMaxBcryptCost);
    int64_t seconds = 300;
    number("auth-token-ttl", seconds, 1, INT32_MAX);
    out.simple_token_ttl = std::chrono::seconds(seconds);
    auto spec = auth::parse_token_spec(text("auth-token"));
    if (!spec) return refuse("--auth-token: " + spec.error().message);
    out.token = std::move(*spec);
    if (out.token.ttl.empty()) return;
    auto ttl = parse_duration("auth-token", out.token.ttl);
    if (!ttl) return keep(ttl.error());
    if (*ttl <= Duration(0)) return refuse("--auth-token: a ttl is longer than nothing");
    out.jwt_ttl = *ttl;
  }
  void version(std::string_view name, net::TlsVersion& out) {
    const std::string value = text(name);
    if (value == "TLS1.2") out = net::TlsVersion::k12;
    else if (value == "TLS1.3") out = net::TlsVersion::k13;
    else if (!value.empty()) refuse(fmt::format("--{}: TLS1.2 or TLS1.3, not \"{}\"", name, value));
  }
  void tls(StandaloneOptions& out) {
    out.cert_file = text("cert-file");
    out.key_file = text("key-file");
    out.trusted_ca_file = text("trusted-ca-file");
    out.client_cert_auth = flag("client-cert-auth");
    out.client_crl_file = text("client-crl-file");
    out.client_cert_allowed_cn = split(text("client-cert-allowed-cn"));
    out.client_cert_allowed_hostname = split(text("client-cert-allowed-hostname"));
    out.cipher_suites = split(text("cipher-suites"));
    version("tls-min-version", out.tls_min);
    version("tls-max-version", out.tls_max);
    if (out.tls_min > out.tls_max) refuse("--tls-min-version is above --tls-max-version");
    number("self-signed-cert-validity", out.self_signed_years, 1, 100);
    if (out.cert_file.empty() != out.key_file.empty()) refuse("--cert-file and --key-file go together");
    out.auto_tls = flag("auto-tls") && out.cert_file.empty();
    if (out.trusted_ca_file.empty() && out.client_cert_auth) refuse("--client-cert-auth needs --trusted-ca-file");
    if (out.trusted_ca_file.empty() && !(out.client_crl_file.empty() && out.client_cert_allowed_cn.empty() &&
                                         out.client_cert_allowed_hostname.empty()))
      refuse("--client-crl-file and --client-cert-allowed-… need --trusted-ca-file: no client shows a certificate otherwise");
    for (const auto* urls : {&out.listen_client_urls, &out.listen_metrics_urls}) {
      for (const Url& url : *urls) {
        if (url.tls && out.cert_file.empty() && !out.auto_tls)
          refuse("an https URL needs --cert-file and --key-file, or --auto-tls");
      }
    }
  }
  void logs_and_metrics(StandaloneOptions& out) {
    std::string name = flag("debug") ? "debug" : text("log-level");
    if (name == "warn") name = "warning";
    if (name == "panic" || name == "fatal" || name == "dpanic") name = "error";
    if (!log::parse_level(name, out.log_level)) refuse("--log-level: debug, info, warn or error");
    out.log_outputs = split(text("log-outputs"));
    if (out.log_outputs.empty()) refuse("--log-outputs: at least one is needed");
    const std::string metrics = text("metrics");
    if (metrics != "basic" && metrics != "extensive") refuse("--metrics: basic or extensive");
    out.extensive_metrics = metrics == "extensive";
  }

  const Settings& settings_;
  std::optional<Error> error_;
};

}  // namespace

Result<Url> parse_url(std::string_view text) {
  Url url;
  std::string_view rest = text;
  if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("unix://") || rest.starts_with("unixs://")) {
    url.tls = rest.starts_with("unixs");
    url.path = rest.substr(rest.find("//") + 2);
    if (url.path.empty()) return fail(Code::kBadRequest, "URL needs a path: {}", text);
    return url;
  } else {
    return fail(Code::kBadRequest, "URL scheme must be http, https, unix, or unixs: {}", text);
  }
  if (rest.ends_with("/")) rest.remove_suffix(1);
  auto colon = rest.rfind(':');
  if (colon == std::string_view::npos) return fail(Code::kBadRequest, "URL address does not have the form \"host:port\": {}", text);
  std::string_view port = rest.substr(colon + 1), host = rest.substr(0, colon);
  auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), url.port);
  if (ec != std::errc() || end != port.data() + port.size() || port.empty())
    return fail(Code::kBadRequest, "URL has no port: {}", text);
  if (host.starts_with("[") && host.ends_with("]")) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.find('/') != std::string_view::npos)
    return fail(Code::kBadRequest, "URL must not contain a path, and needs a host: {}", text);
  url.host = host == "localhost" ? "127.0.0.1" : std::string(host);
  return url;
}

Result<StandaloneOptions> parse_options(const std::vector<std::string>& arguments, const Environment& environment) {
  Settings settings;
  if (auto read = read_arguments(arguments, settings); !read) return fail(read.error());
  StandaloneOptions special;
  if (parse_bool(settings["help"]).value_or(false)) special.action = StandaloneOptions::Action::kHelp;
  if (parse_bool(settings["version"]).value_or(false)) special.action = StandaloneOptions::Action::kVersion;
  if (special.action != StandaloneOptions::Action::kServe) return special;
  settings.erase("help");
  settings.erase("version");
  std::string file = settings.contains("config-file") ? settings["config-file"] : "";
  if (const char* variable = environment("ETCD_CONFIG_FILE"); file.empty() && variable != nullptr) file = variable;
  if (!file.empty()) {
    settings.clear();
    if (auto read = read_yaml(file, settings); !read) return fail(read.error());
  } else if (auto read = read_environment(environment, settings); !read) {
    return fail(read.error());
  }
  return Interpreter(settings).run();
}

std::string usage() {
  std::string out =
      "Usage: roadstead store [flags]\n"
      "       roadstead store snapshot save|restore|status [flags] FILE\n"
      "       roadstead store import --from URL --data-dir DIR [flags]\n\n"
      "Serves the etcd v3 API from one node. Takes etcd's flags, ETCD_* variables and --config-file.\n"
      "snapshot: saves a snapshot from a running server (etcd or this one), makes a data directory of one, or tells what\n"
      "is in it. import: makes a data directory of a running etcd's data, in one go.\n\nFlags:\n";
  for (const Flag& flag : kFlags) {
    if (flag.kind != Kind::kText && flag.kind != Kind::kBool) continue;
    out += fmt::format("  --{} '{}'\n      {}\n", flag.name, flag.initial, flag.what);
  }
  out += "\nAccepted without effect: ";
  for (const Flag& flag : kFlags) {
    if (flag.kind == Kind::kAccepted || flag.kind == Kind::kAcceptedBool) out += fmt::format("--{} ", flag.name);
  }
  out += "\n\nRefused:\n";
  for (const Flag& flag : kFlags) {
    if (flag.kind == Kind::kRefused || flag.kind == Kind::kRefusedBool)
      out += fmt::format("  --{}: {}\n", flag.name, flag.what);
  }
  return out;
}

}  // namespace rs::store::etcd
