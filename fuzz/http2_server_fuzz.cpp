// Any bytes from a client of a gRPC server, over a stream in memory: every answer is given,
// everything ends.
#include "async/task_group.h"
#include "base/assert.h"
#include "net/grpc.h"

namespace {
using namespace rs::net;
using rs::Result;

struct Script {
  std::string bytes;
  size_t step = 1, write_limit = SIZE_MAX;
};

class MemoryStream final : public Stream {
 public:
  explicit MemoryStream(const Script& script) : script_(script) {}
  awaitable<Result<size_t>> read(asio::mutable_buffer buffer) override {
    if (closed_) co_return rs::fail(rs::Code::kUnavailable, "closed");
    const size_t count = std::min({buffer.size(), script_.step, script_.bytes.size() - at_});
    std::memcpy(buffer.data(), script_.bytes.data() + at_, count);
    at_ += count;
    co_return count;
  }
  awaitable<Result<void>> write(std::span<const asio::const_buffer> buffers) override {
    for (const auto& buffer : buffers) written_ += buffer.size();
    if (closed_ || written_ > script_.write_limit)
      co_return rs::fail(rs::Code::kUnavailable, "closed");
    co_return Result<void>{};
  }
  awaitable<Result<void>> shutdown_write() override { co_return Result<void>{}; }
  void close() override { closed_ = true; }
  Address local() const override { return {"127.0.0.1", 1}; }
  Address peer() const override { return {"127.0.0.1", 2}; }

 private:
  const Script& script_;
  size_t at_ = 0, written_ = 0;
  bool closed_ = false;
};

class OneListener final : public Listener {
 public:
  explicit OneListener(const Script& script) : script_(script) {}
  awaitable<Result<std::unique_ptr<Stream>>> accept() override {
    if (std::exchange(given_, true)) co_return rs::fail(rs::Code::kUnavailable, "no more");
    co_return std::make_unique<MemoryStream>(script_);
  }
  Address local() const override { return {"127.0.0.1", 1}; }
  void close() override {}

 private:
  const Script& script_;
  bool given_ = false;
};

awaitable<grpc::Status> echo(grpc::ServerStream& stream) {
  while (true) {
    auto message = co_await stream.read();
    if (!message) co_return grpc::Status{grpc::StatusCode::kInternal, message.error().message};
    if (!*message) co_return grpc::Status{};
    auto written = co_await stream.write(std::make_shared<const std::string>(std::move(**message)));
    if (!written) co_return grpc::Status{grpc::StatusCode::kUnavailable, ""};
  }
}

awaitable<void> stop(grpc::Server& server, bool& stopped) {
  co_await server.stop(rs::Duration(0));
  stopped = true;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  Script script;
  // Without the preface it is HTTP/1.1.
  if (data[0] & 1) script.bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  if (data[0] & 2) script.bytes.append("\0\0\0\4\0\0\0\0\0", 9);
  script.step = data[1] == 0 ? 1 << 16 : data[1];
  if (data[0] & 4) script.write_limit = size_t(data[2]) * 16;
  script.bytes.append(reinterpret_cast<const char*>(data) + 3, size - 3);
  rs::async::SystemLoop loop;
  grpc::ServerOptions options;
  options.message_bytes = 1024;
  options.http_handler = [](Request& request, ResponseWriter& writer) -> awaitable<void> {
    (void)co_await writer.send({200, {}, request.target, {}});
  };
  grpc::Server server(loop, std::move(options));
  server.unary("/a/b", [](const auto&, std::string_view message, auto responder) {
    responder->reply(std::string(message));
  });
  server.streaming("/a/s", echo);
  server.serve(std::make_unique<OneListener>(script));
  for (int i = 0; i < 100 && loop.context().poll() > 0; ++i) {
  }
  bool stopped = false;
  rs::async::TaskGroup tasks(loop);
  tasks.spawn("stop", stop(server, stopped));
  for (int i = 0; i < 1000 && !stopped; ++i) loop.context().poll();
  ASSERT(stopped, "the server stops whatever its clients sent");
  return 0;
}
