// Commands inside running containers: exec probes, hooks, kubectl exec. A shim in mode "exec" joins the container's
// namespaces; its streams are ours.
#include <signal.h>
#include <sys/mman.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>

#include "async/event.h"
#include "node/runtime/process_runtime.h"

namespace rs::node {
namespace {

constexpr size_t kOutputsHeld = 64;

// Shared with the tasks that pump; the session may be gone before they are.
struct ExecState {
  ExecState(async::Loop& loop, Process p, UniqueFd control_end)
      : process(std::move(p)), outputs(loop, kOutputsHeld), control(loop, std::move(control_end)) {}
  Process process;
  async::Channel<client::ExecSession::Output> outputs;
  PipeWriter control;
  std::unique_ptr<PipeWriter> in;
  std::unique_ptr<async::TaskGroup> pumps;
};

class Session final : public client::ExecSession {
 public:
  explicit Session(std::shared_ptr<ExecState> state) : state_(std::move(state)) {}
  ~Session() override {
    if (!ended_) state_->process.signal(SIGTERM);
    state_->outputs.close();
  }
  awaitable<Result<void>> write_stdin(std::string data) override {
    if (!state_->in) co_return fail(Code::kFailedPrecondition, "standard input is closed");
    co_return co_await state_->in->write(std::move(data));
  }
  void close_stdin() override {
    if (state_->in) state_->in->close();
    state_->in.reset();
  }
  void resize(uint16_t columns, uint16_t rows) override {
    std::string text = fmt::format("{} {}\n", columns, rows);
    resizes_ = std::move(text);
    state_->pumps->spawn("resize", send_size(state_, resizes_));
  }
  awaitable<Result<Output>> read() override {
    auto output = co_await state_->outputs.pop();
    if (!output) co_return fail(Code::kUnavailable, "the command has ended");
    ended_ = output->channel == Output::Channel::kExit;
    co_return std::move(*output);
  }

 private:
  static awaitable<void> send_size(std::shared_ptr<ExecState> state, std::string text) {
    auto ignored = co_await state->control.write(std::move(text));  // a command that has just ended has no window
    (void)ignored;
  }
  std::shared_ptr<ExecState> state_;
  std::string resizes_;
  bool ended_ = false;
};

awaitable<void> pump(std::shared_ptr<ExecState> state, async::Loop& loop, UniqueFd fd, client::ExecSession::Output::Channel channel) {
  PipeReader reader(loop, std::move(fd));
  for (;;) {
    auto data = co_await reader.read();
    if (!data || data->empty()) co_return;
    if (!co_await state->outputs.push({channel, std::move(*data), 0})) co_return;
  }
}

awaitable<void> wait_for_end(std::shared_ptr<ExecState> state) {
  int status = co_await state->process.wait();
  co_await state->pumps->join();
  int code = status < 0 ? 137 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  co_await state->outputs.push({client::ExecSession::Output::Channel::kExit, "", code});
}

// The container's own configuration, less what concerns its start, plus the command.
std::string exec_config(const std::string& container, const client::ExecOptions& options, pid_t target) {
  static constexpr std::string_view kKept[] = {"env=", "cwd=", "uid=", "gid=", "group=", "isolate=", "privileged=",
                                               "no_new_privileges=", "capabilities=", "cgroup="};
  std::string text;
  auto add = [&text](std::string_view entry) { text.append(entry).push_back('\0'); };
  for (size_t at = 0; at < container.size();) {
    std::string_view entry(container.c_str() + at);
    at += entry.size() + 1;
    if (std::ranges::any_of(kKept, [&](std::string_view key) { return entry.starts_with(key); })) add(entry);
  }
  add("mode=exec");
  add(fmt::format("target_pid={}", target));
  if (options.tty) add("tty=1");
  if (options.tty) add("env=TERM=xterm");
  for (const std::string& arg : options.command) add("arg=" + arg);
  return text;
}

struct PipeEnds {
  UniqueFd read, write;
};
Result<PipeEnds> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Code::kResourceExhausted, "pipe: {}", std::strerror(errno));
  return PipeEnds{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

awaitable<Result<std::string>> read_report(PipeReader& reader) { co_return co_await reader.read(); }

}  // namespace

awaitable<Result<std::unique_ptr<client::ExecSession>>> ProcessRuntime::exec(std::string uid, client::ExecOptions options) {
  auto it = containers_.find({uid, options.container});
  if (it == containers_.end() || it->second.info.exit)
    co_return fail(Code::kNotFound, "container not found (\"{}\")", options.container);
  for (const std::string& arg : options.command)
    if (arg.find('\0') != std::string::npos) co_return fail(Code::kBadRequest, "a NUL byte in the command");
  std::string dir = container_dir(uid, options.container, it->second.info.attempt);
  auto config = read_file(dir + "/config", 4 << 20);
  auto started = read_file(dir + "/started");
  if (!config) co_return fail(config.error());
  if (!started) co_return fail(started.error());
  pid_t shim = 0, init = 0;
  uint64_t start_time = 0;
  std::istringstream(*started) >> shim >> start_time >> init;

  auto in = make_pipe(), out = make_pipe(), err = make_pipe();
  if (!in || !out || !err) co_return fail(Code::kResourceExhausted, "pipes: {}", std::strerror(errno));
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    co_return fail(Code::kResourceExhausted, "socket: {}", std::strerror(errno));
  UniqueFd ours(ends[0]), theirs(ends[1]), ours_too(::fcntl(ends[0], F_DUPFD_CLOEXEC, 3));
  std::vector<std::pair<int, int>> streams{{out->write.get(), 1}, {err->write.get(), 2}};
  if (options.in) streams.emplace_back(in->read.get(), 0);
  auto pid = spawn_shim("exec", exec_config(*config, options, init), -1, theirs.get(), std::move(streams));
  if (!pid) co_return fail(pid.error());
  theirs.reset();
  in->read.reset();
  out->write.reset();
  err->write.reset();
  auto process = Process::open(loop_, *pid);
  if (!process) co_return fail(process.error());
  auto state = std::make_shared<ExecState>(loop_, std::move(*process), std::move(ours_too));
  if (options.in) state->in = std::make_unique<PipeWriter>(loop_, std::move(in->write));
  state->pumps = std::make_unique<async::TaskGroup>(loop_);
  state->pumps->spawn("stdout", pump(state, loop_, std::move(out->read), client::ExecSession::Output::Channel::kStdout));
  state->pumps->spawn("stderr", pump(state, loop_, std::move(err->read), client::ExecSession::Output::Channel::kStderr));
  PipeReader reports(loop_, std::move(ours));
  auto report = co_await async::with_timeout(loop_, std::chrono::seconds(10), "exec", read_report(reports));
  tasks_.spawn("exec", wait_for_end(state));
  auto session = std::make_unique<Session>(state);
  if (!report || *report != "ok\n")
    co_return fail(Code::kInternalError, "failed to exec in container: {}", report ? *report : report.error().message);
  co_return session;
}

}  // namespace rs::node
