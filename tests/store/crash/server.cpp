#include "server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/assert.h"

namespace rs::store::crash {
namespace {

// Arguments for exec, made before fork: the child may not allocate.
std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

Server::Server(async::Loop& loop, const Disk& disk, std::vector<std::string> flags)
    : changed_(loop), pipe_(loop.context()), tasks_(loop) {
  std::vector<std::string> arguments = {STORE_SERVER,
                                        "--data-dir",
                                        disk.directory().string(),
                                        "--listen-client-urls",
                                        "http://127.0.0.1:0",
                                        "--advertise-client-urls",
                                        "http://127.0.0.1:0",
                                        "--watch-progress-notify-interval",
                                        "100ms"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  std::vector<std::string> environment = disk.environment();
  environment.push_back("LD_PRELOAD=" DISK_SHIM);
  auto argv = pointers(arguments), envp = pointers(environment);
  int pipe[2];
  ASSERT(::pipe2(pipe, O_CLOEXEC) == 0);
  pid_ = ::fork();
  ASSERT(pid_ >= 0);
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(pipe[1], 1);
    ::dup2(pipe[1], 2);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(pipe[1]);
  pipe_.assign(pipe[0]);
  alive_ = true;
  tasks_.spawn("server log", read_log());
}

Server::~Server() {
  if (!alive_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

// The pipe ends with the process: nobody else has its other end.
awaitable<void> Server::read_log() {
  char bytes[4096];
  while (true) {
    boost::system::error_code error;
    const size_t size = co_await pipe_.async_read_some(
        boost::asio::buffer(bytes), boost::asio::redirect_error(boost::asio::use_awaitable, error));
    if (error) break;
    log_.append(bytes, size);
    if (address_.port == 0) find_address();
    changed_.notify();
  }
  ::waitpid(pid_, &status_, 0);
  alive_ = false;
  changed_.notify();
}

void Server::find_address() {
  constexpr std::string_view kSays = "serving clients address=127.0.0.1:";
  const size_t at = log_.find(kSays);
  if (at == std::string::npos || log_.find('\n', at) == std::string::npos) return;
  address_ = {"127.0.0.1", uint16_t(std::stoi(log_.substr(at + kSays.size(), 5)))};
}

awaitable<bool> Server::start() {
  while (alive_ && address_.port == 0) co_await changed_.wait();
  co_return address_.port != 0;
}

void Server::kill(int signal) {
  if (alive_) ::kill(pid_, signal);
}

awaitable<void> Server::ended() {
  while (alive_) co_await changed_.wait();
  co_await tasks_.join();
}

}  // namespace rs::store::crash
