#include "net/grpc_message.h"
#include "net/h2_client.h"

namespace rs::net::grpc {
namespace {

constexpr size_t kUnreadBytes = 1 << 20;

// One call, of either kind, as its client sees it.
class ClientCall final : public h2::Exchange {
 public:
  ClientCall(async::Loop& loop, size_t limit) : reader_(limit), changed_(loop) {}

  void header(std::string_view name, std::string_view value) override {
    if (name == ":status") {
      http_status_ = 0;
      for (const char c : value) http_status_ = http_status_ * 10 + (c - '0');
    } else if (name == "grpc-status") {
      int code = 0;
      for (const char c : value) code = c >= '0' && c <= '9' && code < 1000 ? code * 10 + (c - '0') : 1000;
      status_ = Status{code <= 16 ? static_cast<StatusCode>(code) : StatusCode::kUnknown, std::move(text_)};
    } else if (name == "grpc-message") {
      (status_ ? status_->message : text_) = decode_message(value);
    }
  }
  void headers_done() override { changed_.notify(); }
  void too_many_headers() override { fail_with({StatusCode::kInternal, "the response header fields are too large"}); }
  void data(std::string_view bytes) override {
    if (http_status_ != 200) return connection->consume(*this, bytes.size());
    reader_.feed(bytes);
    if (unread_ < kUnreadBytes) connection->consume(*this, bytes.size());
    else unconsumed_ += bytes.size();
    Status error;
    while (auto message = reader_.next(error)) {
      unread_ += message->size();
      messages_.push_back(std::move(*message));
    }
    if (error.code != StatusCode::kOk) fail_with(std::move(error));
    changed_.notify();
  }
  void end() override {
    over_ = over_ || status_.has_value();  // the status ends the call, whether the client has ended its part or not
    changed_.notify();
  }
  void closed(uint32_t code) override {
    over_ = true;
    if (!status_ && !failure_) {
      if (http_status_ != 0 && http_status_ != 200) {
        failure_ = status_of_http(http_status_);
      } else if (code == NGHTTP2_NO_ERROR) {
        failure_ = Status{StatusCode::kInternal, "server closed the stream without sending trailers"};
      } else if (code == NGHTTP2_CANCEL) {
        failure_ = Status{StatusCode::kCancelled, "stream terminated by RST_STREAM with error code: CANCEL"};
      } else {
        refused = code == NGHTTP2_REFUSED_STREAM;
        failure_ = Status{StatusCode::kUnavailable,
                          fmt::format("the connection was lost within a call: {}", nghttp2_http2_strerror(code))};
      }
    }
    changed_.notify();
  }
  void drained() override {
    if (waiting_) changed_.notify();
  }

  // The next message; nothing: the call is over, see result().
  awaitable<std::optional<std::string>> next() {
    while (messages_.empty() && !over_) co_await changed_.wait();
    if (messages_.empty()) co_return std::nullopt;
    std::string message = std::move(messages_.front());
    messages_.pop_front();
    unread_ -= message.size();
    if (unconsumed_ > 0 && unread_ < kUnreadBytes && connection)
      connection->consume(*this, std::exchange(unconsumed_, 0));
    co_return message;
  }
  Status result() const {
    if (failure_) return *failure_;
    return status_ ? *status_ : Status{StatusCode::kUnknown, "the call is not over"};
  }
  bool over() const { return over_; }

  void send(std::string message) {
    std::string prefix;
    write_prefix(prefix, message.size());
    if (message.size() <= 4096) {
      connection->push(*this, std::make_shared<const std::string>(prefix + message));
    } else {
      connection->push(*this, std::make_shared<const std::string>(std::move(prefix)));
      connection->push(*this, std::make_shared<const std::string>(std::move(message)));
    }
  }
  awaitable<void> writable() {
    while (connection && unsent >= ResponseWriter::kBufferLimit) {
      waiting_ = true;
      co_await changed_.wait();
      waiting_ = false;
    }
  }

  bool refused = false;  // the server did nothing with it

 private:
  void fail_with(Status status) {
    if (failure_) return;
    failure_ = std::move(status);
    connection->reset(*this, NGHTTP2_CANCEL);
  }
  int http_status_ = 0;
  MessageReader reader_;
  async::Event changed_;
  std::deque<std::string> messages_;
  size_t unread_ = 0, unconsumed_ = 0;
  std::optional<Status> status_, failure_;
  std::string text_;
  bool over_ = false, waiting_ = false;
};

struct CancelGuard {
  std::shared_ptr<ClientCall> call;
  ~CancelGuard() {
    if (call && call->connection) call->connection->reset(*call, NGHTTP2_CANCEL);
  }
};

std::unexpected<Error> to_error(const Status& status) { return fail(code_of(status.code), "{}", status.message); }

awaitable<Result<std::shared_ptr<ClientCall>>> begin(std::shared_ptr<ClientSession> session, std::string path,
                                                     Headers metadata, std::string timeout, size_t limit) {
  const auto& target = *session->target;
  const std::string authority = default_authority(target);
  h2::Fields fields;
  h2::add_field(fields, ":method", "POST");
  h2::add_field(fields, ":scheme", target.options.tls ? "https" : "http");
  h2::add_field(fields, ":authority", authority);
  h2::add_field(fields, ":path", path);
  h2::add_field(fields, "content-type", "application/grpc");
  h2::add_field(fields, "te", "trailers");
  if (!timeout.empty()) h2::add_field(fields, "grpc-timeout", timeout);
  h2::add_fields(fields, metadata);
  for (int attempt = 0;; ++attempt) {
    auto connection = co_await session->get();
    if (!connection) co_return fail(Code::kUnavailable, "{}", connection.error().message);
    auto call = std::make_shared<ClientCall>(target.loop, limit);
    if ((*connection)->request(call, fields, false)) co_return call;
    if (attempt > 0) co_return fail(Code::kUnavailable, "the HTTP/2 connection takes no more calls");
  }
}

awaitable<Result<std::string>> call_once(std::shared_ptr<ClientSession> session, std::string path, std::string message,
                                         Headers metadata, std::string timeout, size_t limit, Status* status) {
  for (int attempt = 0;; ++attempt) {
    auto call = co_await begin(session, path, metadata, timeout, limit);
    if (!call) {
      if (status) *status = {StatusCode::kUnavailable, call.error().message};
      co_return fail(call.error());
    }
    const CancelGuard guard{*call};
    (*call)->send(attempt == 0 ? message : std::move(message));
    (*call)->connection->finish(**call);
    std::optional<std::string> answer;
    size_t count = 0;
    while (auto next = co_await (*call)->next()) {
      ++count;
      answer = std::move(next);
    }
    if ((*call)->refused && attempt == 0) continue;
    Status result = (*call)->result();
    if (result.code == StatusCode::kOk && count != 1)
      result = {StatusCode::kInternal, fmt::format("a unary call was answered with {} messages", count)};
    if (status) *status = result;
    if (result.code != StatusCode::kOk) co_return to_error(result);
    co_return std::move(*answer);
  }
}

class OpenStream final : public ClientStream {
 public:
  OpenStream(std::shared_ptr<ClientSession> session, std::shared_ptr<ClientCall> call)
      : session_(std::move(session)), call_(std::move(call)) {}
  ~OpenStream() override {
    if (call_->connection) call_->connection->reset(*call_, NGHTTP2_CANCEL);
  }
  awaitable<Result<void>> write(std::string message) override {
    co_await call_->writable();
    if (!call_->connection) co_return ended();
    if (done_) co_return fail(Code::kInternalError, "write after writes_done");
    call_->send(std::move(message));
    co_return Result<void>{};
  }
  awaitable<Result<void>> writes_done() override {
    if (!call_->connection) co_return ended();
    if (!std::exchange(done_, true)) call_->connection->finish(*call_);
    co_return Result<void>{};
  }
  awaitable<Result<std::optional<std::string>>> read() override {
    auto message = co_await call_->next();
    if (message) co_return std::move(message);
    const Status status = call_->result();
    if (status.code == StatusCode::kOk) co_return std::optional<std::string>();
    co_return to_error(status);
  }

 private:
  std::unexpected<Error> ended() const {
    const Status status = call_->result();
    return status.code == StatusCode::kOk ? fail(Code::kUnavailable, "the call is over") : to_error(status);
  }
  std::shared_ptr<ClientSession> session_;
  std::shared_ptr<ClientCall> call_;
  bool done_ = false;
};

}  // namespace

struct Client::Impl {
  std::shared_ptr<ClientSession> session;
  size_t message_bytes = 0;
};

Client::Client(async::Loop& loop, Network& network, Address address, ClientOptions options) : impl_(new Impl) {
  HttpClientOptions http;
  http.tls = options.tls;
  http.http2 = true;
  http.connect_timeout = options.connect_timeout;
  http.ping_interval = options.ping_interval;
  impl_->session = std::make_shared<ClientSession>(
      std::make_shared<const ClientTarget>(ClientTarget{loop, network, std::move(address), std::move(http)}), true,
      options.ping_timeout);
  impl_->message_bytes = options.message_bytes;
}
Client::~Client() = default;

awaitable<Result<std::string>> Client::call(std::string path, std::string message, Headers metadata, Duration timeout,
                                            Status* status) {
  const std::string what = path;
  auto result = co_await async::with_timeout(
      impl_->session->target->loop, timeout, what,
      call_once(impl_->session, std::move(path), std::move(message), std::move(metadata), write_timeout(timeout),
                impl_->message_bytes, status));
  if (!result && result.error().code == Code::kTimeout && status)
    *status = {StatusCode::kDeadlineExceeded, "context deadline exceeded"};
  co_return result;
}

awaitable<Result<std::unique_ptr<ClientStream>>> Client::open(std::string path, Headers metadata) {
  auto session = impl_->session;
  auto call = co_await begin(session, std::move(path), std::move(metadata), {}, impl_->message_bytes);
  if (!call) co_return fail(call.error());
  co_return std::make_unique<OpenStream>(std::move(session), std::move(*call));
}

}  // namespace rs::net::grpc
