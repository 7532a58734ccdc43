#include "node/runtime/cgroup.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "node/runtime/fd.h"

namespace rs::node {
namespace {

constexpr std::string_view kWanted[] = {"cpu", "cpuacct", "memory", "pids"};
constexpr int64_t kPeriodMicroseconds = 100'000;

std::vector<std::string> words(const std::string& text, char separator) {
  std::vector<std::string> result;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, separator);)
    if (!word.empty()) result.push_back(word);
  return result;
}

bool wanted(std::string_view controller) { return std::ranges::find(kWanted, controller) != std::end(kWanted); }

void try_write(const std::string& path, const std::string& text) {
  auto ignored = write_in_place(path, text);  // see Cgroups::create
  (void)ignored;
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

uint64_t number_in(const std::string& path) {
  auto text = read_file(path);
  return text ? std::strtoull(text->c_str(), nullptr, 10) : 0;
}

// The value behind name in "name value" lines.
uint64_t keyed_number(const std::string& path, std::string_view name) {
  auto text = read_file(path);
  if (!text) return 0;
  std::istringstream in(*text);
  std::string key;
  for (uint64_t value = 0; in >> key >> value;)
    if (key == name) return value;
  return 0;
}

// cpu.shares (2..262144) to cpu.weight (1..10000), as runc does (KEP-2254).
int64_t weight_of(int64_t shares) { return 1 + (shares - 2) * 9999 / 262142; }

}  // namespace

bool Cgroups::Hierarchy::has(std::string_view controller) const {
  return std::ranges::find(controllers, controller) != controllers.end();
}

Cgroups::Cgroups(std::string root) : root_(std::move(root)) {
  find_hierarchies();
  // Keep those in which we can really make a group.
  std::erase_if(hierarchies_, [this](const Hierarchy& hierarchy) {
    std::string path = group(hierarchy, "");
    if (hierarchy.unified) {
      std::string enable;
      for (const std::string& controller : hierarchy.controllers) enable += (enable.empty() ? "+" : " +") + controller;
      if (!write_in_place(hierarchy.mount + "/cgroup.subtree_control", enable)) return true;
      if (!make_directories(path, 0755)) return true;
      return !write_in_place(path + "/cgroup.subtree_control", enable).has_value();
    }
    return !make_directories(path, 0755).has_value() || ::access((path + "/cgroup.procs").c_str(), W_OK) != 0;
  });
}

void Cgroups::find_hierarchies() {
  auto mounts = read_file("/proc/self/mounts");
  if (!mounts || ::geteuid() != 0) return;
  std::istringstream in(*mounts);
  std::string line;
  while (std::getline(in, line)) {
    auto fields = words(line, ' ');
    if (fields.size() < 4) continue;
    Hierarchy hierarchy{.mount = fields[1], .controllers = {}, .unified = fields[2] == "cgroup2"};
    if (hierarchy.unified) {
      auto controllers = read_file(hierarchy.mount + "/cgroup.controllers");
      for (const std::string& name : words(controllers ? trimmed(*controllers) : "", ' '))
        if (wanted(name)) hierarchy.controllers.push_back(name);
    } else if (fields[2] == "cgroup") {
      for (const std::string& option : words(fields[3], ','))
        if (wanted(option)) hierarchy.controllers.push_back(option);
    }
    bool known = std::ranges::any_of(hierarchies_, [&](const Hierarchy& h) { return h.mount == hierarchy.mount; });
    if (!hierarchy.controllers.empty() && !known) hierarchies_.push_back(std::move(hierarchy));
  }
}

std::string Cgroups::describe() const {
  std::string text;
  for (const Hierarchy& h : hierarchies_)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", h.unified ? "v2" : "v1", fmt::join(h.controllers, " "));
  return text.empty() ? "none" : text;
}

std::string Cgroups::group(const Hierarchy& hierarchy, const std::string& path) const {
  return path.empty() ? hierarchy.mount + "/" + root_ : hierarchy.mount + "/" + root_ + "/" + path;
}

void Cgroups::set_limits(const Hierarchy& h, const std::string& at, const Limits& limits) const {
  int64_t quota = limits.cpu_limit_milli * kPeriodMicroseconds / 1000;
  int64_t shares = std::clamp<int64_t>(limits.cpu_request_milli * 1024 / 1000, 2, 262144);
  if (h.has("cpu")) {
    if (h.unified) {
      if (quota > 0) try_write(at + "/cpu.max", fmt::format("{} {}", quota, kPeriodMicroseconds));
      try_write(at + "/cpu.weight", std::to_string(weight_of(shares)));
    } else {
      if (quota > 0) try_write(at + "/cpu.cfs_period_us", std::to_string(kPeriodMicroseconds));
      if (quota > 0) try_write(at + "/cpu.cfs_quota_us", std::to_string(quota));
      try_write(at + "/cpu.shares", std::to_string(shares));
    }
  }
  if (h.has("memory") && limits.memory_bytes > 0) {
    try_write(at + (h.unified ? "/memory.max" : "/memory.limit_in_bytes"), std::to_string(limits.memory_bytes));
    // Kubernetes containers do not swap.
    if (h.unified) try_write(at + "/memory.swap.max", "0");
    if (!h.unified) try_write(at + "/memory.memsw.limit_in_bytes", std::to_string(limits.memory_bytes));
  }
  if (h.has("pids") && limits.processes > 0) try_write(at + "/pids.max", std::to_string(limits.processes));
}

std::vector<std::string> Cgroups::create(const std::string& path, const Limits& limits) const {
  std::vector<std::string> joins;
  for (const Hierarchy& h : hierarchies_) {
    std::string at = group(h, path);
    if (!make_directories(at, 0755)) continue;
    if (h.unified) {
      // A group passes its controllers on before its child can have limits.
      std::string enable;
      for (const std::string& controller : h.controllers) enable += (enable.empty() ? "+" : " +") + controller;
      try_write(std::filesystem::path(at).parent_path().string() + "/cgroup.subtree_control", enable);
    }
    set_limits(h, at, limits);
    joins.push_back(at + "/cgroup.procs");
  }
  return joins;
}

bool Cgroups::out_of_memory(const std::string& path) const {
  for (const Hierarchy& h : hierarchies_)
    if (h.has("memory") && keyed_number(group(h, path) + (h.unified ? "/memory.events" : "/memory.oom_control"), "oom_kill") > 0)
      return true;
  return false;
}

std::optional<Usage> Cgroups::usage(const std::string& path) const {
  Usage usage;
  bool any = false;
  for (const Hierarchy& h : hierarchies_) {
    std::string at = group(h, path);
    if (!std::filesystem::exists(at)) continue;
    if (h.has("memory")) {
      // The working set: what is used less file pages that nobody has touched for long (as cAdvisor).
      uint64_t used = number_in(at + (h.unified ? "/memory.current" : "/memory.usage_in_bytes"));
      uint64_t idle = keyed_number(at + "/memory.stat", h.unified ? "inactive_file" : "total_inactive_file");
      usage.memory_bytes = used > idle ? used - idle : 0;
      any = true;
    }
    if (h.unified && h.has("cpu")) usage.cpu_nanoseconds = keyed_number(at + "/cpu.stat", "usage_usec") * 1000;
    if (!h.unified && h.has("cpuacct")) usage.cpu_nanoseconds = number_in(at + "/cpuacct.usage");
  }
  return any ? std::optional(usage) : std::nullopt;
}

void Cgroups::remove(const std::string& path) const {
  for (const Hierarchy& h : hierarchies_) {
    std::string at = group(h, path);
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(at, ignored))
      if (entry.is_directory(ignored)) ::rmdir(entry.path().c_str());
    ::rmdir(at.c_str());
  }
}

}  // namespace rs::node
