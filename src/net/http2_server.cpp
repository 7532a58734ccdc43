#include "net/h2_server.h"
#include "net/http1.h"
#include "net/text.h"

namespace rs::net {
namespace {
using namespace std::chrono_literals;
constexpr Duration kStallLimit = 120s;       // a client that does not take what it asked for
constexpr Duration kCrowdedStallLimit = 5s;  // the same while all clients together have left very much
// Unread answers: of one connection, of all, and what one connection may have while all have too much.
constexpr size_t kUnsentOfOne = 16 << 20, kUnsentOfAll = 256 << 20, kUnsentOfOneInCrowd = 256 << 10;
constexpr Duration kPingWithoutStreams = 2h; // grpc-go's for connections without calls
constexpr int kPingStrikes = 2;
constexpr size_t kBodiesPerConnection = 16;  // times body_bytes, of all streams together

bool has_no_body(int status) { return status < 200 || status == 204 || status == 304; }

// A request for an HTTP handler, and what the handler answers with.
class HttpSink final : public ServerSink, public ResponseWriter, public std::enable_shared_from_this<HttpSink> {
 public:
  explicit HttpSink(std::shared_ptr<ServerExchange> exchange)
      : exchange_(std::move(exchange)), session_(exchange_->session), changed_(session_->core->loop) {
    head_ = exchange_->method == "HEAD";
  }

  // ---- the request ----
  void data(std::string_view bytes) override {
    exchange_->connection->consume(*exchange_, bytes.size());
    const size_t limit = session_->core->options.limits.body_bytes;
    if (started_) return;
    if (request_.body.size() + bytes.size() > limit)
      return refuse(413, fmt::format("the request body is larger than {} bytes", limit));
    if (session_->buffered + bytes.size() > kBodiesPerConnection * limit)
      return refuse(503, "too many large requests at once");
    session_->buffered += bytes.size();
    request_.body.append(bytes);
  }

  void end() override {
    if (started_) return;
    request_.method = std::move(exchange_->method);
    request_.scheme = session_->core->options.tls ? "https" : "http";
    request_.authority = exchange_->authority.empty() ? std::string(exchange_->headers.get("host"))
                                                      : std::move(exchange_->authority);
    request_.target = request_.method == "CONNECT" ? request_.authority : std::move(exchange_->path);
    request_.headers = std::move(exchange_->headers);
    request_.http_major = 2;
    request_.peer = session_->peer;
    request_.certificate = session_->certificate;
    session_->handler_began();
    handler_ = session_->core->tasks.spawn("request", handle(shared_from_this()));
  }

  void closed() override {
    gone_ = true;
    session_->buffered -= request_.body.size();
    handler_.cancel();
    changed_.notify();
  }
  void drained() override {
    if (waiting_) changed_.notify();
  }

  // ---- the answer ----
  awaitable<Result<void>> send(Response response) override {
    if (started_) co_return fail(Code::kInternalError, "a second answer to one request");
    if (gone_) co_return gone();
    const bool whole = head_ || has_no_body(response.status);
    const std::string length = length_of(response);
    const bool empty = whole || response.body.empty();
    finished_ = true;
    begin(response.status, response.headers, length, empty && response.trailers.empty());
    if (empty && response.trailers.empty()) co_return Result<void>{};
    if (!empty) exchange_->connection->push(*exchange_, std::make_shared<const std::string>(std::move(response.body)));
    exchange_->connection->finish(*exchange_, std::move(response.trailers));
    co_return Result<void>{};
  }

  awaitable<Result<void>> start(int status, Headers headers) override {
    if (started_) co_return fail(Code::kInternalError, "a second answer to one request");
    if (gone_) co_return gone();
    bodyless_ = head_ || has_no_body(status);
    begin(status, headers, std::string(headers.get("content-length")), bodyless_);
    co_return Result<void>{};
  }

  awaitable<Result<void>> write(std::shared_ptr<const std::string> bytes) override {
    if (!started_ || finished_) co_return fail(Code::kInternalError, "write outside of an answer");
    if (!gone_ && bodyless_) co_return Result<void>{};
    while (!gone_ && exchange_->unsent >= kBufferLimit) {
      waiting_ = true;
      co_await changed_.wait();
      waiting_ = false;
    }
    if (gone_) co_return gone();
    exchange_->connection->push(*exchange_, std::move(bytes));
    co_return Result<void>{};
  }

  awaitable<Result<void>> finish(Headers trailers) override {
    if (!started_ || finished_) co_return fail(Code::kInternalError, "finish outside of an answer");
    finished_ = true;
    if (gone_) co_return gone();
    if (!bodyless_) exchange_->connection->finish(*exchange_, std::move(trailers));
    co_return Result<void>{};
  }

  awaitable<Result<std::unique_ptr<Stream>>> upgrade(Headers) override {
    co_return fail(Code::kBadRequest, "HTTP/2 has no upgrade: use HTTP/1.1");
  }
  bool started() const override { return started_; }

 private:
  static std::unexpected<Error> gone() { return fail(Code::kUnavailable, "the client has gone"); }

  std::string length_of(const Response& response) const {
    if (has_no_body(response.status)) return {};
    const auto own = response.headers.get("content-length");
    return std::string(head_ && response.body.empty() && !own.empty() ? own : std::to_string(response.body.size()));
  }

  void begin(int status, const Headers& headers, const std::string& length, bool end) {
    started_ = true;
    const std::string code = std::to_string(status);
    h2::Fields fields;
    fields.reserve(headers.size() + 3);
    h2::add_field(fields, ":status", code);
    h2::add_fields(fields, headers);
    std::erase_if(fields, [](const nghttp2_nv& f) {
      return equal_ignoring_case({reinterpret_cast<const char*>(f.name), f.namelen}, "content-length");
    });
    if (!length.empty()) h2::add_field(fields, "content-length", length);
    if (!headers.has("date")) h2::add_field(fields, "date", session_->core->date());
    exchange_->connection->respond(*exchange_, fields, end);
  }

  void refuse(int status, std::string_view message) {
    started_ = finished_ = true;
    answer_now(*exchange_, session_->core->error(status, message));
  }

  awaitable<void> handle(std::shared_ptr<HttpSink> self) {
    struct Guard {
      HttpSink& s;
      bool complete = false;
      ~Guard() {
        if (!complete && !s.gone_) s.exchange_->connection->reset(*s.exchange_, NGHTTP2_INTERNAL_ERROR);
        s.session_->handler_ended();
      }
    } guard{*this};
    co_await session_->core->handler(request_, *this);
    if (!gone_ && !started_) (void)co_await send(session_->core->error(500, "the handler gave no answer"));
    if (!gone_ && !finished_) (void)co_await finish({});
    guard.complete = true;
  }

  std::shared_ptr<ServerExchange> exchange_;
  std::shared_ptr<ServerSession> session_;
  async::Event changed_;
  Request request_;
  async::TaskHandle handler_;
  bool head_ = false, started_ = false, finished_ = false, bodyless_ = false, gone_ = false, waiting_ = false;
};
}  // namespace

std::shared_ptr<ServerSink> make_http_sink(std::shared_ptr<ServerExchange> exchange) {
  return std::make_shared<HttpSink>(std::move(exchange));
}

void answer_now(ServerExchange& exchange, Response response) {
  if (!exchange.connection) return;
  const std::string code = std::to_string(response.status), length = std::to_string(response.body.size());
  h2::Fields fields;
  h2::add_field(fields, ":status", code);
  h2::add_fields(fields, response.headers);
  h2::add_field(fields, "content-length", length);
  h2::add_field(fields, "date", exchange.session->core->date());
  exchange.connection->respond(exchange, fields, response.body.empty());
  if (response.body.empty()) return;
  exchange.connection->push(exchange, std::make_shared<const std::string>(std::move(response.body)));
  exchange.connection->finish(exchange);
}

// ---- the exchange ----

void ServerExchange::header(std::string_view name, std::string_view value) {
  if (routed) return;  // trailers of a request have no reader
  if (!name.starts_with(':')) {
    // HTTP/2 may split cookies; users expect one (RFC 9113 8.2.3).
    if (name == "cookie" && headers.has("cookie")) {
      headers.set("cookie", std::string(headers.get("cookie")) + "; " + std::string(value));
    } else {
      headers.add(std::string(name), std::string(value));
    }
  } else if (name == ":method") {
    method = value;
  } else if (name == ":scheme") {
    scheme = value;
  } else if (name == ":authority") {
    authority = value;
  } else if (name == ":path") {
    path = value;
  }
}

void ServerExchange::headers_done() {
  if (routed) return;
  routed = true;
  started = connection->loop.now();
  auto self = std::static_pointer_cast<ServerExchange>(shared_from_this());
  if (session->core->grpc) sink = grpc::open_call(*session->core->grpc, self);
  if (sink || !connection) return;
  if (session->core->handler) {
    sink = make_http_sink(std::move(self));
  } else {
    answer_now(*this, session->core->error(415, "invalid gRPC request content-type"));
  }
}

void ServerExchange::too_many_headers() {
  routed = true;
  answer_now(*this, session->core->error(431, "the request header fields are too large"));
}

void ServerExchange::data(std::string_view bytes) {
  if (sink) sink->data(bytes);
  else connection->consume(*this, bytes.size());
}
void ServerExchange::end() {
  if (const auto keep = sink) keep->end();
}
void ServerExchange::closed(uint32_t) {
  if (const auto keep = std::move(sink)) keep->closed();
  sink.reset();
}
void ServerExchange::drained() {
  if (sink) sink->drained();
}

// ---- the session ----

ServerSession::ServerSession(std::shared_ptr<ServerCore> c, std::unique_ptr<Stream> stream, std::string bytes)
    : core(std::move(c)), first_bytes_(std::move(bytes)), changed_(core->loop) {
  peer = stream->peer();
  if (auto* shown = stream->peer_certificate()) certificate = std::make_shared<PeerCertificate>(*shown);
  const auto& limits = core->options.limits;
  connection = std::make_shared<h2::Connection>(
      core->loop, std::move(stream), this,
      h2::Settings{.server = true, .lenient = core->grpc != nullptr, .header_bytes = limits.header_bytes, .header_count = limits.header_count,
                   .concurrent_streams = limits.concurrent_streams, .resets_per_second = limits.client_resets_per_second,
                   .total_unsent = &core->unsent_bytes});
}

awaitable<void> ServerSession::run() {
  auto self = shared_from_this();
  struct Guard {
    h2::Connection& c;
    ~Guard() { c.forget_owner(); }
  } guard{*connection};
  core->tasks.spawn("http2 writer", connection->write_loop());
  co_await connection->read_loop(std::move(first_bytes_));
  while (handlers_ > 0) co_await changed_.wait();
}

void ServerSession::begin_shutdown() {
  connection->go_away(NGHTTP2_NO_ERROR, "the server is stopping");
  for (const auto& exchange : connection->open_exchanges()) {
    if (const auto sink = static_cast<ServerExchange&>(*exchange).sink) sink->stopping();
  }
}
void ServerSession::abort() { connection->close(); }

void ServerSession::handler_ended() {
  --handlers_;
  if (handlers_ == 0) changed_.notify();
}

std::shared_ptr<h2::Exchange> ServerSession::accept(int32_t) {
  // A client that resets its requests at once would otherwise have any number of handlers at work.
  if (core->stopping || handlers_ >= 2 * std::max<size_t>(core->options.limits.concurrent_streams, 16)) return nullptr;
  return std::make_shared<ServerExchange>(shared_from_this());
}

bool ServerSession::crowded() const {
  const size_t unsent = connection->unsent_bytes();
  return unsent >= kUnsentOfOne || (core->unsent_bytes >= kUnsentOfAll && unsent >= kUnsentOfOneInCrowd);
}

void ServerSession::written() {
  while (!parked_.empty() && !crowded()) {
    const auto exchange = std::move(parked_.front());
    parked_.pop_front();
    if (exchange->connection && exchange->sink) exchange->sink->resume();
  }
}

// grpc-go's enforcement policy (internal/transport/http2_server.go handlePing).
bool ServerSession::ping_allowed() {
  if (!core->grpc) return true;
  const MonoTime now = core->loop.now();
  const Duration least = connection->streams() == 0 ? kPingWithoutStreams : grpc::min_ping_interval(*core->grpc);
  if (connection->take_sent()) {
    ping_strikes_ = 0;
  } else if (last_ping_.since_epoch.count() != 0 && now - last_ping_ < least) {
    ++ping_strikes_;
  }
  last_ping_ = now;
  return ping_strikes_ <= kPingStrikes;
}

void ServerSession::sweep(MonoTime now) {
  const auto& limits = core->options.limits;
  const Duration silence = now - connection->last_read();
  if (connection->streams() == 0) {
    if (handlers_ == 0 && !core->grpc && silence >= limits.idle_timeout && connection->usable())
      connection->go_away(NGHTTP2_NO_ERROR, "idle");
    return;
  }
  const Duration stall_limit = core->unsent_bytes >= kUnsentOfAll ? kCrowdedStallLimit : kStallLimit;
  for (const auto& entry : connection->open_exchanges()) {
    auto& exchange = static_cast<ServerExchange&>(*entry);
    if (!exchange.connection) continue;
    const bool late = exchange.receiving && !(exchange.sink && exchange.sink->long_lived()) &&
                      now - exchange.started >= limits.body_timeout && exchange.started.since_epoch.count() != 0;
    if (late || (exchange.unsent > 0 && now - exchange.progress >= stall_limit))
      connection->reset(exchange, NGHTTP2_CANCEL);
  }
  if (limits.ping_after == Duration(0) || silence < limits.ping_after) {
    own_ping_ = {};
  } else if (own_ping_.since_epoch.count() == 0) {
    own_ping_ = now;
    connection->ping();
  } else if (limits.ping_timeout > Duration(0) && now - own_ping_ >= limits.ping_timeout) {
    connection->close();  // the client vanished without a word
  }
}

std::shared_ptr<ServerConnection> make_http2_connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Stream> stream,
                                                        std::string bytes) {
  return std::make_shared<ServerSession>(std::move(core), std::move(stream), std::move(bytes));
}

}  // namespace rs::net
