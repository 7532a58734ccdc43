#include "node/runtime/process_runtime.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "base/json.h"
#include "base/log.h"

namespace rs::node {
namespace fs = std::filesystem;
namespace {

constexpr Duration kStartLimit = std::chrono::seconds(30);

class ConfigText {
 public:
  ConfigText& add(std::string_view key, std::string_view value) {
    text_.append(key).append("=").append(value).push_back('\0');
    return *this;
  }
  ConfigText& flag(std::string_view key, bool value) { return value ? add(key, "1") : *this; }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// NULs end entries: a value with one inside would smuggle in a key.
bool has_nul(const std::vector<std::string>& texts) {
  return std::ranges::any_of(texts, [](const std::string& t) { return t.find('\0') != std::string::npos; });
}

Result<UniqueFd> config_file(const std::string& path, const std::string& text) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) || ::lseek(fd.get(), 0, SEEK_SET) != 0)
    return fail(Code::kInternalError, "write {}: {}", path, std::strerror(errno));
  return fd;
}

awaitable<Result<std::string>> read_report(async::Loop& loop, UniqueFd fd) {
  PipeReader reader(loop, std::move(fd));
  co_return co_await reader.read();
}

}  // namespace

ProcessRuntime::ProcessRuntime(async::Loop& loop, PodNetwork* network, ProcessRuntimeOptions options)
    : loop_(loop), network_(network), options_(std::move(options)), isolate_(options_.isolate && ::geteuid() == 0),
      cgroups_(isolate_ ? "roadstead-" + options_.node_name : std::string()), tasks_(loop) {
  if (!isolate_) network_ = nullptr;
}

ProcessRuntime::~ProcessRuntime() = default;

awaitable<void> ProcessRuntime::stop() { co_await tasks_.stop(); }

std::string ProcessRuntime::describe() const {
  if (!isolate_)
    return "pods are plain processes on the host network: no namespaces, no limits, no mounts (needs root)";
  return fmt::format("pods have their own files, processes and host name; network: {}; limits: cgroups {}",
                     network_ != nullptr ? "own addresses in " + network_->node_cidr() : "the host's", cgroups_.describe());
}

std::string ProcessRuntime::pod_dir(const std::string& uid) const { return options_.data_dir + "/pods/" + uid; }
std::string ProcessRuntime::container_dir(const std::string& uid, const std::string& name, int attempt) const {
  return fmt::format("{}/containers/{}/{}", pod_dir(uid), name, attempt);
}
std::string ProcessRuntime::log_path(const std::string& uid, const std::string& name, int attempt) const {
  return container_dir(uid, name, attempt) + ".log";
}
std::string ProcessRuntime::cgroup_path(const std::string& uid, const std::string& name, int attempt) const {
  return fmt::format("pod{}/{}-{}", uid, name, attempt);
}

Result<pid_t> ProcessRuntime::spawn_shim(const std::string& label, const std::string& config, int config_fd, int report_fd,
                                         std::vector<std::pair<int, int>> streams) const {
  auto path = shim_path();
  if (!path) return fail(path.error());
  UniqueFd made;
  if (config_fd < 0) {
    int in_memory = ::memfd_create("config", MFD_CLOEXEC);
    made = UniqueFd(in_memory);
    if (!made || ::write(in_memory, config.data(), config.size()) != static_cast<ssize_t>(config.size()) ||
        ::lseek(in_memory, 0, SEEK_SET) != 0)
      return fail(Code::kResourceExhausted, "configuration of the shim: {}", std::strerror(errno));
    config_fd = in_memory;
  }
  streams.emplace_back(config_fd, 3);
  streams.emplace_back(report_fd, 4);
  return spawn({*path, {"roadstead-shim", label}, {}, std::move(streams), true, true});
}

// ---- sandboxes -----------------------------------------------------------------------------------------------------

awaitable<Result<SandboxInfo>> ProcessRuntime::start_sandbox(SandboxSpec spec) {
  if (auto made = make_directories(pod_dir(spec.uid) + "/containers"); !made) co_return fail(made.error());
  if (auto it = sandboxes_.find(spec.uid); it != sandboxes_.end()) co_return it->second.info;
  Result<SandboxInfo> info = SandboxInfo{options_.node_ip, false};
  if (isolate_) {
    info = co_await start_keeper(spec);
    if (!info) co_return info;
  } else {
    sandboxes_[spec.uid] = {*info, nullptr};
  }
  Json record = JsonObject{{"uid", spec.uid}, {"namespace", spec.ns}, {"name", spec.name}, {"ip", info->ip},
                           {"ownNetwork", info->own_network}};
  if (auto written = write_file(pod_dir(spec.uid) + "/pod.json", to_text(record)); !written) co_return fail(written.error());
  co_return info;
}

awaitable<Result<SandboxInfo>> ProcessRuntime::start_keeper(SandboxSpec spec) {
  bool own_network = network_ != nullptr && !spec.host_network;
  ConfigText config;
  config.add("mode", "sandbox").add("state_dir", pod_dir(spec.uid)).flag("new_network", own_network);
  if (!spec.host_network) config.add("hostname", spec.hostname);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    co_return fail(Code::kResourceExhausted, "socket: {}", std::strerror(errno));
  UniqueFd ours(ends[0]), theirs(ends[1]);
  auto pid = spawn_shim(fmt::format("{}/{}", spec.ns, spec.name), config.take(), -1, theirs.get());
  if (!pid) co_return fail(pid.error());
  theirs.reset();
  auto process = Process::open(loop_, *pid);
  if (!process) co_return fail(process.error());
  auto keeper = std::make_shared<Process>(std::move(*process));
  tasks_.spawn("keeper", wait_for_keeper(spec.uid, keeper));
  auto report = co_await async::with_timeout(loop_, kStartLimit, "sandbox", read_report(loop_, std::move(ours)));
  if (!report || *report != "ok\n") {
    keeper->signal(SIGKILL);
    co_return fail(Code::kInternalError, "failed to create the pod's namespaces: {}", report ? *report : report.error().message);
  }
  SandboxInfo info{options_.node_ip, own_network};
  if (own_network) {
    auto address = co_await network_->add(spec.uid, spec.ns, spec.name, fmt::format("/proc/{}/ns/net", *pid));
    if (!address) {
      keeper->signal(SIGKILL);
      co_return fail_at("failed to set up the pod's network", address.error());
    }
    info.ip = *address;
  }
  sandboxes_[spec.uid] = {info, keeper};
  co_return info;
}

awaitable<void> ProcessRuntime::wait_for_keeper(std::string uid, std::shared_ptr<Process> keeper) {
  co_await keeper->wait();
  auto it = sandboxes_.find(uid);
  if (it == sandboxes_.end() || it->second.keeper != keeper) co_return;
  bool expected = it->second.ending, own_network = it->second.info.own_network;
  sandboxes_.erase(it);
  if (expected) co_return;
  if (own_network && network_ != nullptr) co_await network_->remove(uid, "");
  if (on_sandbox_lost_) on_sandbox_lost_(uid);
}

awaitable<void> ProcessRuntime::stop_sandbox(std::string uid) {
  auto it = sandboxes_.find(uid);
  if (it == sandboxes_.end()) co_return;
  it->second.ending = true;
  auto keeper = it->second.keeper;
  bool own_network = it->second.info.own_network;
  if (own_network && network_ != nullptr && keeper)
    co_await network_->remove(uid, fmt::format("/proc/{}/ns/net", keeper->pid()));
  if (keeper) keeper->signal(SIGKILL);
  sandboxes_.erase(uid);
}

awaitable<void> ProcessRuntime::remove_pod(std::string uid) {
  std::vector<std::shared_ptr<Process>> running;
  for (auto& [key, container] : containers_)
    if (key.first == uid && !container.info.exit) running.push_back(container.shim);
  for (const auto& shim : running) {
    shim->signal(SIGUSR1);
    co_await shim->wait();
  }
  co_await stop_sandbox(uid);
  for (auto it = containers_.lower_bound({uid, ""}); it != containers_.end() && it->first.first == uid;)
    it = containers_.erase(it);
  if (isolate_) cgroups_.remove("pod" + uid);
  std::string dir = pod_dir(uid), trash = options_.data_dir + "/trash/" + uid;
  auto made = make_directories(options_.data_dir + "/trash");
  std::error_code ignored;
  for (const auto& volume : fs::directory_iterator(dir + "/volumes", ignored))
    ::umount2(volume.path().c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);  // emptyDirs in memory; EINVAL for the others
  // The move is what counts (a restart finds no pod); large volumes are then deleted by a helper, not by this loop.
  if (!made || ::rename(dir.c_str(), trash.c_str()) != 0) trash = dir;
  if (fs::exists(trash)) {
    auto removed = co_await run_to_end(loop_, "/bin/rm", {"rm", "-rf", "--one-file-system", trash}, {}, "", std::chrono::minutes(5));
    if (!removed) log::warning("node", "pod directory not removed", {{"path", trash}, {"why", removed.error().message}});
  }
}

// ---- containers ----------------------------------------------------------------------------------------------------

std::string ProcessRuntime::shim_config(const ContainerSpec& spec, const std::string& dir,
                                        const std::vector<std::string>& cgroups) const {
  ConfigText config;
  config.add("mode", "container").add("state_dir", dir).add("log", log_path(spec.uid, spec.name, spec.attempt));
  config.add("log_bytes", std::to_string(options_.log_bytes)).add("log_files", std::to_string(options_.log_files));
  for (const std::string& arg : spec.args) config.add("arg", arg);
  for (const std::string& variable : spec.env) config.add("env", variable);
  if (!spec.working_dir.empty()) config.add("cwd", spec.working_dir);
  if (spec.user) config.add("uid", std::to_string(*spec.user));
  if (spec.group) config.add("gid", std::to_string(*spec.group));
  for (int64_t group : spec.groups) config.add("group", std::to_string(group));
  config.flag("tty", spec.tty).flag("no_new_privileges", spec.no_new_privileges);
  if (spec.with_stdin) config.add("stdin", dir + "/stdin");
  if (!isolate_) return config.take();
  config.flag("isolate", true).flag("privileged", spec.privileged).flag("read_only_root", spec.read_only_root);
  if (spec.capabilities && !spec.privileged) config.add("capabilities", fmt::format("{:x}", *spec.capabilities));
  if (spec.oom_score_adj != 0) config.add("oom_score_adj", std::to_string(spec.oom_score_adj));
  for (const Mount& m : spec.mounts)
    config.add("mount", fmt::format("{}\x1f{}\x1f{}{}\x1f{}", m.source, m.target, m.read_only ? "ro" : "rw",
                                    m.devices ? ",dev" : "", m.sub_path));
  config.add("mask", options_.data_dir);
  for (const std::string& path : cgroups) config.add("cgroup", path);
  auto sandbox = sandboxes_.find(spec.uid);
  if (sandbox != sandboxes_.end() && sandbox->second.keeper) {
    pid_t keeper = sandbox->second.keeper->pid();
    if (sandbox->second.info.own_network) config.add("net_ns", fmt::format("/proc/{}/ns/net", keeper));
    config.add("uts_ns", fmt::format("/proc/{}/ns/uts", keeper)).add("ipc_ns", fmt::format("/proc/{}/ns/ipc", keeper));
  }
  return config.take();
}

awaitable<Result<ContainerInfo>> ProcessRuntime::start(ContainerSpec spec) {
  std::string dir = container_dir(spec.uid, spec.name, spec.attempt);
  if (has_nul(spec.args) || has_nul(spec.env)) co_return fail(Code::kInvalid, "a NUL byte in the command or environment");
  if (auto made = make_directories(dir); !made) co_return fail(made.error());
  if (auto written = write_file(dir + "/streak", std::to_string(spec.streak)); !written) co_return fail(written.error());
  if (spec.with_stdin && ::mkfifo((dir + "/stdin").c_str(), 0600) != 0 && errno != EEXIST)
    co_return fail(Code::kInternalError, "standard input: {}", std::strerror(errno));
  std::vector<std::string> cgroups;
  if (isolate_) cgroups = cgroups_.create(cgroup_path(spec.uid, spec.name, spec.attempt), spec.limits);
  std::string text = shim_config(spec, dir, cgroups);
  auto config = config_file(dir + "/config", text);
  if (!config) co_return fail(config.error());
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    co_return fail(Code::kResourceExhausted, "socket: {}", std::strerror(errno));
  UniqueFd ours(ends[0]), theirs(ends[1]);
  Key key{spec.uid, spec.name};
  Container container;
  container.info = {spec.uid, spec.name, fmt::format("roadstead://{}-{}-{}", spec.uid, spec.name, spec.attempt), spec.attempt,
                    spec.streak, loop_.wall(), std::nullopt};
  auto pid = spawn_shim(fmt::format("{}/{}", spec.uid, spec.name), "", config->get(), theirs.get());
  if (!pid) co_return fail(pid.error());
  theirs.reset();
  auto process = Process::open(loop_, *pid);
  if (!process) co_return fail(process.error());
  container.shim = std::make_shared<Process>(std::move(*process));
  auto shim = container.shim;
  containers_[key] = std::move(container);
  forget_old_attempts(spec.uid, spec.name, spec.attempt);
  auto report = co_await async::with_timeout(loop_, kStartLimit, "start", read_report(loop_, std::move(ours)));
  if (!report) shim->signal(SIGKILL);
  if (report && *report == "ok\n") {
    ContainerInfo info = containers_[key].info;
    watch(key);
    co_return info;
  }
  co_await shim->wait();
  ContainerInfo& info = containers_[key].info;
  info.exit = read_exit(spec.uid, spec.name, spec.attempt);
  info.exit->start_failed = true;
  if (!report) info.exit->message = report.error().message;
  if (isolate_) cgroups_.remove(cgroup_path(spec.uid, spec.name, spec.attempt));
  co_return info;
}

void ProcessRuntime::watch(const Key& key) {
  const Container& container = containers_[key];
  tasks_.spawn("container", wait_for_exit(key, container.info.attempt, container.shim));
}

awaitable<void> ProcessRuntime::wait_for_exit(Key key, int attempt, std::shared_ptr<Process> shim) {
  co_await shim->wait();
  auto it = containers_.find(key);
  if (it == containers_.end() || it->second.shim != shim) co_return;
  it->second.info.exit = read_exit(key.first, key.second, attempt);
  if (isolate_) cgroups_.remove(cgroup_path(key.first, key.second, attempt));
  if (on_exit_) on_exit_(ContainerInfo(it->second.info));
}

ContainerExit ProcessRuntime::read_exit(const std::string& uid, const std::string& name, int attempt) const {
  std::string dir = container_dir(uid, name, attempt);
  ContainerExit exit;
  exit.at = loop_.wall();
  auto text = read_file(dir + "/exit");
  if (!text) {
    exit.code = 137;
    exit.message = "the container's shim has ended without telling how";
    return exit;
  }
  char* rest = nullptr;
  exit.code = static_cast<int>(std::strtol(text->c_str(), &rest, 10));
  exit.at = WallTime{Duration(std::strtoll(rest, nullptr, 10))};
  exit.out_of_memory = exit.code == 137 && isolate_ && cgroups_.out_of_memory(cgroup_path(uid, name, attempt));
  if (auto reason = read_file(dir + "/error")) {
    exit.start_failed = true;
    exit.message = *reason;
  }
  return exit;
}

void ProcessRuntime::stop(const std::string& uid, const std::string& name, Stop how) {
  auto it = containers_.find({uid, name});
  if (it != containers_.end() && !it->second.info.exit) it->second.shim->signal(how == Stop::kKill ? SIGUSR1 : SIGTERM);
}

void ProcessRuntime::close_stdin(const std::string& uid, const std::string& name) {
  auto it = containers_.find({uid, name});
  if (it != containers_.end() && !it->second.info.exit) it->second.shim->signal(SIGUSR2);
}

std::optional<Usage> ProcessRuntime::usage(const std::string& uid, const std::string& name) const {
  auto it = containers_.find({uid, name});
  if (it == containers_.end() || it->second.info.exit || !isolate_) return std::nullopt;
  return cgroups_.usage(cgroup_path(uid, name, it->second.info.attempt));
}

// The last run's log is kept for `kubectl logs --previous`; older ones go.
void ProcessRuntime::forget_old_attempts(const std::string& uid, const std::string& name, int attempt) {
  for (int old = attempt - 2; old >= 0 && old > attempt - 5; --old) {
    std::error_code ignored;
    fs::remove_all(container_dir(uid, name, old), ignored);
    std::string log = log_path(uid, name, old);
    fs::remove(log, ignored);
    for (int i = 1; i < options_.log_files; ++i) fs::remove(fmt::format("{}.{}", log, i), ignored);
  }
}

}  // namespace rs::node
