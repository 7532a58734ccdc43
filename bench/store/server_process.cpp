#include "server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "load_client.h"

namespace rs::bench {
namespace {

constexpr int64_t kReadyTimeoutNs = 120'000'000'000;
constexpr int64_t kStopTimeoutNs = 30'000'000'000;
constexpr int kHttpTimeoutSeconds = 10;

int connect_to(const std::string& host, uint16_t port) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

uint16_t free_port() {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
               ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  ::close(fd);
  if (!bound) throw BenchError("no free port");
  return ntohs(address.sin_port);
}

void pause_ms(int ms) {
  timespec time{.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1'000'000l};
  ::nanosleep(&time, nullptr);
}

double metric(std::string_view text, std::string_view name) {
  double sum = 0;
  for (size_t at = text.find(name); at != text.npos; at = text.find(name, at + 1)) {
    char after = at + name.size() < text.size() ? text[at + name.size()] : 0;
    if ((at == 0 || text[at - 1] == '\n') && (after == ' ' || after == '{')) {
      size_t space = text.find(' ', at);
      sum += std::strtod(std::string(text.substr(space + 1, 40)).c_str(), nullptr);
    }
  }
  return sum;
}

}  // namespace

ServerProcess::ServerProcess(Kind kind, const ServerSettings& settings, std::string directory)
    : kind_(kind), settings_(settings), directory_(std::move(directory)) {
  start();
}

ServerProcess::ServerProcess(Kind kind, std::string host, uint16_t port, pid_t pid)
    : kind_(kind), host_(std::move(host)), port_(port), pid_(pid), attached_(true) {}

ServerProcess::~ServerProcess() {
  if (!attached_) stop();
}

// The same for both: only what neither can do without, the quota, and no more than warnings in the
// log.
std::vector<std::string> ServerProcess::arguments() const {
  std::string client = fmt::format("http://127.0.0.1:{}", port_),
              peer = fmt::format("http://127.0.0.1:{}", peer_port_);
  return {kind_ == Kind::kPeer ? settings_.peer_path : settings_.ours_path,
          "--name=bench",
          "--data-dir=" + directory_,
          "--listen-client-urls=" + client,
          "--advertise-client-urls=" + client,
          "--listen-peer-urls=" + peer,
          "--initial-advertise-peer-urls=" + peer,
          "--initial-cluster=bench=" + peer,
          fmt::format("--quota-backend-bytes={}", settings_.quota_bytes),
          "--logger=zap",
          "--log-level=error"};
}

void ServerProcess::start() {
  port_ = free_port();
  peer_port_ = free_port();
  spawn();
  try {
    wait_until_ready();
  } catch (...) {
    stop();
    throw;
  }
}

void ServerProcess::spawn() {
  std::vector<std::string> words = arguments();
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::string log = directory_ + ".log";
  pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw BenchError("cannot fork");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  ::setpgid(0, 0);  // SIGINT of a terminal is for us, who then stop it
  int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  ::dup2(out, 1);
  ::dup2(out, 2);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

// Ready: a connection is taken and /health answers.
void ServerProcess::wait_until_ready() {
  for (int64_t deadline = now_ns() + kReadyTimeoutNs; now_ns() < deadline; pause_ms(1)) {
    if (g_stop_signal != 0) throw BenchError("stopped by a signal");
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = 0;
      throw BenchError(fmt::format("{} ended at once; see {}.log", arguments()[0], directory_));
    }
    int fd = connect_to(host_, port_);
    if (fd < 0) continue;
    ::close(fd);
    if (http_get("/health").find("true") != std::string::npos) return;
  }
  throw BenchError(fmt::format("{} was not ready in time", arguments()[0]));
}

void ServerProcess::stop() {
  if (pid_ == 0 || attached_) return;
  ::kill(pid_, SIGTERM);
  int64_t deadline = now_ns() + kStopTimeoutNs;
  while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (now_ns() > deadline) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      break;
    }
    pause_ms(2);
  }
  pid_ = 0;
}

int64_t ServerProcess::cpu_ns() const {
  if (pid_ == 0) return 0;
  clockid_t clock;
  timespec time{};
  if (::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &time) != 0)
    throw BenchError(fmt::format("process {} has no CPU clock: has it ended?", pid_));
  return int64_t(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

Memory ServerProcess::memory() const {
  Memory memory;
  std::ifstream in(fmt::format("/proc/{}/status", pid_));
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmRSS:"))
      memory.rss_mb = std::strtod(line.c_str() + 6, nullptr) * 1024 / 1e6;
    if (line.starts_with("VmHWM:"))
      memory.peak_mb = std::strtod(line.c_str() + 6, nullptr) * 1024 / 1e6;
  }
  return memory;
}

DiskCounts ServerProcess::disk_counts() const {
  std::string text = http_get("/metrics");
  return {.wal_fsyncs = metric(text, "etcd_disk_wal_fsync_duration_seconds_count"),
          .backend_commits = metric(text, "etcd_disk_backend_commit_duration_seconds_count")};
}

std::string ServerProcess::http_get(const std::string& path) const {
  int fd = connect_to(host_, port_);
  if (fd < 0) throw BenchError("the server takes no connection");
  timeval timeout{.tv_sec = kHttpTimeoutSeconds, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  std::string request =
      fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", path, host_);
  std::string answer;
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) == ssize_t(request.size())) {
    char buffer[65536];
    for (ssize_t n; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
      answer.append(buffer, size_t(n));
  }
  ::close(fd);
  return answer;
}

FreshDirectory::FreshDirectory(const std::string& parent) {
  std::filesystem::create_directories(parent);
  path_ = parent + "/store-bench-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr)
    throw BenchError(fmt::format("cannot make {}: {}", path_, std::strerror(errno)));
}

FreshDirectory::~FreshDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

double directory_mb(const std::string& path) {
  double bytes = 0;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    if (it->is_regular_file(error)) bytes += double(it->file_size(error));
  }
  return bytes / 1e6;
}

}  // namespace rs::bench
