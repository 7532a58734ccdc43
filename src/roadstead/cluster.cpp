#include "roadstead/cluster.h"

#include <unistd.h>

#include "api/codec.h"
#include "base/log.h"
#include "client/informer.h"
#include "console/console.h"
#include "control/controllers.h"
#include "control/scheduler.h"
#include "dns/server.h"
#include "mesh/mesh.h"
#include "mesh/proxy/redirect.h"
#include "node/agent.h"
#include "roadstead/kubeconfig.h"
#include "roadstead/manifests.h"
#include "roadstead/pki.h"
#include "roadstead/port_holder.h"
#include "server/api_server.h"
#include "store/embedded.h"
#include "store/etcd/service.h"

namespace rs::roadstead {

using namespace std::chrono_literals;
using async::awaitable;

namespace {

constexpr std::string_view kPodCidr = "10.42.0.0/16";
constexpr std::string_view kServiceCidr = "10.43.0.0/16";
constexpr std::string_view kDnsAddress = "10.43.0.10";

server::UserInfo component(std::string name) {
  return {.name = std::move(name), .groups = {server::kMasters, server::kAuthenticated}};
}

bool is_loopback(std::string_view host) { return host.starts_with("127.") || host == "::1" || host == "localhost"; }

std::string url(std::string_view scheme, net::Address address) {
  if (address.host == "0.0.0.0" || address.host == "::") address.host = "127.0.0.1";
  return fmt::format("{}://{}", scheme, net::to_string(address));
}

}  // namespace

// Members in the order in which they are made; stop() goes backwards.
struct Cluster::Parts {
  Parts(async::Loop& l, const UpOptions& o, DataDir& d) : loop(l), options(o), data(d), network(l) {}

  async::Loop& loop;
  const UpOptions& options;
  DataDir& data;
  net::TcpNetwork network;
  metrics::Registry metrics;
  Endpoints endpoints;
  std::vector<std::string> notes;
  Pki pki;

  std::unique_ptr<store::Embedded> store;
  std::unique_ptr<store::etcd::EtcdService> etcd;
  std::unique_ptr<net::grpc::Server> etcd_server;
  std::unique_ptr<server::ApiServer> api;
  std::unique_ptr<net::HttpServer> api_server;
  net::Address api_address;

  // Each part is its own user with its own client, as in Kubernetes; the copies of state are shared.
  std::unique_ptr<client::Transport> transport;
  std::unique_ptr<client::Client> client;
  std::unique_ptr<client::Informers> informers;
  std::unique_ptr<control::Controllers> controllers;
  std::unique_ptr<control::Scheduler> scheduler;
  std::unique_ptr<mesh::Mesh> mesh;
  std::unique_ptr<dns::DnsServer> dns;
  std::unique_ptr<node::Agent> agent;
  std::optional<mesh::RedirectOptions> redirect;   // installed
  std::unique_ptr<console::Console> console;
  std::unique_ptr<net::HttpServer> console_server;

  static Error taken(std::string_view what, std::string_view flag, uint16_t port);
  Result<std::unique_ptr<net::Listener>> listen(std::string_view what, std::string_view flag, uint16_t port);
  awaitable<Result<void>> start_store();
  awaitable<Result<void>> start_api();
  bool can_redirect() const { return ::geteuid() == 0 && options.runtime == "process"; }
  Result<void> start_mesh();
  void start_redirect();
  uint16_t free_port(uint16_t wanted);
  void make_clients();
  awaitable<Result<void>> start_node();
  Result<void> start_console();
  JsonArray service_rows() const;
  Result<void> write_kubeconfig();
};

Cluster::Cluster(async::Loop& loop, const UpOptions& options, DataDir& data)
    : parts_(std::make_unique<Parts>(loop, options, data)) {}
Cluster::~Cluster() = default;
const Endpoints& Cluster::endpoints() const { return parts_->endpoints; }
const std::vector<std::string>& Cluster::notes() const { return parts_->notes; }

Result<std::unique_ptr<net::Listener>> Cluster::Parts::listen(std::string_view what, std::string_view flag, uint16_t port) {
  auto listener = network.listen({options.bind, port});
  if (listener || listener.error().code != Code::kAlreadyExists) return listener;
  return fail(taken(what, flag, port));
}

// wanted, or 0 (any) when somebody has it.
uint16_t Cluster::Parts::free_port(uint16_t wanted) {
  auto listener = network.listen({"0.0.0.0", wanted});
  return listener ? wanted : 0;
}

Error Cluster::Parts::taken(std::string_view what, std::string_view flag, uint16_t port) {
  return {Code::kAlreadyExists,
          fmt::format("port {} for {} is taken by {}: stop it, or choose another with {} (0: any free one)", port, what,
                      port_holder(port), flag)};
}

awaitable<Result<void>> Cluster::Parts::start_store() {
  auto opened = co_await store::Embedded::open(loop, {.directory = data.file("store")});
  if (!opened) co_return fail_at("store", opened.error());
  store = std::move(*opened);

  auto listener = listen("etcd", "--etcd-port", options.etcd_port);
  if (!listener) co_return fail(listener.error());
  endpoints.etcd = url(options.etcd_insecure ? "http" : "https", (*listener)->local());
  etcd = std::make_unique<store::etcd::EtcdService>(
      loop, *store,
      store::etcd::EtcdOptions{.name = options.node_name, .client_urls = {endpoints.etcd}, .metrics = &metrics,
                               .scratch_directory = data.file("store")});
  auto server_options = etcd->server_options();
  if (options.etcd_insecure) {
    if (!is_loopback(options.bind))
      co_return fail(Code::kInvalid, "--etcd-insecure is only for a loopback address, not for --bind {}", options.bind);
  } else {
    auto tls = net::TlsServerContext::make(
        {.identity = pki.server, .client_ca = pki.ca.certificate, .require_client_certificate = true});
    if (!tls) co_return fail(tls.error());
    server_options.tls = std::move(*tls);
  }
  etcd_server = std::make_unique<net::grpc::Server>(loop, std::move(server_options));
  etcd->add_to(*etcd_server);
  etcd_server->serve(std::move(*listener));
  co_return Result<void>();
}

awaitable<Result<void>> Cluster::Parts::start_api() {
  auto listener = listen("the Kubernetes API", "--api-port", options.api_port);
  if (!listener) co_return fail(listener.error());
  api_address = (*listener)->local();
  endpoints.api = url("https", api_address);
  auto tls = net::TlsServerContext::make({.identity = pki.server, .client_ca = pki.ca.certificate});
  if (!tls) co_return fail(tls.error());

  server::ApiServerOptions api_options;
  api_options.service_cidr = kServiceCidr;
  api_options.service_account_key = pki.service_accounts.private_key;
  api_options.ca_certificate = pki.ca.certificate;
  api_options.advertise_port = api_address.port;
  api_options.metrics = &metrics;
  api = std::make_unique<server::ApiServer>(loop, *store, api::builtin_kinds(), std::move(api_options));
  if (auto started = co_await api->start(); !started) co_return fail_at("API server", started.error());
  net::HttpServerOptions http{.name = "api", .tls = std::move(*tls), .error_response = &server::ApiServer::error_response};
  api_server = std::make_unique<net::HttpServer>(loop, std::move(http), api->handler());
  api_server->serve(std::move(*listener));

  transport = api->in_process(component("system:roadstead"));
  client = std::make_unique<client::Client>(loop, *transport, "roadstead");
  informers = std::make_unique<client::Informers>(*client);
  co_return Result<void>();
}

Result<void> Cluster::Parts::start_mesh() {
  mesh::MeshOptions mesh_options;
  mesh_options.data_dir = data.file("mesh");
  mesh_options.listen = {options.bind, options.mesh_port};
  mesh_options.worker_threads = options.mesh_workers;
  // Pods' traffic is redirected to these (rules of redirect.h keep others out): every address, since the bridge has none
  // before its first pod. The ports of the last start again where they are free: rules and connection tracking that
  // outlived a crash then still lead to us.
  Json last;
  if (auto text = read_file(data.file("ports.json")))
    if (auto known = parse_json(*text)) last = std::move(*known);
  auto last_port = [&](std::string_view name) { return static_cast<uint16_t>(integer(last, name)); };
  if (can_redirect()) mesh_options.transparent = net::Address{"0.0.0.0", free_port(last_port("transparent"))};
  mesh = std::make_unique<mesh::Mesh>(loop, *informers, std::move(mesh_options), metrics);
  if (auto started = mesh->start(); !started) {
    if (started.error().code != Code::kAlreadyExists) return fail_at("mesh", started.error());
    return fail(taken("the mesh", "--mesh-port", options.mesh_port));
  }
  endpoints.mesh = url("http", mesh->address());
  dns::DnsOptions dns_options;
  if (can_redirect()) dns_options.listen = {{"0.0.0.0", free_port(last_port("dns"))}};
  dns = std::make_unique<dns::DnsServer>(loop, *informers, std::move(dns_options), metrics);
  if (auto started = dns->start(); !started) return fail_at("DNS", started.error());
  if (!can_redirect()) return {};
  JsonObject ports{{"transparent", mesh->transparent_address()->port}, {"dns", dns->addresses().front().port}};
  if (auto written = write_file(data.file("ports.json"), to_text(ports) + "\n", 0600); !written) return written;
  return {};
}

void Cluster::Parts::make_clients() {
  controllers = std::make_unique<control::Controllers>(*client, *informers, control::ControllerOptions{.root_ca = pki.ca.certificate});
  scheduler = std::make_unique<control::Scheduler>(*client, *informers);
  console::ConsoleOptions console_options{.version = ROADSTEAD_VERSION, .node = options.node_name};
  console_options.services = [this] { return service_rows(); };
  for (const char* path : {"/view", "/metrics", "/ready", "/live"}) console_options.mounts.emplace_back(path, mesh->admin_handler());
  console = std::make_unique<console::Console>(loop, *informers, std::move(console_options));
}

void Cluster::Parts::start_redirect() {
  redirect = mesh::RedirectOptions{.table = "roadstead_" + agent->bridge(),
                                   .service_cidr = std::string(kServiceCidr),
                                   .proxy_port = mesh->transparent_address()->port,
                                   .dns_ip = std::string(kDnsAddress),
                                   .dns_port = dns->addresses().front().port,
                                   .pod_interface = agent->bridge()};
  if (auto installed = mesh::install_redirect(*redirect); !installed) {
    redirect.reset();
    notes.push_back("cluster IPs do not work here (" + installed.error().message + "); the mesh's proxy port does");
  }
}

awaitable<Result<void>> Cluster::Parts::start_node() {
  if (options.runtime == "none") {
    notes.push_back("--runtime none: there is no node, pods stay Pending");
    co_return Result<void>();
  }
  node::AgentOptions node_options;
  node_options.node_name = options.node_name;
  node_options.zone = options.zone;
  node_options.data_dir = data.path();
  node_options.pod_cidr = kPodCidr;
  node_options.service_cidr = kServiceCidr;
  node_options.cluster_dns = kDnsAddress;
  agent = std::make_unique<node::Agent>(loop, *client, network, std::move(node_options), mesh.get());
  if (auto started = co_await agent->start(); !started) co_return fail_at("node", started.error());
  notes.push_back("pods: " + agent->describe());
  api->set_node_api(options.node_name, agent.get());
  if (agent->own_network()) start_redirect();
  co_return Result<void>();
}

// The console's rows, from what the mesh knows of each service: its ports together, the traffic of the busiest.
JsonArray Cluster::Parts::service_rows() const {
  JsonArray rows;
  Json view = mesh->view();
  auto age_ms = static_cast<int64_t>(view.at("ageSeconds").to_number<double>() * 1000);
  for (const Json& service : array(view, "services")) {
    int64_t ready = 0, draining = 0, ejected = 0;
    Json busiest;
    double most = -1;
    for (const Json& port : array(service, "ports")) {
      int64_t here[3] = {0, 0, 0};
      for (const Json& endpoint : array(port, "endpoints")) {
        auto state = str(endpoint, "state");
        if (state == "ready") ++here[0];
        if (state == "draining") ++here[1];
        if (state == "ejected") ++here[2];
      }
      ready = std::max(ready, here[0]);
      draining = std::max(draining, here[1]);
      ejected = std::max(ejected, here[2]);
      const Json* traffic = find(port, "traffic");
      double rate = traffic != nullptr ? traffic->at("requestsPerSecond").to_number<double>() : -1;
      if (rate > most) {
        most = rate;
        busiest = *traffic;
      }
    }
    const Json* success = find(busiest, "successRate");
    const Json* p50 = find(busiest, "p50Ms");
    const Json* p99 = find(busiest, "p99Ms");
    rows.push_back(JsonObject{{"namespace", str(service, "namespace")},
                              {"name", str(service, "name")},
                              {"state", str(service, "state")},
                              {"ready", ready},
                              {"draining", draining},
                              {"ejected", ejected},
                              {"requests_per_second", std::max(0.0, most)},
                              {"success_rate", success != nullptr ? *success : Json(nullptr)},
                              {"p50_ms", p50 != nullptr ? *p50 : Json(0)},
                              {"p99_ms", p99 != nullptr ? *p99 : Json(0)},
                              {"revision", integer(service, "revision")},
                              {"age_ms", age_ms}});
  }
  return rows;
}

Result<void> Cluster::Parts::start_console() {
  auto listener = listen("the console", "--console-port", options.console_port);
  if (!listener) return fail(listener.error());
  endpoints.console = url("http", (*listener)->local());
  console_server = std::make_unique<net::HttpServer>(loop, net::HttpServerOptions{.name = "console"}, console->handler());
  console_server->serve(std::move(*listener));
  return {};
}

Result<void> Cluster::Parts::write_kubeconfig() {
  Json config = kubeconfig(endpoints.api, pki);
  if (auto written = write_file(data.file("kubeconfig"), api::to_yaml(config), 0600); !written) return written;
  if (!options.write_kubeconfig) return {};
  const char* own = std::getenv("KUBECONFIG");
  const char* home = std::getenv("HOME");
  return merge_kubeconfig(own != nullptr && *own != '\0' ? std::string(own) : std::string(home != nullptr ? home : "") + "/.kube/config", config);
}

awaitable<Result<void>> Cluster::start() {
  auto& p = *parts_;
  auto pki = load_or_make_pki(p.data, {p.options.node_name}, is_loopback(p.options.bind) ? std::vector<std::string>{} : std::vector{p.options.bind}, p.loop.wall());
  if (!pki) co_return fail_at("certificates", pki.error());
  p.pki = std::move(*pki);
  if (auto done = co_await p.start_store(); !done) co_return done;
  if (auto done = co_await p.start_api(); !done) co_return done;
  if (auto done = p.start_mesh(); !done) co_return done;
  p.make_clients();
  if (auto done = co_await p.start_node(); !done) co_return done;
  p.informers->start();
  p.controllers->start();
  p.scheduler->start();
  if (auto done = p.start_console(); !done) co_return done;
  co_return p.write_kubeconfig();
}

awaitable<Result<size_t>> Cluster::apply() {
  size_t applied = 0;
  for (const auto& path : parts_->options.apply) {
    auto objects = read_manifests(path);
    if (!objects) co_return fail_at("--apply " + path, objects.error());
    auto done = co_await apply_manifests(*parts_->client, std::move(*objects));
    if (!done) co_return fail_at("--apply " + path, done.error());
    applied += *done;
  }
  co_return applied;
}

awaitable<void> Cluster::stop() {
  auto& p = *parts_;
  if (p.console_server) co_await p.console_server->stop(200ms);
  // Rules that lead to a closed port help nobody; they are made anew at the next start.
  if (p.redirect) (void)mesh::remove_redirect(*p.redirect);
  if (p.agent) co_await p.agent->stop();
  if (p.scheduler) co_await p.scheduler->stop();
  if (p.controllers) co_await p.controllers->stop();
  if (p.dns) co_await p.dns->stop();
  if (p.mesh) co_await p.mesh->stop(1s);
  if (p.informers) co_await p.informers->stop();
  if (p.api_server) co_await p.api_server->stop(1s);
  if (p.api) co_await p.api->stop();
  if (p.etcd_server) co_await p.etcd_server->stop(500ms);
  if (p.etcd) co_await p.etcd->stop();
  if (p.store) co_await p.store->close();
}

}  // namespace rs::roadstead
