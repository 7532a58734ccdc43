// roadstead: one file per subcommand; this one only reads the command line.
#include <pwd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "base/log.h"
#include "roadstead/commands.h"
#include "roadstead/up.h"

namespace {

using namespace rs::roadstead;

std::string home_folder() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') return home;
  const passwd* user = ::getpwuid(::getuid());
  return user != nullptr ? user->pw_dir : "/";
}

std::string host_name() {
  char name[256] = "localhost";
  ::gethostname(name, sizeof name - 1);
  std::string text = name;
  for (char& c : text) c = std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' ? static_cast<char>(std::tolower(c)) : '-';
  return text.empty() ? "localhost" : text;
}

void add_up(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<UpOptions>();
  options->data_dir = home_folder() + "/.roadstead";
  options->node_name = host_name();
  options->zone = "local";
  auto* command = app.add_subcommand("up", "Run a whole cluster in this process: store, API server, controllers, scheduler, node, mesh, DNS and console");
  command->add_option("--data-dir", options->data_dir, "Everything that is kept; made with mode 0700")->capture_default_str();
  command->add_option("--bind", options->bind, "Address of all ports")->capture_default_str();
  command->add_option("--api-port", options->api_port, "Kubernetes API, HTTPS (0: any free port, as for the others)")->capture_default_str();
  command->add_option("--etcd-port", options->etcd_port, "etcd v3 API of the store")->capture_default_str();
  command->add_option("--console-port", options->console_port, "Console and metrics, HTTP")->capture_default_str();
  command->add_option("--mesh-port", options->mesh_port, "The mesh's HTTP proxy for programs outside pods")->capture_default_str();
  command->add_option("--node-name", options->node_name, "Name of this node")->capture_default_str();
  command->add_option("--zone", options->zone, "Label topology.kubernetes.io/zone of this node")->capture_default_str();
  command->add_option("--apply", options->apply, "Manifest, or folder of manifests, to apply at start (may repeat)");
  command->add_option("--runtime", options->runtime, "process: run pods as processes; none: no node, the API only")
      ->check(CLI::IsMember({"process", "none"}))->capture_default_str();
  command->add_option("--mesh-workers", options->mesh_workers, "Threads of the mesh's proxy")->check(CLI::Range(1, 64))->capture_default_str();
  command->add_flag("--etcd-insecure", options->etcd_insecure, "etcd port in plain text; only when --bind is a loopback address");
  command->add_flag("--write-kubeconfig", options->write_kubeconfig, "Also merge the kubeconfig into $KUBECONFIG or ~/.kube/config");
  command->add_option("--log-level", options->log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))->capture_default_str();
  command->callback([options, &exit_code] { exit_code = up(*options); });
}

void add_version(CLI::App& app, int& exit_code) {
  auto output = std::make_shared<std::string>("text");
  auto* command = app.add_subcommand("version", "Print the version");
  command->add_option("-o,--output", *output, "text or json")->check(CLI::IsMember({"text", "json"}));
  command->callback([output, &exit_code] { exit_code = print_version(*output); });
}

void add_mesh(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<MeshViewOptions>();
  options->data_dir = home_folder() + "/.roadstead";
  auto* mesh = app.add_subcommand("mesh", "Look into the mesh");
  mesh->require_subcommand(1);
  auto* view = mesh->add_subcommand("view", "Endpoints of a service as the mesh sees them, with the revision and age of its view");
  view->add_option("service", options->service, "NAME or NAME.NAMESPACE; without it: all services");
  view->add_option("--data-dir", options->data_dir, "Data directory of the running roadstead")->capture_default_str();
  view->add_option("-o,--output", options->output, "table or json")->check(CLI::IsMember({"table", "json"}));
  view->callback([options, &exit_code] { exit_code = mesh_view(*options); });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    if (auto code = run_raw_command(argc, argv)) return *code;
  }
  int exit_code = 0;
  CLI::App app("Roadstead runs services: a Kubernetes API, an etcd store and a service mesh in one program.", "roadstead");
  app.set_version_flag("--version", ROADSTEAD_VERSION);
  app.require_subcommand(1);
  app.footer("Start with:  roadstead up     then:  export KUBECONFIG=~/.roadstead/kubeconfig; kubectl get nodes");
  add_up(app, exit_code);
  add_mesh(app, exit_code);
  app.add_subcommand("store", "Run the store alone, as an etcd: takes etcd's flags (roadstead store --help)")->prefix_command();
  add_version(app, exit_code);
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
