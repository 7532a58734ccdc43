#include "server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "store/etcd/messages.h"

extern char** environ;

namespace rs::store::bad_input {
namespace {

uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

std::string url(uint16_t port) {
  return "http://127.0.0.1:" + std::to_string(port);
}

}  // namespace

std::unique_ptr<ServerProcess> ServerProcess::start(const std::string& program,
                                                    std::vector<std::string> flags, bool peers) {
  std::unique_ptr<ServerProcess> server(new ServerProcess);
  std::string directory = std::filesystem::temp_directory_path() / "bad_input_XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr) return nullptr;
  server->directory_ = directory;
  server->port_ = free_port();
  std::vector<std::string> arguments = {program,
                                        "--data-dir",
                                        directory + "/data",
                                        "--listen-client-urls",
                                        url(server->port_),
                                        "--advertise-client-urls",
                                        url(server->port_)};
  if (peers) {
    const std::string peer = url(free_port());
    for (const std::string& flag :
         {std::string("--listen-peer-urls"), peer, std::string("--initial-advertise-peer-urls"),
          peer, std::string("--initial-cluster"), "default=" + peer})
      arguments.push_back(flag);
  }
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 2, (directory + "/log").c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int failed =
      ::posix_spawnp(&server->pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return nullptr;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (server->alive() && std::chrono::steady_clock::now() < deadline) {
    if (serves(*server)) return server;
    ::poll(nullptr, 0, 20);
  }
  return nullptr;
}

std::unique_ptr<ServerProcess> ServerProcess::ours(std::vector<std::string> more_flags) {
  return start(STORE_SERVER, std::move(more_flags), false);
}

std::unique_ptr<ServerProcess> ServerProcess::etcd() {
  // What etcd writes is not this test's matter: it may live on a disk without one.
  return std::filesystem::exists("/usr/bin/etcd") ? start("/usr/bin/etcd", {}, true) : nullptr;
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

bool ServerProcess::alive() const {
  siginfo_t info{};
  return ::waitid(P_PID, id_t(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

size_t ServerProcess::rss_bytes() const {
  std::ifstream statm("/proc/" + std::to_string(pid_) + "/statm");
  size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * 4096;
}

size_t ServerProcess::descriptors() const {
  std::error_code error;
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/fd", error))
    ++count;
  return count;
}

bool serves(const ServerProcess& server) {
  RawClient client(server.port());
  if (!client.connected()) return false;
  etcd::Writer put, range;
  put.bytes(1, "alive");
  put.bytes(2, "yes");
  range.bytes(1, "alive");
  if (client.wait(client.call("/etcdserverpb.KV/Put", put.take())).grpc_status != 0) return false;
  const Answer& found = client.wait(client.call("/etcdserverpb.KV/Range", range.take()));
  return found.grpc_status == 0 && found.data.find("yes") != std::string::npos;
}

}  // namespace rs::store::bad_input
