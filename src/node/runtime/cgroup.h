// Cgroups: limits of memory, CPU and processes, where a hierarchy is mounted and writable: v1, v2 or both; else nothing.
//
// Every group is below one of our own ("roadstead/NODE"), and only those are ever removed. Calls are short file
// operations. One loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rs::node {

struct Limits {
  int64_t memory_bytes = 0;       // 0: none
  int64_t cpu_limit_milli = 0;    // 0: none
  int64_t cpu_request_milli = 0;  // shares
  int64_t processes = 0;          // 0: none
};

struct Usage {
  uint64_t cpu_nanoseconds = 0;
  uint64_t memory_bytes = 0;
};

class Cgroups {
 public:
  // root: the name of our own group.
  explicit Cgroups(std::string root);
  bool available() const { return !hierarchies_.empty(); }
  std::string describe() const;   // "v1 cpu, memory, pids", "v2 cpu, memory" or "none"
  // Makes the group (path like "poduid/name-0") with its limits; the files that the container's first process writes
  // "0" to. What cannot be set is left out: a pod without a limit is better than no pod.
  std::vector<std::string> create(const std::string& path, const Limits& limits) const;
  bool out_of_memory(const std::string& path) const;   // the kernel has killed something in it
  std::optional<Usage> usage(const std::string& path) const;
  void remove(const std::string& path) const;           // with its children; they must be empty of processes

 private:
  struct Hierarchy {
    std::string mount;                       // /sys/fs/cgroup/memory
    std::vector<std::string> controllers;
    bool unified = false;
    bool has(std::string_view controller) const;
  };
  void find_hierarchies();
  std::string group(const Hierarchy& hierarchy, const std::string& path) const;
  void set_limits(const Hierarchy& hierarchy, const std::string& group, const Limits& limits) const;
  std::string root_;
  std::vector<Hierarchy> hierarchies_;
};

}  // namespace rs::node
