// kubectl attach and run -it: output by way of the log (the shim writes a terminal's output at once), input by the
// container's standard input, a named pipe.
#include <fcntl.h>
#include <signal.h>

#include "node/logs.h"
#include "node/runtime/process_runtime.h"

namespace rs::node {
namespace {

constexpr Duration kRecent = std::chrono::seconds(2);

class AttachSession final : public client::ExecSession {
 public:
  AttachSession(std::unique_ptr<client::LogStream> log, std::unique_ptr<PipeWriter> in, std::shared_ptr<Process> shim,
                std::string directory, bool once)
      : log_(std::move(log)), in_(std::move(in)), shim_(std::move(shim)), directory_(std::move(directory)), once_(once) {}
  ~AttachSession() override { close_stdin(); }

  awaitable<Result<void>> write_stdin(std::string data) override {
    if (!in_) co_return fail(Code::kFailedPrecondition, "standard input is closed");
    co_return co_await in_->write(std::move(data));
  }
  void close_stdin() override {
    if (!in_) return;
    in_->close();
    in_.reset();
    if (once_) shim_->signal(SIGUSR2);
  }
  void resize(uint16_t columns, uint16_t rows) override {
    if (write_file(directory_ + "/winsize", fmt::format("{} {}\n", columns, rows))) shim_->signal(SIGWINCH);
  }
  awaitable<Result<Output>> read() override {
    auto text = co_await log_->read();
    if (!text) co_return fail(text.error());
    if (!text->empty()) co_return Output{Output::Channel::kStdout, std::move(*text), 0};
    auto exit = read_file(directory_ + "/exit");
    co_return Output{Output::Channel::kExit, "", exit ? std::atoi(exit->c_str()) : 137};
  }

 private:
  std::unique_ptr<client::LogStream> log_;
  std::unique_ptr<PipeWriter> in_;
  std::shared_ptr<Process> shim_;
  std::string directory_;
  bool once_;
};

}  // namespace

awaitable<Result<std::unique_ptr<client::ExecSession>>> ProcessRuntime::attach(std::string uid, client::ExecOptions options) {
  auto it = containers_.find({uid, options.container});
  if (it == containers_.end() || it->second.info.exit)
    co_return fail(Code::kNotFound, "container not found (\"{}\")", options.container);
  const ContainerInfo& info = it->second.info;
  std::string directory = container_dir(uid, options.container, info.attempt);
  std::unique_ptr<PipeWriter> in;
  if (options.in) {
    UniqueFd fd(::open((directory + "/stdin").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    if (!fd) co_return fail(Code::kBadRequest, "the container \"{}\" has no standard input (stdin: true)", options.container);
    in = std::make_unique<PipeWriter>(loop_, std::move(fd));
  }
  LogQuery query;
  query.follow = true;
  if (loop_.wall() - info.started > kRecent) query.tail_lines = 0;
  co_return std::make_unique<AttachSession>(open_log(loop_, log_path(uid, options.container, info.attempt), query), std::move(in),
                                            it->second.shim, directory, true);
}

}  // namespace rs::node
