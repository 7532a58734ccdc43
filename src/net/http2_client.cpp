#include "net/h2_client.h"
#include "net/http1.h"
#include "net/text.h"

namespace rs::net {

ClientSession::ClientSession(std::shared_ptr<const ClientTarget> t, bool only_http2, Duration ping_timeout)
    : target(std::move(t)), only_http2_(only_http2), ping_timeout_(ping_timeout), changed_(target->loop),
      tasks_(target->loop) {}

// The tasks hold their connection themselves: closing it ends them, whenever the loop runs next.
ClientSession::~ClientSession() {
  if (connection_) connection_->close();
}

awaitable<Result<std::shared_ptr<h2::Connection>>> ClientSession::get() {
  auto self = shared_from_this();
  while (connecting_) co_await changed_.wait();
  if (connection_ && connection_->usable()) co_return connection_;
  struct Guard {
    ClientSession& s;
    ~Guard() {
      s.connecting_ = false;
      s.changed_.notify();
    }
  } guard{*this};
  connecting_ = true;
  connection_.reset();  // streams under way on it keep it
  auto stream = co_await connect_to(*target, false);
  if (!stream) co_return fail(stream.error());
  if (target->options.tls && (*stream)->alpn() != "h2") {
    if (only_http2_) co_return fail(Code::kUnavailable, "{} does not speak HTTP/2", to_string(target->address));
    other_protocol = std::move(*stream);
    co_return std::shared_ptr<h2::Connection>();
  }
  connection_ = std::make_shared<h2::Connection>(target->loop, std::move(*stream), nullptr,
                                                 h2::Settings{.header_bytes = 256 << 10, .header_count = 1000});
  tasks_.spawn("http2 client reader", connection_->read_loop({}));
  tasks_.spawn("http2 client writer", connection_->write_loop());
  tasks_.spawn("http2 client keep-alive", keep_alive(connection_, target->options.ping_interval, ping_timeout_));
  co_return connection_;
}

// Only with streams open: servers count pings without (gRPC's "too_many_pings").
awaitable<void> ClientSession::keep_alive(std::shared_ptr<h2::Connection> connection, Duration interval, Duration timeout) {
  std::weak_ptr<h2::Connection> weak = connection;
  async::Loop& loop = connection->loop;
  connection.reset();
  for (;;) {
    co_await loop.sleep(interval);
    auto c = weak.lock();
    if (!c || c->over()) co_return;
    if (c->streams() == 0 || loop.now() - c->last_read() < interval) continue;
    const MonoTime before = c->last_read();
    c->ping();
    c.reset();
    co_await loop.sleep(timeout);
    c = weak.lock();
    if (!c || c->over()) co_return;
    if (c->last_read() == before) c->close();
  }
}

namespace {

class ClientExchange final : public h2::Exchange {
 public:
  explicit ClientExchange(async::Loop& loop) : changed_(loop) {}
  void header(std::string_view name, std::string_view value) override {
    if (name == ":status") {
      status = 0;
      for (const char c : value) status = status * 10 + (c - '0');
    } else if (!name.starts_with(':')) {
      (answered ? trailers : headers).add(std::string(name), std::string(value));
    }
  }
  void headers_done() override {
    if (status < 200) {  // interim
      headers = {};
      return;
    }
    answered = true;
    changed_.notify();
  }
  void too_many_headers() override { connection->reset(*this, NGHTTP2_ENHANCE_YOUR_CALM); }
  void data(std::string_view bytes) override {
    body.append(bytes);
    changed_.notify();
  }
  void end() override {
    ended = true;
    changed_.notify();
  }
  void closed(uint32_t code) override {
    over = true;
    error = code;
    changed_.notify();
  }
  awaitable<void> wait() { co_await changed_.wait(); }

  int status = 0;
  Headers headers, trailers;
  std::string body;
  bool answered = false, ended = false, over = false;
  uint32_t error = 0;

 private:
  async::Event changed_;
};

std::unexpected<Error> lost(const ClientExchange& exchange) {
  return fail(Code::kUnavailable, "HTTP/2 stream ended before its answer: {}", nghttp2_http2_strerror(exchange.error));
}

class Http2ResponseStream final : public ResponseStream {
 public:
  Http2ResponseStream(std::shared_ptr<ClientSession> session, std::shared_ptr<ClientExchange> exchange)
      : session_(std::move(session)), exchange_(std::move(exchange)) {}
  ~Http2ResponseStream() override {
    if (!exchange_->connection) return;
    exchange_->connection->consume(*exchange_, exchange_->body.size());
    exchange_->connection->reset(*exchange_, NGHTTP2_CANCEL);
  }
  int status() const override { return exchange_->status; }
  const Headers& headers() const override { return exchange_->headers; }
  const Headers& trailers() const override { return exchange_->trailers; }
  awaitable<Result<std::string>> read() override {
    while (exchange_->body.empty() && !exchange_->ended && !exchange_->over) co_await exchange_->wait();
    if (exchange_->body.empty() && !exchange_->ended) co_return lost(*exchange_);
    std::string out = std::move(exchange_->body);
    exchange_->body.clear();
    if (exchange_->connection && !out.empty()) exchange_->connection->consume(*exchange_, out.size());
    co_return out;
  }

 private:
  std::shared_ptr<ClientSession> session_;  // kept alive by who still reads
  std::shared_ptr<ClientExchange> exchange_;
};

// Cancels the stream when the caller gives up before the answer.
struct CancelGuard {
  std::shared_ptr<ClientExchange> exchange;
  ~CancelGuard() {
    if (exchange && exchange->connection) exchange->connection->reset(*exchange, NGHTTP2_CANCEL);
  }
};

}  // namespace

class Http2Pool {
 public:
  explicit Http2Pool(std::shared_ptr<const ClientTarget> target)
      : session(std::make_shared<ClientSession>(target, target->options.tls == nullptr,
                                                std::min<Duration>(target->options.ping_interval, std::chrono::seconds(15)))) {}
  std::shared_ptr<ClientSession> session;
};

std::shared_ptr<Http2Pool> make_http2_pool(std::shared_ptr<const ClientTarget> target) {
  return std::make_shared<Http2Pool>(std::move(target));
}

awaitable<Result<std::unique_ptr<ResponseStream>>> http2_open(std::shared_ptr<Http2Pool> pool,
                                                              std::shared_ptr<Http1Pool> fallback, Request request) {
  auto session = pool->session;
  const auto& target = *session->target;
  const std::string authority = request.authority.empty() ? default_authority(target) : request.authority;
  if (!http1::is_token(request.method) || !request.target.starts_with('/'))
    co_return fail(Code::kBadRequest, "invalid method or target of a request");
  const auto body = std::make_shared<const std::string>(std::move(request.body));
  for (int attempt = 0;; ++attempt) {
    auto connection = co_await session->get();
    if (!connection) co_return fail(connection.error());
    if (!*connection) {
      if (session->other_protocol) fallback->adopt(std::move(session->other_protocol));
      request.body = *body;
      co_return co_await fallback->open(std::move(request));
    }
    auto exchange = std::make_shared<ClientExchange>(target.loop);
    const std::string length = std::to_string(body->size());
    h2::Fields fields;
    h2::add_field(fields, ":method", request.method);
    h2::add_field(fields, ":scheme", target.options.tls ? "https" : "http");
    h2::add_field(fields, ":authority", authority);
    h2::add_field(fields, ":path", request.target);
    h2::add_fields(fields, request.headers);
    if (!body->empty() && !request.headers.has("content-length")) h2::add_field(fields, "content-length", length);
    if (!(*connection)->request(exchange, fields, body->empty())) {
      if (attempt == 0) continue;
      co_return fail(Code::kUnavailable, "the HTTP/2 connection takes no more requests");
    }
    CancelGuard guard{exchange};
    if (!body->empty()) {
      (*connection)->push(*exchange, body);
      (*connection)->finish(*exchange);
    }
    connection->reset();
    while (!exchange->answered && !exchange->over) co_await exchange->wait();
    if (!exchange->answered) {
      // The server said that it did nothing with it (RFC 9113 8.7): ask again, once.
      if (exchange->error == NGHTTP2_REFUSED_STREAM && attempt == 0) continue;
      co_return lost(*exchange);
    }
    guard.exchange.reset();
    co_return std::make_unique<Http2ResponseStream>(session, std::move(exchange));
  }
}

}  // namespace rs::net
