// The client's side of HTTP/1.1: a pool of connections to one address.
#include <sys/socket.h>

#include "async/event.h"
#include "net/client_core.h"
#include "net/http1.h"
#include "net/text.h"

namespace rs::net {
namespace {
constexpr size_t kReadBytes = 16 << 10;
}

struct Http1Pool::Connection {
  std::unique_ptr<Stream> stream;
  std::string in;        // received, not yet taken
  MonoTime idle_since{};
  bool reused = false;

  // More bytes into in; false at the end of the stream.
  awaitable<Result<bool>> fill() {
    std::vector<char> buffer(kReadBytes);
    auto count = co_await stream->read(asio::buffer(buffer));
    if (!count) co_return fail(count.error());
    in.append(buffer.data(), *count);
    co_return *count > 0;
  }

  // The server may have closed while the connection was idle; what it sent unasked makes it unusable too.
  bool usable(bool tls) const {
    if (!in.empty()) return false;
    const int fd = stream->native_handle();
    if (fd < 0) return true;
    char byte;
    const ssize_t count = ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return count < 0 ? errno == EAGAIN || errno == EWOULDBLOCK : count > 0 && tls;
  }
};

namespace {

using Connection = Http1Pool::Connection;

// A connection taken from its pool: given back whole, or closed.
class Taken {
 public:
  Taken(std::shared_ptr<Http1Pool> pool, std::unique_ptr<Connection> connection)
      : pool_(std::move(pool)), connection_(std::move(connection)) {}
  Taken(Taken&&) = default;
  Taken& operator=(Taken&&) = delete;
  ~Taken() {
    if (pool_) pool_->dropped();
  }
  Connection* operator->() const { return connection_.get(); }
  void give_back() {
    pool_->give_back(std::move(connection_));
    pool_.reset();
  }
  std::unique_ptr<Connection> keep() { return std::move(connection_); }

 private:
  std::shared_ptr<Http1Pool> pool_;
  std::unique_ptr<Connection> connection_;
};

class Http1ResponseStream final : public ResponseStream {
 public:
  Http1ResponseStream(Taken taken, http1::ResponseHead head, http1::Framing framing)
      : taken_(std::move(taken)), head_(std::move(head)), framing_(framing), left_(framing.length) {
    if (framing.kind == http1::Framing::Kind::kNone || (framing.kind == http1::Framing::Kind::kLength && left_ == 0)) end();
  }
  int status() const override { return head_.status; }
  const Headers& headers() const override { return head_.headers; }
  const Headers& trailers() const override { return decoder_.trailers(); }

  awaitable<Result<std::string>> read() override {
    using Kind = http1::Framing::Kind;
    while (!ended_) {
      auto& in = (*taken_)->in;
      std::string out;
      if (framing_.kind == Kind::kChunked) {
        auto taken = decoder_.feed(in, out);
        if (!taken) co_return fail(Code::kUnavailable, "{}", taken.error().message);
        in.erase(0, *taken);
        if (decoder_.done()) end();
      } else if (framing_.kind == Kind::kLength) {
        const auto count = static_cast<size_t>(std::min<uint64_t>(left_, in.size()));
        out = in.substr(0, count);
        in.erase(0, count);
        left_ -= count;
        if (left_ == 0) end();
      } else {
        out = std::move(in);
        in.clear();
      }
      if (!out.empty()) co_return out;
      if (ended_) break;
      auto more = co_await (*taken_)->fill();
      if (!more) co_return fail(more.error());
      if (!*more && framing_.kind != Kind::kUntilClose)
        co_return fail(Code::kUnavailable, "the server closed the connection within the response");
      if (!*more) end();
    }
    co_return std::string();
  }

 private:
  void end() {
    ended_ = true;
    if (framing_.kind != http1::Framing::Kind::kUntilClose && http1::keep_alive(head_.minor, head_.headers))
      taken_->give_back();
    taken_.reset();
  }
  std::optional<Taken> taken_;
  http1::ResponseHead head_;
  http1::Framing framing_;
  http1::ChunkedDecoder decoder_;
  uint64_t left_;
  bool ended_ = false;
};

// Headers of the request as sent, Host first.
std::string request_bytes(const Request& request, const std::string& authority) {
  Headers headers{{"Host", authority}};
  bool framed = false;
  for (const auto& [name, value] : request.headers) {
    if (equal_ignoring_case(name, "host") || equal_ignoring_case(name, "content-length") ||
        equal_ignoring_case(name, "transfer-encoding"))
      continue;
    headers.add(name, value);
  }
  framed = !request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (framed) headers.add("Content-Length", std::to_string(request.body.size()));
  std::string out;
  out.reserve(512 + (request.body.size() <= 4096 ? request.body.size() : 0));
  http1::write_request_head(out, request.method, request.target, headers);
  return out;
}

bool is_safe_text(const Request& request) {
  if (!http1::is_token(request.method) || request.target.empty()) return false;
  for (const char c : request.target) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return false;
  }
  return true;
}

// answered: the server sent something, so that the request may have been carried out.
awaitable<Result<http1::ResponseHead>> exchange(Connection& connection, const Request& request,
                                                const std::string& authority, bool& answered) {
  const std::string head = request_bytes(request, authority);
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(request.body)};
  auto written = co_await connection.stream->write(std::span(buffers).first(request.body.empty() ? 1 : 2));
  // A server may answer and close before it has read everything (413): read even when writing failed.
  http1::ResponseHead out;
  for (;;) {
    auto size = http1::parse_response_head(connection.in, {}, out);
    if (!size) co_return fail(Code::kUnavailable, "{}", size.error().message);
    if (*size > 0) {
      connection.in.erase(0, *size);
      if (out.status >= 200 || out.status == 101) co_return out;
      continue;  // interim
    }
    auto more = co_await connection.fill();
    if (!more || !*more) {
      if (!written) co_return fail(written.error());
      if (!more) co_return fail(more.error());
      co_return fail(Code::kUnavailable, "the server closed the connection without an answer");
    }
    answered = true;
  }
}

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" || method == "DELETE";
}

}  // namespace

Http1Pool::Http1Pool(std::shared_ptr<const ClientTarget> target) : target_(std::move(target)), changed_(target_->loop) {}
Http1Pool::~Http1Pool() = default;

void Http1Pool::give_back(std::unique_ptr<Connection> connection) {
  --in_use_;
  connection->idle_since = target_->loop.now();
  connection->reused = true;
  connection->in.shrink_to_fit();
  idle_.push_back(std::move(connection));
  changed_.notify();
}

void Http1Pool::dropped() {
  --in_use_;
  changed_.notify();
}

void Http1Pool::adopt(std::unique_ptr<Stream> stream) {
  auto connection = std::make_unique<Connection>();
  connection->stream = std::move(stream);
  ++in_use_;
  give_back(std::move(connection));
  idle_.back()->reused = false;
}

// fresh: a new connection, also when idle ones are there.
awaitable<Result<std::unique_ptr<Connection>>> Http1Pool::take(bool fresh) {
  const auto& options = target_->options;
  const MonoTime oldest = target_->loop.now() - options.idle_timeout;
  std::erase_if(idle_, [&](const auto& connection) { return connection->idle_since < oldest; });
  for (;;) {
    while (!fresh && !idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      if (!connection->usable(options.tls != nullptr)) continue;
      ++in_use_;
      co_return connection;
    }
    if (in_use_ < options.connections_per_host) break;
    co_await changed_.wait();
  }
  ++in_use_;
  struct Guard {
    Http1Pool& pool;
    bool done = false;
    ~Guard() {
      if (!done) pool.dropped();
    }
  } guard{*this};
  auto stream = co_await connect_to(*target_, true);
  if (!stream) co_return fail(stream.error());
  guard.done = true;
  auto connection = std::make_unique<Connection>();
  connection->stream = std::move(*stream);
  co_return connection;
}

awaitable<Result<std::unique_ptr<ResponseStream>>> Http1Pool::open(Request request) {
  auto self = shared_from_this();
  if (!is_safe_text(request)) co_return fail(Code::kBadRequest, "invalid method or target of a request");
  const std::string authority = request.authority.empty() ? default_authority(*target_) : request.authority;
  for (bool fresh = false;; fresh = true) {
    auto connection = co_await take(fresh);
    if (!connection) co_return fail(connection.error());
    Taken taken(self, std::move(*connection));
    const bool reused = taken->reused;
    bool answered = false;
    auto head = co_await exchange(*taken.operator->(), request, authority, answered);
    if (!head) {
      // The server closed an idle connection just as it was used again (RFC 9112 9.3.1).
      if (reused && !answered && !fresh && is_idempotent(request.method)) continue;
      co_return fail(head.error());
    }
    if (head->status == 101) co_return fail(Code::kUnavailable, "the server switched protocols unasked");
    auto framing = http1::response_framing(request.method, *head);
    if (!framing) co_return fail(Code::kUnavailable, "{}", framing.error().message);
    co_return std::make_unique<Http1ResponseStream>(std::move(taken), std::move(*head), *framing);
  }
}

namespace {
// The connection of an upgrade, with the bytes that came with the answer.
class ClientUpgradedStream final : public Stream {
 public:
  explicit ClientUpgradedStream(std::unique_ptr<Connection> connection) : c_(std::move(connection)) {}
  awaitable<Result<size_t>> read(asio::mutable_buffer buffer) override {
    if (c_->in.empty()) co_return co_await c_->stream->read(buffer);
    const size_t count = std::min(buffer.size(), c_->in.size());
    std::memcpy(buffer.data(), c_->in.data(), count);
    c_->in.erase(0, count);
    co_return count;
  }
  awaitable<Result<void>> write(std::span<const asio::const_buffer> buffers) override {
    co_return co_await c_->stream->write(buffers);
  }
  awaitable<Result<void>> shutdown_write() override { co_return co_await c_->stream->shutdown_write(); }
  void close() override { c_->stream->close(); }
  Address local() const override { return c_->stream->local(); }
  Address peer() const override { return c_->stream->peer(); }
  std::string_view alpn() const override { return c_->stream->alpn(); }
  const PeerCertificate* peer_certificate() const override { return c_->stream->peer_certificate(); }

 private:
  std::unique_ptr<Connection> c_;
};
}  // namespace

awaitable<Result<std::pair<Response, std::unique_ptr<Stream>>>> Http1Pool::upgrade(Request request) {
  auto self = shared_from_this();
  if (!is_safe_text(request)) co_return fail(Code::kBadRequest, "invalid method or target of a request");
  const std::string authority = request.authority.empty() ? default_authority(*target_) : request.authority;
  auto stream = co_await connect_to(*target_, true);
  if (!stream) co_return fail(stream.error());
  auto connection = std::make_unique<Connection>();
  connection->stream = std::move(*stream);
  bool answered = false;
  auto head = co_await exchange(*connection, request, authority, answered);
  if (!head) co_return fail(head.error());
  if (head->status != 101) {
    // The body of the refusal explains it: up to what came with the head.
    auto framing = http1::response_framing(request.method, *head);
    if (framing && framing->kind == http1::Framing::Kind::kLength && framing->length < kReadBytes) {
      while (connection->in.size() < framing->length) {
        auto more = co_await connection->fill();
        if (!more || !*more) break;
      }
    }
    co_return fail(Code::kBadRequest, "upgrade refused with status {}: {}", head->status, connection->in.substr(0, 1024));
  }
  Response response{101, std::move(head->headers), {}, {}};
  co_return std::pair(std::move(response),
                      std::unique_ptr<Stream>(std::make_unique<ClientUpgradedStream>(std::move(connection))));
}

}  // namespace rs::net
