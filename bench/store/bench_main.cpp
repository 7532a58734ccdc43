// store_bench: Debian's etcd and ours, alternately, by the same client, on the same directory, with
// equal durability (each acknowledges what it has synced). See docs/benchmarks.md.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "report.h"
#include "scenario.h"

namespace rs::bench {
namespace {

struct CommandLine {
  Options options;
  ServerSettings servers;
  std::string directory, server = "both", output = "table", endpoint;
  std::vector<std::string> only;
  int runs = 5, pid = 0;
  bool no_peer = false, peer_too = false, quick = false, list = false;
};

std::vector<Scenario> all_scenarios() {
  std::vector<Scenario> all;
  for (auto part : {put_scenarios, range_scenarios, txn_scenarios, memory_scenarios,
                    fanout_scenarios, list_scenarios, pause_scenarios}) {
    for (Scenario& scenario : part()) all.push_back(scenario);
  }
  return all;
}

bool wanted(const CommandLine& line, const Scenario& scenario) {
  if (line.only.empty()) return scenario.in_quick || !line.quick;
  return std::ranges::find(line.only, scenario.name) != line.only.end();
}

bool with_peer(const CommandLine& line, const Scenario& scenario) {
  if (line.no_peer || line.server == "ours") return false;
  return scenario.peer_by_default || line.peer_too || line.server == "etcd";
}

Figures run_once(const CommandLine& line, const Scenario& scenario, Kind kind) {
  Figures figures;
  auto measure = [&](ServerProcess& server) {
    scenario.run(line.options, server, figures);
    if (server.pid() == 0) return;
    Memory memory = server.memory();
    figures.emplace_back("rss_mb", memory.rss_mb);
    figures.emplace_back("rss_peak_mb", memory.peak_mb);
  };
  if (!line.endpoint.empty()) {
    size_t colon = line.endpoint.rfind(':');
    if (colon == std::string::npos) throw BenchError("--endpoint wants host:port");
    ServerProcess server(kind, line.endpoint.substr(0, colon),
                         uint16_t(std::atoi(line.endpoint.c_str() + colon + 1)), line.pid);
    measure(server);
    return figures;
  }
  FreshDirectory directory(line.directory);
  ServerProcess server(kind, line.servers, directory.path() + "/data");
  measure(server);
  return figures;
}

void progress(const Scenario& scenario, int run, int runs, Kind kind, const Figures& figures) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(figures.size(), 5); ++i)
    text += fmt::format(" {}={:.4g}", figures[i].first, figures[i].second);
  std::cerr << fmt::format("{} {}/{} {}:{}\n", scenario.name, run, runs, name_of(kind), text);
}

ScenarioRuns run_scenario(const CommandLine& line, const Scenario& scenario) {
  ScenarioRuns runs{scenario.name, scenario.what, {}, {}};
  for (int run = 1; run <= line.runs; ++run) {
    // Who goes first alternates too: what drifts within a pair falls on both.
    for (bool first : {true, false}) {
      Kind kind = first == (run % 2 == 1) ? Kind::kPeer : Kind::kOurs;
      if (kind == Kind::kPeer && !with_peer(line, scenario)) continue;
      if (kind == Kind::kOurs && line.server == "etcd") continue;
      auto& side = kind == Kind::kPeer ? runs.peer : runs.ours;
      side.push_back(run_once(line, scenario, kind));
      progress(scenario, run, line.runs, kind, side.back());
    }
  }
  return runs;
}

int run(const CommandLine& line) {
  std::vector<ScenarioRuns> all;
  for (const Scenario& scenario : all_scenarios()) {
    if (line.list) std::cout << fmt::format("{:<28} {}\n", scenario.name, scenario.what);
    if (line.list || !wanted(line, scenario)) continue;
    all.push_back(run_scenario(line, scenario));
    if (line.output != "json") std::cout << to_table(all.back()) << std::endl;
  }
  if (all.empty() && !line.list) throw BenchError("no such scenario; --list names them");
  if (line.output == "json") std::cout << to_json(all, line.options);
  return 0;
}

void add_options(CLI::App& app, CommandLine& line) {
  app.add_option("--runs", line.runs, "alternations; medians are reported")
      ->check(CLI::Range(1, 1000));
  app.add_option("--only", line.only, "scenarios by name; may be repeated");
  app.add_flag("--list", line.list, "name the scenarios");
  app.add_flag("--quick", line.quick,
               "one run of everything that is short, with a tenth of the counts");
  app.add_option("--dir", line.directory,
                 "where the servers keep their data (default: beside this program)");
  app.add_option("-o", line.output, "table or json")->check(CLI::IsMember({"table", "json"}));
  app.add_option("--server", line.server, "both, ours or etcd")
      ->check(CLI::IsMember({"both", "ours", "etcd"}));
  app.add_flag("--no-peer", line.no_peer, "ours only");
  app.add_flag("--peer-too", line.peer_too, "etcd also where it takes minutes");
  app.add_option("--endpoint", line.endpoint, "host:port of a server that runs already");
  app.add_option("--pid", line.pid, "its process, for CPU and memory");
  app.add_option("--connections", line.options.connections)->check(CLI::Range(1, 10'000));
  app.add_option("--clients", line.options.clients)->check(CLI::Range(1, 100'000));
  app.add_option("--keys", line.options.keys, "key space of puts")
      ->check(CLI::Range(1, 100'000'000));
  app.add_option("--value-bytes", line.options.value_bytes)->check(CLI::Range(1, 60'000));
  app.add_flag("--sequential", line.options.sequential, "keys in turn instead of at random");
  app.add_option("--seconds", line.options.seconds, "of measuring each")
      ->check(CLI::Range(0.1, 3600.0));
  app.add_option("--etcd", line.servers.peer_path, "the peer's program");
  app.add_option("--ours", line.servers.ours_path,
                 "our program (default: store_server beside this one)");
}

}  // namespace
}  // namespace rs::bench

int main(int argc, char** argv) {
  using namespace rs::bench;
  CommandLine line;
  CLI::App app{"etcd and Roadstead's store, alternately, by the same client"};
  add_options(app, line);
  CLI11_PARSE(app, argc, argv);
  std::string here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  if (line.directory.empty()) line.directory = here;
  if (line.servers.ours_path.empty()) line.servers.ours_path = here + "/store_server";
  if (line.quick) {
    line.options.scale = 0.1;
    line.options.seconds = std::min(line.options.seconds, 1.0);
    if (app.count("--runs") == 0) line.runs = 1;
  }
  if (!line.endpoint.empty()) {
    if (app.count("--runs") == 0) line.runs = 1;
    if (line.server == "both") line.server = "ours";
  }
  struct sigaction action{};
  action.sa_handler = [](int signal) { g_stop_signal = signal; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  try {
    return run(line);
  } catch (const std::exception& error) {
    std::cerr << "store_bench: " << error.what() << "\n";
    return 1;
  }
}
