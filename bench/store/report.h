// Medians of runs, as a table or as JSON.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "scenario.h"

namespace rs::bench {

struct ScenarioRuns {
  std::string name, what;
  std::vector<Figures> peer, ours;
};

std::string to_table(const ScenarioRuns& runs);
std::string to_json(const std::vector<ScenarioRuns>& all, const Options& options);

}  // namespace rs::bench
