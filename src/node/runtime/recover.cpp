// What a former Roadstead has left: pods that still run are adopted, ends that nobody has seen are read.
#include <signal.h>

#include <filesystem>

#include "base/json.h"
#include "base/log.h"
#include "node/runtime/process_runtime.h"

namespace rs::node {
namespace fs = std::filesystem;
namespace {

struct Started {
  pid_t shim = 0, init = 0;
  uint64_t start_time = 0;
  WallTime at;
};

std::optional<Started> read_started(const std::string& path) {
  auto text = read_file(path);
  if (!text) return std::nullopt;
  Started started;
  long long at = 0;
  std::istringstream in(*text);
  if (!(in >> started.shim >> started.start_time)) return std::nullopt;
  if (in >> started.init >> at) started.at = WallTime{Duration(at)};
  return started;
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (!entry.is_directory(error)) continue;
    names.push_back(entry.path().filename());
    if (names.size() > 10'000) break;
  }
  return names;
}

}  // namespace

Result<std::vector<RecoveredPod>> ProcessRuntime::recover() {
  if (auto made = make_directories(options_.data_dir + "/pods"); !made) return fail(made.error());
  std::error_code ignored;
  fs::remove_all(options_.data_dir + "/trash", ignored);
  std::vector<RecoveredPod> pods;
  for (const std::string& uid : names_in(options_.data_dir + "/pods")) {
    RecoveredPod pod;
    pod.uid = uid;
    auto text = read_file(pod_dir(uid) + "/pod.json");
    auto record = text ? parse_json(*text) : Result<Json>(JsonObject{});
    if (record) {
      pod.ns = str(*record, "namespace");
      pod.name = str(*record, "name");
      SandboxInfo info{std::string(str(*record, "ip")), boolean(*record, "ownNetwork")};
      auto keeper = read_started(pod_dir(uid) + "/sandbox");
      if (keeper) {
        if (auto process = Process::open(loop_, keeper->shim, keeper->start_time)) {
          auto shared = std::make_shared<Process>(std::move(*process));
          sandboxes_[uid] = {info, shared};
          tasks_.spawn("keeper", wait_for_keeper(uid, shared));
          pod.sandbox = info;
        }
      } else if (!isolate_ && !info.ip.empty()) {
        sandboxes_[uid] = {info, nullptr};
        pod.sandbox = info;
      }
    }
    recover_containers(pod);
    pods.push_back(std::move(pod));
  }
  return pods;
}

void ProcessRuntime::recover_containers(RecoveredPod& pod) {
  for (const std::string& name : names_in(pod_dir(pod.uid) + "/containers")) {
    std::vector<int> attempts;
    for (const std::string& text : names_in(pod_dir(pod.uid) + "/containers/" + name)) attempts.push_back(std::atoi(text.c_str()));
    std::ranges::sort(attempts, std::greater{});
    bool newest = true;
    for (int attempt : attempts) {
      auto info = recover_container(pod.uid, name, attempt);
      if (!info) continue;
      (newest ? pod.containers : pod.previous).push_back(*info);
      if (newest && !info->exit) watch({pod.uid, name});
      if (!newest) break;
      newest = false;
    }
  }
}

std::optional<ContainerInfo> ProcessRuntime::recover_container(const std::string& uid, const std::string& name, int attempt) {
  std::string dir = container_dir(uid, name, attempt);
  auto started = read_started(dir + "/started");
  if (!started) {  // its shim was never born
    std::error_code ignored;
    fs::remove_all(dir, ignored);
    return std::nullopt;
  }
  ContainerInfo info{uid, name, fmt::format("roadstead://{}-{}-{}", uid, name, attempt), attempt, 0, started->at, std::nullopt};
  if (auto streak = read_file(dir + "/streak")) info.streak = std::atoi(streak->c_str());
  Key key{uid, name};
  if (!fs::exists(dir + "/exit")) {
    if (auto process = Process::open(loop_, started->shim, started->start_time)) {
      containers_[key] = {info, std::make_shared<Process>(std::move(*process))};
      return info;
    }
  }
  info.exit = read_exit(uid, name, attempt);
  if (isolate_) cgroups_.remove(cgroup_path(uid, name, attempt));
  if (!containers_.contains(key)) containers_[key] = {info, nullptr};
  return info;
}

}  // namespace rs::node
