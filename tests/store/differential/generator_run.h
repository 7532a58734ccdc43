// One run: a seed's operations against two servers, from their start to their stop.
#pragma once

#include "compare.h"
#include "operation.h"
#include "session.h"

namespace rs::store::differential {

struct RunOptions {
  uint64_t seed = 0;
  size_t operations = 0;
  GeneratorOptions generator;
  bool restart = false;        // both servers, half-way
  size_t differences_max = 3;  // of the batch that ends the run
};
struct RunReport {
  size_t operations = 0, errors = 0;
  size_t events = 0, watchers_max = 0;
  std::map<std::string, size_t> by_method;
  Revision revision = 0;
  double seconds = 0;
  Allowed allowed;
  std::vector<std::string> differences;
};
std::string summary(const RunReport& report);

awaitable<void> compare_servers(async::Loop& loop, Server& etcd, Server& ours, RunOptions options,
                                RunReport& report);

}  // namespace rs::store::differential
