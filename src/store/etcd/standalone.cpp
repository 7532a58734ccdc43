#include "store/etcd/standalone.h"

#include <fcntl.h>
#include <malloc.h>

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <iostream>

#include <boost/asio/signal_set.hpp>

#include "base/log.h"
#include "base/random.h"
#include "net/tls.h"
#include "store/etcd/commands.h"
#include "store/mvcc/machine.h"

namespace rs::store::etcd {
namespace {

constexpr auto kStopGrace = std::chrono::seconds(3);
constexpr int kMmapBytes = 256 << 10;

}  // namespace

Standalone::Standalone(async::Loop& loop, StandaloneOptions options)
    : loop_(loop), options_(std::move(options)), network_(loop), tasks_(loop) {}

Standalone::~Standalone() = default;

awaitable<Result<void>> Standalone::start() {
  if (std::error_code ignored; std::filesystem::exists(std::filesystem::path(options_.data_dir) / "member", ignored))
    co_return fail(Code::kFailedPrecondition,
                   "{0} holds etcd's own data. Take it over with: roadstead store snapshot restore {0}/member/snap/db "
                   "--skip-hash-check --data-dir NEW, then start with --data-dir NEW",
                   options_.data_dir);
  auto store = co_await Embedded::open(loop_, {.directory = options_.data_dir, .quota_bytes = options_.quota_bytes,
                                               .metrics = &metrics_});
  if (!store) co_return fail(store.error());
  store_ = std::move(*store);
  EtcdOptions etcd;
  etcd.name = options_.name;
  etcd.client_urls = options_.advertise_client_urls;
  etcd.peer_urls = options_.initial_advertise_peer_urls;
  etcd.max_request_bytes = options_.max_request_bytes;
  etcd.max_txn_ops = options_.max_txn_ops;
  etcd.progress_notify_interval = options_.progress_notify_interval;
  etcd.metrics = &metrics_;
  etcd.gateway = options_.gateway;
  etcd.measure_calls = options_.extensive_metrics;
  etcd.cors = options_.cors;
  etcd.host_whitelist = options_.host_whitelist;
  etcd.scratch_directory = options_.data_dir;
  etcd.guard = {.bcrypt_cost = options_.bcrypt_cost, .client_cert_auth = options_.client_cert_auth};
  auto tokens = make_tokens();
  if (!tokens) {
    co_await stop();
    co_return fail_at("--auth-token", tokens.error());
  }
  etcd.tokens = std::move(*tokens);
  service_ = std::make_unique<EtcdService>(loop_, *store_, std::move(etcd));
  if (!service_->auth_loaded()) {
    Error damaged = service_->auth_loaded().error();
    co_await stop();
    co_return fail(std::move(damaged));
  }
  auto listening = prepare_tls();
  if (listening) listening = listen_for_clients();
  if (listening) listening = listen_for_metrics();
  if (!listening) {
    co_await stop();
    co_return listening;
  }
  if (options_.compaction == StandaloneOptions::Compaction::kPeriodic)
    tasks_.spawn("periodic compaction", compact_by_time());
  if (options_.compaction == StandaloneOptions::Compaction::kRevision)
    tasks_.spawn("revision compaction", compact_by_revision());
  co_return Result<void>{};
}

Result<std::shared_ptr<auth::Tokens>> Standalone::make_tokens() const {
  const auth::TokenSpec& spec = options_.token;
  if (!spec.jwt) return auth::make_simple_tokens(loop_.clock(), options_.simple_token_ttl, secure_bytes);
  auth::JwtOptions jwt{.method = spec.method, .ttl = options_.jwt_ttl};
  for (auto [path, text] : {std::pair{&spec.public_key_file, &jwt.public_key},
                            std::pair{&spec.private_key_file, &jwt.private_key}}) {
    if (path->empty()) continue;
    auto read = read_file(*path);
    if (!read) return fail(read.error());
    *text = std::move(*read);
  }
  auto tokens = auth::make_jwt_tokens(loop_.clock(), std::move(jwt));
  if (!tokens) return fail(tokens.error());
  return std::move(*tokens);
}

Result<void> Standalone::prepare_tls() {
  auto secured = [](const Url& url) { return url.tls; };
  if (std::ranges::none_of(options_.listen_client_urls, secured) && std::ranges::none_of(options_.listen_metrics_urls, secured))
    return {};
  if (options_.auto_tls) {
    auto made = make_self_signed(loop_.clock(), options_.data_dir + "/fixtures/client", options_);
    if (!made) return fail_at("--auto-tls", made.error());
  }
  auto files = TlsFiles::open(options_);
  if (!files) return fail(files.error());
  tls_files_ = std::move(*files);
  return {};
}

template <class Options>
void Standalone::secure(const Url& url, Options& options) {
  if (!url.tls) return;
  options.tls = tls_files_->current();
  options.tls_source = [this] { return tls_files_->current(); };
}

Result<std::unique_ptr<net::Listener>> Standalone::listen(const Url& url, std::string_view what) {
  auto listener = !url.path.empty()        ? network_.listen_local(url.path)
                  : options_.reuse_port ? network_.listen_shared({url.host, url.port})
                                        : network_.listen({url.host, url.port});
  if (!listener) return listener;
  const net::Address local = (*listener)->local();
  log::info("store", what, {{"address", url.path.empty() ? net::to_string(local) : local.host}, {"tls", url.tls}});
  return listener;
}

Result<void> Standalone::listen_for_clients() {
  bool first = true;
  for (const Url& url : options_.listen_client_urls) {
    auto listener = listen(url, "serving clients");
    if (!listener) return fail(listener.error());
    auto& server = url.tls ? secure_ : plain_;
    if (server == nullptr) {
      net::grpc::ServerOptions options = service_->server_options();
      options.concurrent_streams = options_.max_concurrent_streams;
      options.limits.concurrent_streams = options_.max_concurrent_streams;
      options.limits.ping_after = options_.keepalive_interval;
      options.limits.ping_timeout = options_.keepalive_timeout;
      options.min_ping_interval = options_.keepalive_min_time;
      secure(url, options);
      server = std::make_unique<net::grpc::Server>(loop_, std::move(options));
      service_->add_to(*server);
    }
    if (std::exchange(first, false)) client_address_ = (*listener)->local();
    server->serve(std::move(*listener));
  }
  return {};
}

Result<void> Standalone::listen_for_metrics() {
  for (const Url& url : options_.listen_metrics_urls) {
    auto listener = listen(url, "serving metrics");
    if (!listener) return fail(listener.error());
    auto& server = url.tls ? secure_metrics_ : plain_metrics_;
    if (server == nullptr) {
      net::HttpServerOptions options{.name = "metrics"};
      secure(url, options);
      server = std::make_unique<net::HttpServer>(loop_, std::move(options),
                                                 [this](net::Request& request, net::ResponseWriter& writer) {
                                                   return service_->http_of_metrics(request, writer);
                                                 });
    }
    server->serve(std::move(*listener));
  }
  return {};
}

awaitable<void> Standalone::stop() {
  co_await tasks_.stop();
  for (auto* server : {&plain_metrics_, &secure_metrics_}) {
    if (*server) co_await (*server)->stop(kStopGrace);
    server->reset();
  }
  for (auto* server : {&plain_, &secure_}) {
    if (*server) co_await (*server)->stop(kStopGrace);
    server->reset();
  }
  if (service_) co_await service_->stop();
  // The store answers what it still has under way: the service has to be there.
  if (store_) co_await store_->close();
  service_.reset();
  store_.reset();
}

awaitable<void> Standalone::compact_to(Revision revision) {
  if (revision <= store_->machine().compacted()) co_return;
  auto compacted = co_await store_->compact(revision);
  if (compacted) {
    log::info("store", "compacted", {{"revision", revision}});
  } else {
    log::warning("store", "compaction failed", {{"revision", revision}, {"why", compacted.error().message}});
  }
}

// etcd's periodic compactor: ten samples of the revision a period; what was current a period ago may go.
awaitable<void> Standalone::compact_by_time() {
  const Duration step = std::min<Duration>(options_.compaction_period, std::chrono::hours(1)) / 10;
  std::deque<std::pair<MonoTime, Revision>> samples;
  while (true) {
    samples.emplace_back(loop_.now(), store_->revision());
    co_await loop_.sleep(step);
    Revision keep_from = 0;
    while (!samples.empty() && samples.front().first + options_.compaction_period <= loop_.now()) {
      keep_from = samples.front().second;
      samples.pop_front();
    }
    if (keep_from > 1) co_await compact_to(keep_from);
  }
}

awaitable<void> Standalone::compact_by_revision() {
  while (true) {
    co_await loop_.sleep(std::chrono::minutes(5));
    Revision revision = store_->revision() - options_.compaction_revisions;
    if (revision > 1) co_await compact_to(revision);
  }
}

namespace {

// Tells the service manager, when there is one (sd_notify(3): a datagram to $NOTIFY_SOCKET).
void notify(std::string_view state) {
  const char* path = ::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string_view name(path);
  if (name.size() >= sizeof address.sun_path) return;
  std::copy(name.begin(), name.end(), address.sun_path);
  if (name[0] == '@') address.sun_path[0] = 0;
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto length = socklen_t(offsetof(sockaddr_un, sun_path) + name.size());
  if (::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), length) < 0)
    log::warning("store", "the service manager was not told", {{"state", state}, {"why", std::strerror(errno)}});
  ::close(fd);
}

// Every connection is a descriptor: as many as the system lets us have (Go's runtime does so for etcd).
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    log::warning("store", "the limit of open files stays as it is", {{"why", std::strerror(errno)}});
}

Result<void> open_logs(const std::vector<std::string>& outputs) {
  std::vector<int> descriptors;
  for (const std::string& output : outputs) {
    int fd = STDERR_FILENO;
    if (output == "stdout") fd = STDOUT_FILENO;
    // Under systemd stderr is the journal.
    else if (output != "stderr" && output != "default" && output != "systemd/journal")
      fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return fail(Code::kUnavailable, "--log-outputs: cannot write {}: {}", output, std::strerror(errno));
    descriptors.push_back(fd);
  }
  log::set_outputs(std::move(descriptors));
  return {};
}

awaitable<void> serve(async::SystemLoop& loop, StandaloneOptions options, int& status) {
  Standalone server(loop, std::move(options));
  auto started = co_await server.start();
  if (!started) {
    log::error("store", "cannot start", {{"why", to_string(started.error())}});
    status = 1;
    loop.stop();
    co_return;
  }
  boost::asio::signal_set signals(loop.context(), SIGINT, SIGTERM);
  notify("READY=1");
  int signal = co_await signals.async_wait(boost::asio::use_awaitable);
  notify("STOPPING=1");
  log::info("store", "stopping", {{"signal", signal}});
  co_await server.stop();
  loop.stop();
}

}  // namespace

int run_store(int argc, const char* const* argv) {
  // Large buffers go back to the system when they are freed, however many there were (glibc would adapt).
  ::mallopt(M_MMAP_THRESHOLD, kMmapBytes);
  if (auto status = run_command({argv, argv + argc})) return *status;
  auto options = parse_options({argv, argv + argc}, [](const char* name) -> const char* { return ::getenv(name); });
  if (!options) {
    std::cerr << options.error().message << "\n";
    return 2;
  }
  if (options->action == StandaloneOptions::Action::kHelp) {
    std::cout << usage();
    return 0;
  }
  if (options->action == StandaloneOptions::Action::kVersion) {
    std::cout << "etcd Version: " << kEtcdVersion << "\nRoadstead: " << ROADSTEAD_VERSION << "\n";
    return 0;
  }
  log::set_level(options->log_level);
  if (auto opened = open_logs(options->log_outputs); !opened) {
    std::cerr << opened.error().message << "\n";
    return 1;
  }
  raise_file_limit();
  int status = 0;
  async::SystemLoop loop;
  async::TaskGroup tasks(loop);
  tasks.spawn("store", serve(loop, std::move(*options), status));
  loop.run();
  return status;
}

}  // namespace rs::store::etcd
