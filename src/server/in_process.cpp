#include "server/in_process.h"

#include "async/event.h"

namespace rs::server {
namespace {
constexpr size_t kPipeBytes = 1 << 20;     // held for a reader that is slow; the writer waits beyond

// Collects a whole answer.
class CollectingWriter final : public net::ResponseWriter {
 public:
  awaitable<Result<void>> send(net::Response response) override {
    started_ = true;
    response_ = std::move(response);
    co_return Result<void>();
  }
  awaitable<Result<void>> start(int status, net::Headers headers) override {
    started_ = true;
    response_.status = status;
    response_.headers = std::move(headers);
    co_return Result<void>();
  }
  awaitable<Result<void>> write(std::shared_ptr<const std::string> bytes) override {
    response_.body += *bytes;
    co_return Result<void>();
  }
  awaitable<Result<void>> finish(net::Headers trailers) override {
    response_.trailers = std::move(trailers);
    co_return Result<void>();
  }
  awaitable<Result<std::unique_ptr<net::Stream>>> upgrade(net::Headers) override {
    co_return fail(Code::kBadRequest, "an in-process request cannot be upgraded");
  }
  bool started() const override { return started_; }

  net::Response take() { return std::move(response_); }

 private:
  bool started_ = false;
  net::Response response_;
};

// Between a handler that writes and a reader; shared by both.
struct Pipe {
  explicit Pipe(async::Loop& loop) : changed(loop) {}
  async::Event changed;
  int status = 0;
  net::Headers headers, trailers;
  std::deque<std::shared_ptr<const std::string>> chunks;
  size_t bytes = 0;
  bool started = false, finished = false, broken = false, reader_gone = false;
};

class PipeWriter final : public net::ResponseWriter {
 public:
  explicit PipeWriter(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}
  awaitable<Result<void>> send(net::Response response) override {
    pipe_->status = response.status;
    pipe_->headers = std::move(response.headers);
    pipe_->started = true;
    if (!response.body.empty()) pipe_->chunks.push_back(std::make_shared<const std::string>(std::move(response.body)));
    co_return co_await finish(std::move(response.trailers));
  }
  awaitable<Result<void>> start(int status, net::Headers headers) override {
    pipe_->status = status;
    pipe_->headers = std::move(headers);
    pipe_->started = true;
    pipe_->changed.notify();
    co_return Result<void>();
  }
  awaitable<Result<void>> write(std::shared_ptr<const std::string> bytes) override {
    while (pipe_->bytes >= kPipeBytes && !pipe_->reader_gone) co_await pipe_->changed.wait();
    if (pipe_->reader_gone) co_return fail(Code::kUnavailable, "the reader is gone");
    if (bytes->empty()) co_return Result<void>();
    pipe_->bytes += bytes->size();
    pipe_->chunks.push_back(std::move(bytes));
    pipe_->changed.notify();
    co_return Result<void>();
  }
  awaitable<Result<void>> finish(net::Headers trailers) override {
    pipe_->trailers = std::move(trailers);
    pipe_->finished = true;
    pipe_->changed.notify();
    co_return Result<void>();
  }
  awaitable<Result<std::unique_ptr<net::Stream>>> upgrade(net::Headers) override {
    co_return fail(Code::kBadRequest, "an in-process request cannot be upgraded");
  }
  bool started() const override { return pipe_->started; }

 private:
  std::shared_ptr<Pipe> pipe_;
};

class PipeReader final : public net::ResponseStream {
 public:
  PipeReader(std::shared_ptr<Pipe> pipe, async::TaskHandle task) : pipe_(std::move(pipe)), task_(std::move(task)) {}
  ~PipeReader() override {
    pipe_->reader_gone = true;
    pipe_->changed.notify();
    task_.cancel();
  }
  int status() const override { return pipe_->status; }
  const net::Headers& headers() const override { return pipe_->headers; }
  const net::Headers& trailers() const override { return pipe_->trailers; }
  awaitable<Result<std::string>> read() override {
    while (pipe_->chunks.empty() && !pipe_->finished && !pipe_->broken) co_await pipe_->changed.wait();
    if (pipe_->chunks.empty()) {
      if (pipe_->finished) co_return std::string();
      co_return fail(Code::kUnavailable, "the server ended the stream");
    }
    std::string bytes;
    while (!pipe_->chunks.empty()) {
      bytes += *pipe_->chunks.front();
      pipe_->chunks.pop_front();
    }
    pipe_->bytes = 0;
    pipe_->changed.notify();
    co_return bytes;
  }

 private:
  std::shared_ptr<Pipe> pipe_;
  async::TaskHandle task_;
};

// Marks the pipe as ended however the request ends.
struct EndOfPipe {
  std::shared_ptr<Pipe> pipe;
  ~EndOfPipe() {
    if (!pipe->finished) pipe->broken = true;
    pipe->changed.notify();
  }
};

awaitable<void> run_stream(std::shared_ptr<const InProcessTransport::Serve> serve, std::shared_ptr<const UserInfo> user,
                           net::Request request, std::shared_ptr<Pipe> pipe) {
  EndOfPipe end{pipe};
  PipeWriter writer(pipe);
  co_await (*serve)(request, writer, *user);
}

awaitable<Result<net::Response>> run_call(std::shared_ptr<const InProcessTransport::Serve> serve,
                                          std::shared_ptr<const UserInfo> user, net::Request request) {
  CollectingWriter writer;
  co_await (*serve)(request, writer, *user);
  if (!writer.started()) co_return fail(Code::kInternalError, "the request was not answered");
  co_return writer.take();
}

awaitable<Result<void>> wait_started(std::shared_ptr<Pipe> pipe) {
  while (!pipe->started && !pipe->broken) co_await pipe->changed.wait();
  if (!pipe->started) co_return fail(Code::kUnavailable, "the server ended the request");
  co_return Result<void>();
}
}  // namespace

InProcessTransport::InProcessTransport(async::Loop& loop, async::TaskGroup& tasks, Serve serve, UserInfo user)
    : loop_(loop),
      tasks_(tasks),
      serve_(std::make_shared<const Serve>(std::move(serve))),
      user_(std::make_shared<const UserInfo>(std::move(user))) {}

awaitable<Result<net::Response>> InProcessTransport::call(net::Request request, Duration timeout) {
  std::string what = request.method + " " + request.target;
  co_return co_await async::with_timeout(loop_, timeout, what, run_call(serve_, user_, std::move(request)));
}

awaitable<Result<std::unique_ptr<net::ResponseStream>>> InProcessTransport::stream(net::Request request, Duration timeout) {
  auto pipe = std::make_shared<Pipe>(loop_);
  std::string what = request.method + " " + request.target;
  auto task = tasks_.spawn("in-process stream", run_stream(serve_, user_, std::move(request), pipe));
  auto reader = std::make_unique<PipeReader>(pipe, std::move(task));
  auto started = co_await async::with_timeout(loop_, timeout, what, wait_started(pipe));
  if (!started) co_return std::unexpected(started.error());
  co_return std::unique_ptr<net::ResponseStream>(std::move(reader));
}

}  // namespace rs::server
