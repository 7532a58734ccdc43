#include "node/runtime/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>

#include "async/task_group.h"

extern "C" {
extern const char rs_shim_begin[];
extern const char rs_shim_end[];
}

namespace rs::node {
namespace asio = boost::asio;
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

int open_pidfd(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

}  // namespace

Result<pid_t> spawn(const SpawnSpec& spec) {
  // Sources are first moved above every target, so that no dup2 overwrites one that is still needed.
  std::vector<UniqueFd> high;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  bool named[3] = {false, false, false};
  for (auto [ours, theirs] : spec.fds) {
    int moved = ::fcntl(ours, F_DUPFD_CLOEXEC, 64);
    if (moved < 0) {
      posix_spawn_file_actions_destroy(&actions);
      return fail(Code::kResourceExhausted, "start {}: {}", spec.path, std::strerror(errno));
    }
    high.emplace_back(moved);
    if (theirs < 3) named[theirs] = true;
    posix_spawn_file_actions_adddup2(&actions, moved, theirs);
  }
  for (int fd = 0; fd < 3; ++fd)
    if (!named[fd]) posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, spec.signals_blocked ? &all : &none);
  short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  if (spec.new_session) flags |= POSIX_SPAWN_SETSID;
  posix_spawnattr_setflags(&attributes, flags);
  pid_t pid = -1;
  auto args = pointers(spec.args), env = pointers(spec.env);
  int error = ::posix_spawn(&pid, spec.path.c_str(), &actions, &attributes, args.data(), env.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail(Code::kInternalError, "start {}: {}", spec.path, std::strerror(error));
  return pid;
}

uint64_t start_time_of(pid_t pid) {
  auto text = read_file(fmt::format("/proc/{}/stat", pid));
  if (!text) return 0;
  size_t at = text->rfind(')');
  if (at == std::string::npos) return 0;
  std::istringstream fields(text->substr(at + 1));
  std::string word;
  for (int field = 3; fields >> word; ++field)
    if (field == 22) return std::strtoull(word.c_str(), nullptr, 10);
  return 0;
}

struct Process::Impl {
  Impl(async::Loop& loop, pid_t p, int fd) : pid(p), pidfd(loop.context(), fd) {}
  pid_t pid;
  asio::posix::stream_descriptor pidfd;
};

Process::Process(async::Loop& loop, pid_t pid, UniqueFd pidfd) : impl_(new Impl(loop, pid, pidfd.release())) {}
Process::~Process() = default;
Process::Process(Process&&) noexcept = default;
pid_t Process::pid() const { return impl_->pid; }

Result<Process> Process::open(async::Loop& loop, pid_t pid, uint64_t start_time) {
  UniqueFd fd(pid > 0 ? open_pidfd(pid) : -1);
  // Checked after opening: the pidfd then cannot come to mean another process.
  if (!fd || (start_time != 0 && start_time_of(pid) != start_time))
    return fail(Code::kNotFound, "process {} has ended", pid);
  return Process(loop, pid, std::move(fd));
}

awaitable<int> Process::wait() {
  boost::system::error_code error;
  co_await impl_->pidfd.async_wait(asio::posix::stream_descriptor::wait_read,
                                   asio::redirect_error(asio::use_awaitable, error));
  if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
  int status = 0;
  co_return ::waitpid(impl_->pid, &status, WNOHANG) == impl_->pid ? status : -1;
}

void Process::signal(int number) const {
  ::syscall(SYS_pidfd_send_signal, impl_->pidfd.native_handle(), number, nullptr, 0);
}

struct PipeReader::Impl {
  Impl(async::Loop& loop, int fd) : pipe(loop.context(), fd) {}
  asio::posix::stream_descriptor pipe;
};
PipeReader::PipeReader(async::Loop& loop, UniqueFd fd) : impl_(new Impl(loop, fd.release())) {}
PipeReader::~PipeReader() = default;

awaitable<Result<std::string>> PipeReader::read() {
  std::string data(32 << 10, '\0');
  boost::system::error_code error;
  size_t got = co_await impl_->pipe.async_read_some(asio::buffer(data), asio::redirect_error(asio::use_awaitable, error));
  if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
  // A terminal whose other side is closed says EIO.
  if (error && error != asio::error::eof && error.value() != EIO) co_return fail(Code::kUnavailable, "read: {}", error.message());
  data.resize(got);
  co_return data;
}

awaitable<std::string> PipeReader::read_all(size_t limit) {
  std::string all;
  for (;;) {
    auto part = co_await read();
    if (!part || part->empty()) co_return all;
    if (all.size() < limit) all.append(*part, 0, limit - all.size());
  }
}

struct PipeWriter::Impl {
  Impl(async::Loop& loop, int fd) : pipe(loop.context(), fd) {}
  asio::posix::stream_descriptor pipe;
};
PipeWriter::PipeWriter(async::Loop& loop, UniqueFd fd) : impl_(new Impl(loop, fd.release())) {}
PipeWriter::~PipeWriter() = default;

awaitable<Result<void>> PipeWriter::write(std::string data) {
  boost::system::error_code error;
  co_await asio::async_write(impl_->pipe, asio::buffer(data), asio::redirect_error(asio::use_awaitable, error));
  if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
  if (error) co_return fail(Code::kUnavailable, "write: {}", error.message());
  co_return Result<void>();
}

void PipeWriter::close() {
  boost::system::error_code ignored;
  impl_->pipe.close(ignored);
}

namespace {

awaitable<void> feed(async::Loop& loop, UniqueFd fd, std::string input) {
  PipeWriter writer(loop, std::move(fd));
  auto ignored = co_await writer.write(std::move(input));  // a program that does not read its input is its own affair
  (void)ignored;
}

// The outcome is shared: a cancelled run is gone before its readers are.
awaitable<void> collect(async::Loop& loop, UniqueFd fd, std::shared_ptr<Outcome> outcome, std::string Outcome::*member) {
  PipeReader reader(loop, std::move(fd));
  (*outcome).*member = co_await reader.read_all(1 << 20);
}

struct KillGuard {
  Process& process;
  bool armed = true;
  ~KillGuard() {
    if (armed) process.signal(SIGKILL);
  }
};

awaitable<Result<Outcome>> run_and_collect(async::Loop& loop, Process process, UniqueFd in, UniqueFd out, UniqueFd err,
                                           std::string input) {
  auto outcome = std::make_shared<Outcome>();
  async::TaskGroup tasks(loop);
  KillGuard guard{process};
  tasks.spawn("input", feed(loop, std::move(in), std::move(input)));
  tasks.spawn("output", collect(loop, std::move(out), outcome, &Outcome::out));
  co_await collect(loop, std::move(err), outcome, &Outcome::err);
  co_await tasks.join();
  int status = co_await process.wait();
  guard.armed = false;
  outcome->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  co_return std::move(*outcome);
}

}  // namespace

awaitable<Result<Outcome>> run_to_end(async::Loop& loop, std::string path, std::vector<std::string> args,
                                      std::vector<std::string> env, std::string input, Duration limit) {
  int in[2], out[2], err[2];
  if (::pipe2(in, O_CLOEXEC) != 0) co_return fail(Code::kResourceExhausted, "pipe: {}", std::strerror(errno));
  UniqueFd in_read(in[0]), in_write(in[1]);
  if (::pipe2(out, O_CLOEXEC) != 0) co_return fail(Code::kResourceExhausted, "pipe: {}", std::strerror(errno));
  UniqueFd out_read(out[0]), out_write(out[1]);
  if (::pipe2(err, O_CLOEXEC) != 0) co_return fail(Code::kResourceExhausted, "pipe: {}", std::strerror(errno));
  UniqueFd err_read(err[0]), err_write(err[1]);
  SpawnSpec spec{path, std::move(args), std::move(env), {{in[0], 0}, {out[1], 1}, {err[1], 2}}, true};
  auto pid = spawn(spec);
  if (!pid) co_return fail(pid.error());
  in_read.reset();
  out_write.reset();
  err_write.reset();
  auto process = Process::open(loop, *pid);
  if (!process) co_return fail(process.error());
  co_return co_await async::with_timeout(
      loop, limit, path,
      run_and_collect(loop, std::move(*process), std::move(in_write), std::move(out_read), std::move(err_read), std::move(input)));
}

Result<std::string> shim_path() {
  static const int fd = [] {
    int made = ::memfd_create("roadstead-shim", MFD_CLOEXEC);
    size_t size = static_cast<size_t>(rs_shim_end - rs_shim_begin);
    if (made < 0 || ::write(made, rs_shim_begin, size) != static_cast<ssize_t>(size)) return -1;
    // Executing a file that is open for writing is refused: keep only a reading descriptor.
    int reading = ::open(fmt::format("/proc/self/fd/{}", made).c_str(), O_RDONLY | O_CLOEXEC);
    ::close(made);
    return reading;
  }();
  if (fd < 0) return fail(Code::kInternalError, "no memory file for the shim");
  return fmt::format("/proc/self/fd/{}", fd);
}

}  // namespace rs::node
