#include "base/log.h"
#include "net/server_core.h"
#include "net/tls.h"

namespace rs::net {
namespace {
using namespace std::chrono_literals;
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";  // RFC 9113 3.4
constexpr Duration kSweepInterval = 1s;

// Reads until it is clear whether the client speaks HTTP/2 by prior knowledge.
awaitable<Result<std::string>> read_first_bytes(Stream& stream) {
  std::string bytes;
  char buffer[1024];
  do {
    auto count = co_await stream.read(asio::buffer(buffer));
    if (!count) co_return fail(count.error());
    if (*count == 0) break;
    bytes.append(buffer, *count);
  } while (bytes.size() < kPreface.size() && kPreface.starts_with(bytes));
  co_return bytes;
}
}  // namespace

ServerCore::ServerCore(async::Loop& l, HttpServerOptions o, Handler h)
    : loop(l), options(std::move(o)), handler(std::move(h)), tasks(l), changed_(l) {}

Response ServerCore::error(int status, std::string_view message) const {
  if (options.error_response) return options.error_response(status, message);
  return Response{status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::string(message) + "\n", {}};
}

const std::string& ServerCore::date() {
  const auto second = std::chrono::duration_cast<std::chrono::seconds>(loop.wall().since_unix).count();
  if (second != date_second_) {
    date_second_ = second;
    const std::time_t time = second;
    std::tm parts{};
    gmtime_r(&time, &parts);
    date_ = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", parts);
  }
  return date_;
}

void ServerCore::serve(std::unique_ptr<Listener> listener) {
  if (!sweeping_) {
    sweeping_ = true;
    tasks.spawn(options.name + " deadlines", sweep_loop());
  }
  listeners_.push_back(std::move(listener));
  tasks.spawn(options.name + " accept", accept_loop(listeners_.back()));
}

awaitable<void> ServerCore::sweep_loop() {
  const Duration shortest = std::min({options.limits.header_timeout, options.limits.body_timeout,
                                      options.limits.idle_timeout});
  const Duration interval = std::clamp<Duration>(shortest / 4, 1ms, kSweepInterval);
  for (;;) {
    co_await loop.sleep(interval);
    const auto current = std::vector(connections.begin(), connections.end());
    for (auto* connection : current) {
      if (connections.contains(connection)) connection->sweep(loop.now());
    }
  }
}

awaitable<void> ServerCore::accept_loop(std::shared_ptr<Listener> listener) {
  while (!stopping) {
    auto stream = co_await listener->accept();
    if (!stream) {
      if (stopping || stream.error().code == Code::kUnavailable) co_return;
      log::warning("net", "cannot accept", {{"server", options.name}, {"error", stream.error().message}});
      co_await loop.sleep(50ms);  // out of descriptors: some will be closed
      continue;
    }
    tasks.spawn(options.name, run_connection(std::move(*stream)));
  }
}

awaitable<void> ServerCore::run_connection(std::unique_ptr<Stream> stream) {
  struct Count {
    ServerCore& core;
    explicit Count(ServerCore& c) : core(c) { ++core.open; }
    ~Count() {
      --core.open;
      core.changed_.notify();
    }
  } count(*this);
  if (open > options.limits.connections) {
    if (options.tls) co_return;
    const Response answer = error(503, "too many connections");
    (void)co_await stream->write(fmt::format("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
                                       answer.body.size(), answer.body));
    co_return;
  }
  if (options.tls) {
    auto secured = co_await tls_accept(loop, std::move(stream), options.tls_source ? options.tls_source() : options.tls,
                                       options.limits.header_timeout);
    if (!secured) {
      log::debug("net", "TLS handshake failed", {{"server", options.name}, {"error", secured.error().message}});
      co_return;
    }
    stream = std::move(*secured);
  }
  co_await run_protocol(std::move(stream));
}

awaitable<void> ServerCore::run_protocol(std::unique_ptr<Stream> stream) {
  std::string bytes;
  bool http2 = stream->alpn() == "h2";
  if (!http2) {
    auto first = co_await async::with_timeout(loop, options.limits.header_timeout, "first bytes", read_first_bytes(*stream));
    if (!first || first->empty()) co_return;
    bytes = std::move(*first);
    http2 = bytes.starts_with(kPreface);
  }
  struct Registered {
    ServerCore& core;
    std::shared_ptr<ServerConnection> connection;
    Registered(ServerCore& c, std::shared_ptr<ServerConnection> s) : core(c), connection(std::move(s)) {
      core.connections.insert(connection.get());
    }
    ~Registered() {
      core.connections.erase(connection.get());
      connection->abort();
    }
  };
  auto self = shared_from_this();
  Registered registered(*this, http2 ? make_http2_connection(self, std::move(stream), std::move(bytes))
                                     : make_http1_connection(self, std::move(stream), std::move(bytes)));
  if (stopping) registered.connection->begin_shutdown();
  co_await registered.connection->run();
}

awaitable<Result<void>> ServerCore::all_closed() {
  while (open > 0) co_await changed_.wait();
  co_return Result<void>{};
}

awaitable<void> ServerCore::stop(Duration grace) {
  stopping = true;
  for (const auto& listener : listeners_) listener->close();
  const auto current = std::vector(connections.begin(), connections.end());
  for (auto* connection : current) connection->begin_shutdown();
  if (open > 0 && grace > 0ns) (void)co_await async::with_timeout(loop, grace, "stop", all_closed());
  co_await tasks.stop();
}

struct HttpServer::Impl {
  std::shared_ptr<ServerCore> core;
};

HttpServer::HttpServer(async::Loop& loop, HttpServerOptions options, Handler handler)
    : impl_(new Impl{std::make_shared<ServerCore>(loop, std::move(options), std::move(handler))}) {}
HttpServer::~HttpServer() = default;
void HttpServer::serve(std::unique_ptr<Listener> listener) { impl_->core->serve(std::move(listener)); }
awaitable<void> HttpServer::stop(Duration grace) { co_await impl_->core->stop(grace); }
size_t HttpServer::connections() const { return impl_->core->open; }

}  // namespace rs::net
