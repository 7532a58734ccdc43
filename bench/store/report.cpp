#include "report.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json.h"

namespace rs::bench {
namespace {

struct Summary {
  bool any = false;
  double median = 0, low = 0, high = 0;
};

Summary summarize(const std::vector<Figures>& runs, const std::string& name) {
  std::vector<double> values;
  for (const Figures& figures : runs) {
    for (const auto& [figure, value] : figures) {
      if (figure == name) values.push_back(value);
    }
  }
  if (values.empty()) return {};
  std::ranges::sort(values);
  size_t half = values.size() / 2;
  double median = values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {true, median, values.front(), values.back()};
}

std::vector<std::string> names(const ScenarioRuns& runs) {
  std::vector<std::string> out;
  for (const auto* side : {&runs.peer, &runs.ours}) {
    for (const Figures& figures : *side) {
      for (const auto& [name, value] : figures) {
        if (std::ranges::find(out, name) == out.end()) out.push_back(name);
      }
    }
  }
  return out;
}

std::string number(double value) {
  double size = std::abs(value);
  if (size >= 1000) return fmt::format("{:.0f}", value);
  if (size >= 10) return fmt::format("{:.1f}", value);
  if (size >= 0.01 || size == 0) return fmt::format("{:.3f}", value);
  return fmt::format("{:.2e}", value);
}

}  // namespace

std::string to_table(const ScenarioRuns& runs) {
  std::string out =
      fmt::format("{}: {} (medians of {})\n  {:<32} {:>12} {:>12} {:>11}\n", runs.name, runs.what,
                  std::max(runs.peer.size(), runs.ours.size()), "", "etcd", "ours", "ours/etcd");
  for (const std::string& name : names(runs)) {
    Summary peer = summarize(runs.peer, name), ours = summarize(runs.ours, name);
    out += fmt::format("  {:<32} {:>12} {:>12} {:>11}\n", name,
                       peer.any ? number(peer.median) : "-", ours.any ? number(ours.median) : "-",
                       peer.any && ours.any && peer.median != 0
                           ? fmt::format("{:.3f}", ours.median / peer.median)
                           : "-");
  }
  return out;
}

std::string to_json(const std::vector<ScenarioRuns>& all, const Options& options) {
  boost::json::object root;
  root["connections"] = options.connections;
  root["clients"] = options.clients;
  root["keys"] = options.keys;
  root["value_bytes"] = options.value_bytes;
  root["seconds"] = options.seconds;
  boost::json::array scenarios;
  for (const ScenarioRuns& runs : all) {
    boost::json::object scenario{{"name", runs.name}, {"what", runs.what}};
    boost::json::object figures;
    for (const std::string& name : names(runs)) {
      boost::json::object figure;
      for (const auto& [side, side_runs] :
           {std::pair{"etcd", &runs.peer}, std::pair{"ours", &runs.ours}}) {
        Summary summary = summarize(*side_runs, name);
        if (!summary.any) continue;
        figure[side] = boost::json::object{
            {"median", summary.median}, {"low", summary.low}, {"high", summary.high}};
      }
      figures[name] = std::move(figure);
    }
    scenario["figures"] = std::move(figures);
    scenarios.push_back(std::move(scenario));
  }
  root["scenarios"] = std::move(scenarios);
  return boost::json::serialize(root) + "\n";
}

}  // namespace rs::bench
