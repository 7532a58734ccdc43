#include "base/assert.h"
#include "net/grpc_message.h"
#include "net/h2_server.h"
#include "net/text.h"

namespace rs::net::grpc {

class Routes {
 public:
  explicit Routes(ServerOptions o) : options(std::move(o)) {}
  ServerOptions options;
  template <class Handler>
  struct Method {
    Handler handler;
    CallCounts* counts;
  };
  std::unordered_map<std::string, Method<UnaryHandler>> unary;
  std::unordered_map<std::string, Method<StreamHandler>> streaming;
  CallCounts uncounted;  // of methods whose calls nobody asks about
  std::unordered_set<std::string> services;
};

namespace {

constexpr size_t kStatusMessageBytes = 4 << 10;      // percent-encoded it is three times that: clients refuse 16 KiB
constexpr uint64_t kResetsPerSecond = 2000;          // of fresh streams: a client whose calls time out resets them all
constexpr size_t kUnreadBytes = 256 << 10;           // of messages a stream's handler has not read: then the client waits
constexpr size_t kBufferedBytesMax = 256ull << 20;   // of unary requests under way on one connection

nghttp2_nv constant(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

const h2::Fields& response_fields() {
  static const h2::Fields fields = {constant(":status", "200"), constant("content-type", "application/grpc")};
  return fields;
}

Headers status_trailers(const Status& status) {
  Headers out{{"grpc-status", std::to_string(static_cast<int>(status.code))}};
  if (!status.message.empty()) out.add("grpc-message", encode_message(std::string_view(status.message).substr(0, kStatusMessageBytes)));
  return out;
}

// Ends a call that has sent nothing yet: headers only ("Trailers-Only").
void end_without_message(ServerExchange& exchange, const Status& status) {
  if (!exchange.connection) return;
  const Headers trailers = status_trailers(status);
  h2::Fields fields = response_fields();
  for (const auto& [name, value] : trailers) h2::add_field(fields, name, value);
  exchange.connection->respond(exchange, fields, true);
}

void count_end(CallCounts& counts, StatusCode code, const ServerExchange& exchange) {
  ++counts.handled[std::min(static_cast<size_t>(code), counts.handled.size() - 1)];
  if (counts.durations) counts.durations->add(exchange.session->core->loop.now() - exchange.started);
}

void count_received(CallCounts& counts, size_t bytes) {
  ++counts.messages_received;
  counts.bytes_received += bytes;
}

void count_sent(CallCounts& counts, size_t bytes) {
  ++counts.messages_sent;
  counts.bytes_sent += bytes;
}

// One unary call. Lives from its headers to its answer; the answer may come from anywhere on the loop, later.
class UnaryCall final : public ServerSink {
 public:
  UnaryCall(std::shared_ptr<ServerExchange> exchange, const Routes::Method<UnaryHandler>& method, CallInfo info,
            size_t limit)
      : exchange_(std::move(exchange)), method_(method), info_(std::move(info)), reader_(limit) {}

  void data(std::string_view bytes) override;
  void end() override;
  void closed() override {
    auto& buffered = exchange_->session->buffered;
    buffered -= std::min(buffered, received_);
    if (called_) answered(StatusCode::kCancelled);  // unless it was before
    if (on_drained) on_drained();
  }
  void drained() override {
    if (on_drained) on_drained();
  }
  void answered(StatusCode code) {
    if (!std::exchange(answered_, true)) count_end(*method_.counts, code, *exchange_);
  }
  void answered_with(size_t message_bytes) {
    answered(StatusCode::kOk);
    count_sent(*method_.counts, message_bytes);
  }
  void resume() override { call(); }
  std::function<void()> on_drained;

 private:
  void call();
  void fail_now(const Status& status) {
    done_ = true;
    end_without_message(*exchange_, status);
  }
  std::shared_ptr<ServerExchange> exchange_;
  const Routes::Method<UnaryHandler>& method_;
  CallInfo info_;
  MessageReader reader_;
  std::optional<std::string> message_;
  size_t received_ = 0;
  bool done_ = false, called_ = false, answered_ = false;
};

class Responder final : public UnaryResponder {
 public:
  explicit Responder(std::shared_ptr<ServerExchange> exchange) : exchange_(std::move(exchange)) {}
  ~Responder() override {
    if (!exchange_ || !exchange_->connection) return;
    if (awaited_ > 0) {
      on_drained({});
      exchange_->connection->reset(*exchange_, NGHTTP2_INTERNAL_ERROR);
    } else {
      if (UnaryCall* call = call_of(*exchange_)) call->answered(StatusCode::kInternal);
      end_without_message(*exchange_, {StatusCode::kInternal, "the handler gave no answer"});
    }
  }
  void reply(std::string message) override {
    const auto exchange = std::move(exchange_);
    if (!exchange || !exchange->connection) return;
    auto& connection = *exchange->connection;
    if (UnaryCall* call = call_of(*exchange)) call->answered_with(message.size());
    connection.respond(*exchange, response_fields(), false);
    std::string framed;
    framed.reserve(kPrefixBytes + (message.size() <= 4096 ? message.size() : 0));
    write_prefix(framed, message.size());
    if (message.size() <= 4096) {
      framed += message;
      connection.push(*exchange, std::make_shared<const std::string>(std::move(framed)));
    } else {
      connection.push(*exchange, std::make_shared<const std::string>(std::move(framed)));
      connection.push(*exchange, std::make_shared<const std::string>(std::move(message)));
    }
    connection.finish(*exchange, {{"grpc-status", "0"}});
  }
  void fail(Status status) override {
    const auto exchange = std::move(exchange_);
    if (!exchange || !exchange->connection) return;
    if (UnaryCall* call = call_of(*exchange)) call->answered(status.code);
    end_without_message(*exchange, status);
  }
  bool cancelled() const override { return !exchange_ || !exchange_->connection; }

  void begin(size_t message_bytes) override {
    if (cancelled()) return;
    auto& connection = *exchange_->connection;
    connection.respond(*exchange_, response_fields(), false);
    std::string prefix;
    write_prefix(prefix, message_bytes);
    connection.push(*exchange_, std::make_shared<const std::string>(std::move(prefix)));
    awaited_ = message_bytes_ = message_bytes;
  }
  void piece(std::string bytes) override {
    if (cancelled()) return;
    ASSERT(bytes.size() <= awaited_, "a message may not be longer than was said");
    awaited_ -= bytes.size();
    auto& connection = *exchange_->connection;
    connection.push(*exchange_, std::make_shared<const std::string>(std::move(bytes)));
    if (awaited_ > 0) return;
    if (UnaryCall* call = call_of(*exchange_)) call->answered_with(message_bytes_);
    on_drained({});
    connection.finish(*exchange_, {{"grpc-status", "0"}});
    exchange_.reset();
  }
  size_t unsent_bytes() const override { return exchange_ ? exchange_->unsent : 0; }
  void on_drained(std::function<void()> callback) override {
    UnaryCall* call = exchange_ ? call_of(*exchange_) : nullptr;
    if (call != nullptr) call->on_drained = std::move(callback);
  }

 private:
  // The sink of an exchange that has a responder is its call; null once the exchange is over.
  static UnaryCall* call_of(ServerExchange& exchange) { return static_cast<UnaryCall*>(exchange.sink.get()); }
  std::shared_ptr<ServerExchange> exchange_;
  size_t awaited_ = 0, message_bytes_ = 0;  // of a message in pieces
};

void UnaryCall::data(std::string_view bytes) {
  exchange_->connection->consume(*exchange_, bytes.size());
  if (done_) return;
  received_ += bytes.size();
  exchange_->session->buffered += bytes.size();
  if (exchange_->session->buffered > kBufferedBytesMax)
    return fail_now({StatusCode::kResourceExhausted, "too many large requests at once"});
  reader_.feed(bytes);
  // Too large a message is refused before it has arrived.
  Status error;
  if (!message_) message_ = reader_.next(error);
  if (error.code != StatusCode::kOk) fail_now(error);
  else if (message_ && !reader_.empty()) fail_now({StatusCode::kInternal, "more than one message in a unary call"});
}

void UnaryCall::end() {
  if (done_) return;
  done_ = true;
  if (!message_ || !reader_.empty())
    return end_without_message(*exchange_, {StatusCode::kInternal, "a unary call needs exactly one message"});
  if (exchange_->session->crowded()) return exchange_->session->park(exchange_);
  call();
}

void UnaryCall::call() {
  const std::string message = std::move(*message_);
  called_ = true;
  ++method_.counts->started;
  count_received(*method_.counts, message.size());
  method_.handler(info_, message, std::make_unique<Responder>(exchange_));
}

// One streaming call: its handler is a task.
class StreamCall final : public ServerSink, public ServerStream, public std::enable_shared_from_this<StreamCall> {
 public:
  StreamCall(std::shared_ptr<ServerExchange> exchange, const Routes::Method<StreamHandler>& method, CallInfo info,
             size_t limit)
      : exchange_(std::move(exchange)), session_(exchange_->session), method_(method), info_(std::move(info)),
        reader_(limit), changed_(session_->core->loop) {}

  void start() {
    session_->handler_began();
    ++method_.counts->started;
    task_ = session_->core->tasks.spawn("grpc stream", run(shared_from_this()));
  }

  // ---- ServerSink ----
  void data(std::string_view bytes) override {
    // Nothing can be read after a broken message.
    if (error_.code != StatusCode::kOk || finished_) return exchange_->connection->consume(*exchange_, bytes.size());
    reader_.feed(bytes);
    // A partial message is always let in; whole ones wait for their reader.
    if (unread_ < kUnreadBytes) exchange_->connection->consume(*exchange_, bytes.size());
    else unconsumed_ += bytes.size();
    while (error_.code == StatusCode::kOk) {
      auto message = reader_.next(error_);
      if (!message) break;
      unread_ += message->size() + kPrefixBytes;
      messages_.push_back(std::move(*message));
    }
    changed_.notify();
  }
  void end() override {
    ended_ = true;
    changed_.notify();
  }
  void closed() override {
    gone_ = true;
    task_.cancel();
    changed_.notify();
  }
  void drained() override {
    if (waiting_) changed_.notify();
  }
  bool long_lived() const override { return true; }
  void stopping() override { changed_.notify(); }

  // ---- ServerStream ----
  const CallInfo& info() const override { return info_; }
  size_t unsent_bytes() const override { return exchange_->unsent; }

  awaitable<Result<std::optional<std::string>>> read() override {
    while (messages_.empty() && !ended_ && !gone_ && error_.code == StatusCode::kOk) {
      if (session_->core->stopping) error_ = session_->core->grpc->options.stopped;
      else co_await changed_.wait();
    }
    if (!messages_.empty()) {
      std::string message = std::move(messages_.front());
      messages_.pop_front();
      unread_ -= message.size() + kPrefixBytes;
      count_received(*method_.counts, message.size());
      if (unconsumed_ > 0 && unread_ < kUnreadBytes && !gone_)
        exchange_->connection->consume(*exchange_, std::exchange(unconsumed_, 0));
      co_return std::optional<std::string>(std::move(message));
    }
    if (error_.code != StatusCode::kOk) co_return fail(code_of(error_.code), "{}", error_.message);
    if (gone_) co_return fail(Code::kUnavailable, "the client has gone");
    if (!reader_.empty()) co_return fail(Code::kInternalError, "unexpected EOF");
    co_return std::optional<std::string>();
  }

  awaitable<Result<void>> write(std::shared_ptr<const std::string> message) override {
    std::string prefix;
    write_prefix(prefix, message->size());
    auto begun = co_await send(std::make_shared<const std::string>(std::move(prefix)));
    if (begun) count_sent(*method_.counts, message->size());
    // The prefix is on its way: its message follows whatever the room.
    if (begun && !message->empty()) exchange_->connection->push(*exchange_, std::move(message));
    co_return begun;
  }

  awaitable<Result<void>> write_framed(std::shared_ptr<const std::string> bytes, size_t messages) override {
    method_.counts->messages_sent += messages;
    method_.counts->bytes_sent += bytes->size() - messages * kPrefixBytes;
    return send(std::move(bytes));
  }

 private:
  awaitable<Result<void>> send(std::shared_ptr<const std::string> bytes) {
    while (!gone_ && exchange_->unsent >= ResponseWriter::kBufferLimit) {
      waiting_ = true;
      co_await changed_.wait();
      waiting_ = false;
    }
    if (gone_) co_return fail(Code::kUnavailable, "the client has gone");
    if (!std::exchange(began_, true)) exchange_->connection->respond(*exchange_, response_fields(), false);
    exchange_->connection->push(*exchange_, std::move(bytes));
    co_return Result<void>{};
  }

  awaitable<Result<Status>> call() { co_return co_await method_.handler(*this); }

  awaitable<void> run(std::shared_ptr<StreamCall> self) {
    struct Guard {
      StreamCall& s;
      ~Guard() {
        if (!s.finished_) count_end(*s.method_.counts, StatusCode::kCancelled, *s.exchange_);
        if (!s.gone_ && !s.finished_) s.exchange_->connection->reset(*s.exchange_, NGHTTP2_CANCEL);
        s.session_->handler_ended();
      }
    } guard{*this};
    Status status;
    if (info_.deadline) {
      auto& loop = session_->core->loop;
      auto result = co_await async::with_timeout(loop, std::max<Duration>(*info_.deadline - loop.now(), Duration(1)),
                                                 "call", call());
      status = result ? *result : Status{StatusCode::kDeadlineExceeded, "context deadline exceeded"};
    } else {
      status = co_await method_.handler(*this);
    }
    if (error_.code != StatusCode::kOk) status = error_;
    finish(status);
  }

  void finish(const Status& status) {
    finished_ = true;
    count_end(*method_.counts, status.code, *exchange_);
    if (gone_) return;
    if (!began_) return end_without_message(*exchange_, status);
    exchange_->connection->finish(*exchange_, status_trailers(status));
  }

  std::shared_ptr<ServerExchange> exchange_;
  std::shared_ptr<ServerSession> session_;
  const Routes::Method<StreamHandler>& method_;
  CallInfo info_;
  MessageReader reader_;
  async::Event changed_;
  async::TaskHandle task_;
  std::deque<std::string> messages_;
  size_t unread_ = 0, unconsumed_ = 0;
  Status error_;
  bool began_ = false, finished_ = false, ended_ = false, gone_ = false, waiting_ = false;
};

Status unknown_method(const Routes& routes, std::string_view path) {
  const size_t slash = path.rfind('/');
  if (!path.starts_with('/') || slash == 0)
    return {StatusCode::kUnimplemented, fmt::format("malformed method name: \"{}\"", path)};
  const std::string service(path.substr(1, slash - 1));
  if (!routes.services.contains(service)) return {StatusCode::kUnimplemented, "unknown service " + service};
  return {StatusCode::kUnimplemented, fmt::format("unknown method {} for service {}", path.substr(slash + 1), service)};
}

bool is_grpc(const ServerExchange& exchange) {
  const auto type = exchange.headers.get("content-type");
  constexpr std::string_view kType = "application/grpc";
  return exchange.method == "POST" && type.starts_with(kType) &&
         (type.size() == kType.size() || type[kType.size()] == '+' || type[kType.size()] == ';');
}

// Takes what a request that cannot be served still sends.
class Discard final : public ServerSink {
 public:
  explicit Discard(std::shared_ptr<ServerExchange> exchange) : exchange_(std::move(exchange)) {}
  void data(std::string_view bytes) override { exchange_->connection->consume(*exchange_, bytes.size()); }
  void end() override {}
  void closed() override {}

 private:
  std::shared_ptr<ServerExchange> exchange_;
};

}  // namespace

void CallDurations::add(Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  ++counts[size_t(std::ranges::lower_bound(kSeconds, seconds) - kSeconds.begin())];
  total_seconds += seconds;
}

void append_prefix(std::string& out, size_t message_bytes) { write_prefix(out, message_bytes); }

awaitable<Result<void>> ServerStream::write_framed(std::shared_ptr<const std::string> bytes, size_t) {
  cut_.append(*bytes);
  MessageReader reader(SIZE_MAX);
  reader.feed(cut_);
  Status error;
  while (auto message = reader.next(error)) {
    cut_.erase(0, kPrefixBytes + message->size());
    auto written = co_await write(std::make_shared<const std::string>(std::move(*message)));
    if (!written) co_return written;
  }
  co_return Result<void>{};
}

void UnaryResponder::begin(size_t message_bytes) {
  gather_bytes_ = message_bytes;
  gathered_.reserve(message_bytes);
}

void UnaryResponder::piece(std::string bytes) {
  gathered_.append(bytes);
  if (gathered_.size() >= gather_bytes_) reply(std::move(gathered_));
}

Duration min_ping_interval(const Routes& routes) { return routes.options.min_ping_interval; }

std::shared_ptr<ServerSink> open_call(const Routes& routes, std::shared_ptr<ServerExchange> exchange) {
  if (!is_grpc(*exchange)) return nullptr;
  auto refuse = [&](const Status& status) {
    end_without_message(*exchange, status);
    return std::make_shared<Discard>(exchange);
  };
  const auto encoding = exchange->headers.get("grpc-encoding");
  if (!encoding.empty() && encoding != "identity")
    return refuse({StatusCode::kUnimplemented,
                   fmt::format("grpc: Decompressor is not installed for grpc-encoding \"{}\"", encoding)});
  CallInfo info;
  info.peer = exchange->session->peer;
  info.certificate = exchange->session->certificate;
  if (const auto timeout = exchange->headers.get("grpc-timeout"); !timeout.empty()) {
    const auto parsed = parse_timeout(timeout);
    if (!parsed)
      return refuse({StatusCode::kInternal, fmt::format("malformed grpc-timeout: \"{}\"", timeout)});
    info.deadline = exchange->session->core->loop.now() + *parsed;
  }
  info.metadata = std::move(exchange->headers);
  const auto& admit = routes.options.admit;
  const size_t limit = routes.options.message_bytes;
  if (const auto unary = routes.unary.find(exchange->path); unary != routes.unary.end()) {
    if (auto refused = admit ? admit(info.metadata, false) : std::nullopt) return refuse(*refused);
    return std::make_shared<UnaryCall>(std::move(exchange), unary->second, std::move(info), limit);
  }
  if (const auto streaming = routes.streaming.find(exchange->path); streaming != routes.streaming.end()) {
    if (auto refused = admit ? admit(info.metadata, true) : std::nullopt) return refuse(*refused);
    auto call = std::make_shared<StreamCall>(std::move(exchange), streaming->second, std::move(info), limit);
    call->start();
    return call;
  }
  return refuse(unknown_method(routes, exchange->path));
}

struct Server::Impl {
  Routes routes;
  std::shared_ptr<ServerCore> core;

  Impl(async::Loop& loop, ServerOptions options) : routes(std::move(options)) {
    HttpServerOptions http;
    http.name = "grpc";
    http.tls = routes.options.tls;
    http.tls_source = routes.options.tls_source;
    http.limits = routes.options.limits;
    http.limits.concurrent_streams = routes.options.concurrent_streams;
    http.limits.client_resets_per_second = std::max(http.limits.client_resets_per_second, kResetsPerSecond);
    core = std::make_shared<ServerCore>(loop, std::move(http), routes.options.http_handler);
    core->grpc = &routes;
  }
  void add_service(std::string_view path) {
    const size_t slash = path.rfind('/');
    if (path.starts_with('/') && slash > 0) routes.services.emplace(path.substr(1, slash - 1));
  }
};

Server::Server(async::Loop& loop, ServerOptions options) : impl_(new Impl(loop, std::move(options))) {}
Server::~Server() = default;

void Server::unary(std::string path, UnaryHandler handler, CallCounts* counts) {
  impl_->add_service(path);
  impl_->routes.unary[std::move(path)] = {std::move(handler), counts ? counts : &impl_->routes.uncounted};
}

void Server::streaming(std::string path, StreamHandler handler, CallCounts* counts) {
  impl_->add_service(path);
  impl_->routes.streaming[std::move(path)] = {std::move(handler), counts ? counts : &impl_->routes.uncounted};
}

void Server::serve(std::unique_ptr<Listener> listener) { impl_->core->serve(std::move(listener)); }
awaitable<void> Server::stop(Duration grace) { co_await impl_->core->stop(grace); }

}  // namespace rs::net::grpc
