#include "roadstead/up.h"

#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/json.h"
#include "base/log.h"
#include "roadstead/cluster.h"

namespace rs::roadstead {
namespace {

using namespace std::chrono_literals;

void print_ready(const UpOptions& options, const DataDir& data, const Cluster& cluster, Duration took) {
  const auto& urls = cluster.endpoints();
  fmt::print("roadstead {} is ready after {} ms: node {}, process {}\n\n", ROADSTEAD_VERSION,
             std::chrono::duration_cast<std::chrono::milliseconds>(took).count(), options.node_name, ::getpid());
  fmt::print("  console     {}\n  Kubernetes  {}\n  etcd        {}\n  mesh proxy  {}\n  kubeconfig  {}\n", urls.console, urls.api,
             urls.etcd, urls.mesh, data.file("kubeconfig").string());
  for (const auto& note : cluster.notes()) fmt::print("\nnote: {}\n", note);
  fmt::print("\n  export KUBECONFIG={}; kubectl get pods -A\n\n", data.file("kubeconfig").string());
  std::fflush(stdout);
}

Result<void> write_endpoints(const UpOptions& options, const DataDir& data, const Cluster& cluster) {
  const auto& urls = cluster.endpoints();
  Json json = JsonObject{{"api", urls.api},       {"etcd", urls.etcd},
                         {"console", urls.console}, {"mesh", urls.mesh},
                         {"pid", ::getpid()},     {"version", ROADSTEAD_VERSION},
                         {"node", options.node_name}};
  return write_file(data.file("endpoints.json"), to_pretty_text(json) + "\n", 0600);
}

async::awaitable<void> run(async::SystemLoop& loop, const UpOptions& options, DataDir& data, MonoTime begun, int& exit_code) {
  boost::asio::signal_set signals(loop.context(), SIGTERM, SIGINT);
  Cluster cluster(loop, options, data);
  auto started = co_await cluster.start();
  if (started) started = write_endpoints(options, data, cluster);
  if (started) {
    print_ready(options, data, cluster, loop.now() - begun);
    auto applied = co_await cluster.apply();
    if (!applied) log::error("roadstead", "not everything was applied", {{"error", to_string(applied.error())}});
    else if (*applied > 0) log::info("roadstead", "manifests applied", {{"objects", *applied}});
    co_await signals.async_wait(boost::asio::use_awaitable);
    log::info("roadstead", "stopping; pods go on and are adopted at the next start");
  } else {
    fmt::print(stderr, "roadstead: {}\n", to_string(started.error()));
    exit_code = 1;
  }
  std::error_code ignored;
  std::filesystem::remove(data.file("endpoints.json"), ignored);
  co_await cluster.stop();
  loop.stop();
}

// Watches, pods' pipes and proxied connections all need descriptors.
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int up(const UpOptions& options) {
  log::Level level;
  if (log::parse_level(options.log_level, level)) log::set_level(level);
  raise_file_limit();
  ::signal(SIGPIPE, SIG_IGN);
  auto data = DataDir::open(options.data_dir);
  if (!data) {
    fmt::print(stderr, "roadstead: {}\n", data.error().message);
    return 1;
  }
  async::SystemLoop loop;
  int exit_code = 0;
  boost::asio::co_spawn(loop.context(), run(loop, options, *data, loop.now(), exit_code), [](std::exception_ptr exception) {
    if (exception) std::rethrow_exception(exception);
  });
  loop.run();
  return exit_code;
}

}  // namespace rs::roadstead
