// The server's side of one HTTP/1.1 connection. A reader coroutine lives as long as the connection: it parses requests,
// and while a handler runs it sees the client go away. Handlers run one at a time, each in a task of its own, and write
// to the stream themselves.
#include "net/http1.h"
#include "net/server_core.h"
#include "net/text.h"

namespace rs::net {
namespace {
using namespace std::chrono_literals;
constexpr size_t kPipelineBytes = 64 << 10;  // held of requests that wait for their turn
constexpr size_t kReadBytesMin = 1 << 10, kReadBytesMax = 64 << 10;
constexpr Duration kLinger = 1s;             // for the client to read the last answer before the socket closes

class Http1Connection;

class Http1Writer final : public ResponseWriter {
 public:
  explicit Http1Writer(Http1Connection& connection) : connection_(connection) {}
  void reset(bool head, int minor, bool keep);
  awaitable<Result<void>> send(Response response) override;
  awaitable<Result<void>> start(int status, Headers headers) override;
  awaitable<Result<void>> write(std::shared_ptr<const std::string> bytes) override;
  awaitable<Result<void>> finish(Headers trailers) override;
  awaitable<Result<std::unique_ptr<Stream>>> upgrade(Headers headers) override;
  bool started() const override { return started_; }
  bool finished() const { return finished_; }
  bool keep() const { return keep_; }

 private:
  void begin_head(std::string& out, int status, const Headers& headers);
  awaitable<Result<void>> put(std::span<const asio::const_buffer> buffers);
  Http1Connection& connection_;
  bool head_ = false, keep_ = true, started_ = false, finished_ = false, chunked_ = false, bodyless_ = false;
  int minor_ = 1;
  std::optional<uint64_t> announced_;  // bytes still owed of the handler's own Content-Length
};

class Http1Connection final : public ServerConnection, public std::enable_shared_from_this<Http1Connection> {
 public:
  Http1Connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Stream> stream, std::string bytes)
      : core_(std::move(core)), stream_(std::move(stream)), in_(std::move(bytes)), changed_(core_->loop), writer_(*this) {
    deadline_ = core_->loop.now() + core_->options.limits.header_timeout;
    if (auto* certificate = stream_->peer_certificate()) certificate_ = std::make_shared<PeerCertificate>(*certificate);
  }
  awaitable<void> run() override;
  void begin_shutdown() override;
  void sweep(MonoTime now) override;
  void abort() override;

 private:
  friend class Http1Writer;
  friend class UpgradedStream;
  void advance();
  bool begin_request();
  bool take_body();
  void start_handler();
  void refuse(int status, std::string_view message);
  awaitable<void> settle();
  awaitable<void> close_politely();
  awaitable<void> send_error_and_close(std::shared_ptr<Http1Connection> self);
  awaitable<void> handle(std::shared_ptr<Http1Connection> self);
  bool received(std::string_view bytes);

  std::shared_ptr<ServerCore> core_;
  std::unique_ptr<Stream> stream_;
  std::string in_;                       // received, not yet taken
  async::Event changed_;
  Http1Writer writer_;
  std::shared_ptr<const PeerCertificate> certificate_;
  http1::RequestHead head_;
  http1::Framing framing_;
  std::optional<http1::ChunkedDecoder> decoder_;
  Request request_;
  async::TaskHandle handler_;
  std::optional<Response> error_;        // to be sent by settle()
  MonoTime deadline_;
  bool in_body_ = false, active_ = false, closing_ = false, draining_ = false, gone_ = false, reading_ = false;
  bool upgraded_ = false, eof_ = false, send_continue_ = false, idle_ = false,
       handed_over_ = false;
};

// What a handler gets for "101 Switching Protocols". Bytes that the reader had already taken come first.
class UpgradedStream final : public Stream {
 public:
  explicit UpgradedStream(std::shared_ptr<Http1Connection> connection) : c_(std::move(connection)) {
    c_->handed_over_ = true;
  }
  ~UpgradedStream() override {
    close();
    c_->handed_over_ = false;
    c_->changed_.notify();
  }
  awaitable<Result<size_t>> read(asio::mutable_buffer buffer) override {
    while (c_->in_.empty() && c_->reading_) co_await c_->changed_.wait();
    if (!c_->in_.empty()) {
      const size_t count = std::min(buffer.size(), c_->in_.size());
      std::memcpy(buffer.data(), c_->in_.data(), count);
      c_->in_.erase(0, count);
      co_return count;
    }
    if (c_->eof_) co_return size_t{0};
    co_return co_await c_->stream_->read(buffer);
  }
  awaitable<Result<void>> write(std::span<const asio::const_buffer> buffers) override {
    co_return co_await c_->stream_->write(buffers);
  }
  awaitable<Result<void>> shutdown_write() override { co_return co_await c_->stream_->shutdown_write(); }
  void close() override { c_->stream_->close(); }
  Address local() const override { return c_->stream_->local(); }
  Address peer() const override { return c_->stream_->peer(); }
  const PeerCertificate* peer_certificate() const override { return c_->certificate_.get(); }

 private:
  std::shared_ptr<Http1Connection> c_;
};

// ---- requests ----

// Starts what can be started with the bytes received. Never waits; what must be written is left to settle().
void Http1Connection::advance() {
  const auto& limits = core_->options.limits;
  while (!active_ && !closing_) {
    if (!in_body_) {
      auto size = http1::parse_request_head(in_, {limits.header_bytes, limits.header_count}, head_);
      if (!size) return refuse(http1::status_of(size.error()), size.error().message);
      if (*size == 0) {
        if (idle_ && !in_.empty()) {
          idle_ = false;
          deadline_ = core_->loop.now() + limits.header_timeout;
        }
        return;
      }
      in_.erase(0, *size);
      if (!begin_request()) return;
    }
    if (!take_body()) return;
    start_handler();
  }
}

bool Http1Connection::begin_request() {
  const auto& limits = core_->options.limits;
  request_ = {};
  auto normal = http1::normalize_target(head_, request_.authority);
  auto framing = http1::request_framing(head_);
  if (!normal || !framing) {
    refuse(400, normal ? framing.error().message : normal.error().message);
    return false;
  }
  framing_ = *framing;
  if (framing_.kind == http1::Framing::Kind::kLength && framing_.length > limits.body_bytes) {
    refuse(413, fmt::format("the request body is larger than {} bytes", limits.body_bytes));
    return false;
  }
  const auto expect = head_.headers.get("expect");
  if (!expect.empty() && !equal_ignoring_case(expect, "100-continue")) {
    refuse(417, "unsupported expectation");
    return false;
  }
  const bool has_body = framing_.kind == http1::Framing::Kind::kChunked || framing_.length > 0;
  send_continue_ = !expect.empty() && head_.minor >= 1 && has_body && in_.empty();
  if (framing_.kind == http1::Framing::Kind::kChunked)
    decoder_.emplace(http1::Limits{limits.header_bytes, limits.header_count});
  request_.scheme = core_->options.tls ? "https" : "http";
  request_.peer = stream_->peer();
  request_.certificate = certificate_;
  in_body_ = true;
  deadline_ = core_->loop.now() + limits.body_timeout;
  return true;
}

// Moves received bytes to the body; true once it is complete.
bool Http1Connection::take_body() {
  const size_t limit = core_->options.limits.body_bytes;
  if (framing_.kind == http1::Framing::Kind::kLength) {
    const size_t wanted = static_cast<size_t>(framing_.length) - request_.body.size();
    const size_t count = std::min(wanted, in_.size());
    request_.body.append(in_, 0, count);
    in_.erase(0, count);
    return count == wanted;
  }
  if (framing_.kind == http1::Framing::Kind::kChunked) {
    auto taken = decoder_->feed(in_, request_.body);
    if (!taken) {
      refuse(400, taken.error().message);
      return false;
    }
    in_.erase(0, *taken);
    if (request_.body.size() > limit) {
      refuse(413, fmt::format("the request body is larger than {} bytes", limit));
      return false;
    }
    return decoder_->done();
  }
  return true;
}

void Http1Connection::start_handler() {
  in_body_ = false;
  send_continue_ = false;
  active_ = true;
  decoder_.reset();
  request_.method = std::move(head_.method);
  request_.target = std::move(head_.target);
  request_.headers = std::move(head_.headers);
  writer_.reset(request_.method == "HEAD", head_.minor,
                http1::keep_alive(head_.minor, request_.headers) && !core_->stopping);
  handler_ = core_->tasks.spawn("request", handle(shared_from_this()));
}

void Http1Connection::refuse(int status, std::string_view message) {
  closing_ = true;
  in_.clear();
  error_ = core_->error(status, message);
}

// Writes what advance() could not.
awaitable<void> Http1Connection::settle() {
  if (send_continue_) {
    send_continue_ = false;
    (void)co_await stream_->write(std::string_view("HTTP/1.1 100 Continue\r\n\r\n"));
  }
  if (error_) {
    Response answer = std::move(*error_);
    error_.reset();
    writer_.reset(false, 1, false);
    (void)co_await writer_.send(std::move(answer));
    co_await close_politely();
  }
}

// Half-closes, so that the client reads the answer before it learns of the end; a close with unread bytes would reset.
awaitable<void> Http1Connection::close_politely() {
  closing_ = draining_ = true;
  deadline_ = core_->loop.now() + kLinger;
  (void)co_await stream_->shutdown_write();
}

awaitable<void> Http1Connection::send_error_and_close(std::shared_ptr<Http1Connection>) { co_await settle(); }

awaitable<void> Http1Connection::handle(std::shared_ptr<Http1Connection>) {
  struct Guard {
    Http1Connection& c;
    bool complete = false;
    ~Guard() {
      c.active_ = false;
      if (!complete) {  // cancelled, or the answer is cut short: the connection cannot be used on
        c.gone_ = true;
        c.stream_->close();
      }
      c.changed_.notify();
    }
  };
  {
    Guard guard{*this};
    if (core_->handler) co_await core_->handler(request_, writer_);
    else (void)co_await writer_.send(core_->error(415, "this port serves gRPC only"));
    if (upgraded_) {
      guard.complete = true;
      co_return;
    }
    if (!writer_.started()) (void)co_await writer_.send(core_->error(500, "the handler gave no answer"));
    if (!writer_.finished() && !(co_await writer_.finish({}))) co_return;
    guard.complete = true;
  }
  request_ = {};
  if (!writer_.keep() || core_->stopping) {
    if (!gone_) co_await close_politely();
    co_return;
  }
  idle_ = true;
  deadline_ = core_->loop.now() + core_->options.limits.idle_timeout;
  if (in_.empty()) in_.shrink_to_fit();
  advance();
  co_await settle();
}

// ---- the reader ----

// False when the connection is over for the reader.
bool Http1Connection::received(std::string_view bytes) {
  if (draining_) return true;
  in_.append(bytes);
  if (upgraded_) return false;
  return true;
}

awaitable<void> Http1Connection::run() {
  auto self = shared_from_this();
  advance();
  co_await settle();
  std::vector<char> buffer(kReadBytesMin);
  while (!gone_ && !upgraded_) {
    if (active_ && in_.size() >= kPipelineBytes) {
      co_await changed_.wait();
      continue;
    }
    reading_ = true;
    auto count = co_await stream_->read(asio::buffer(buffer));
    reading_ = false;
    if (!count || *count == 0) {
      eof_ = true;
      break;
    }
    if (!received({buffer.data(), *count})) break;
    const bool line = std::memchr(buffer.data(), '\n', *count) != nullptr;
    if (*count == buffer.size() && buffer.size() < kReadBytesMax) {
      buffer = std::vector<char>(buffer.size() * 4);
    } else if (*count < kReadBytesMin && buffer.size() > kReadBytesMin && !in_body_) {
      buffer = std::vector<char>(kReadBytesMin);
    }
    // A head only becomes complete by a line's end, or too large.
    if (!active_ && !draining_ && (in_body_ || line || idle_ || in_.size() > core_->options.limits.header_bytes)) {
      advance();
      co_await settle();
    }
  }
  changed_.notify();
  if (!upgraded_) {
    gone_ = true;
    handler_.cancel();
  }
  while (active_ || handed_over_) co_await changed_.wait();
}

void Http1Connection::begin_shutdown() {
  if (!active_ && !in_body_ && in_.empty()) abort();
}

void Http1Connection::sweep(MonoTime now) {
  if (active_ || upgraded_ || now < deadline_) return;
  if (draining_ || idle_ || closing_) return abort();
  refuse(408, in_body_ ? "the request body did not arrive in time" : "the request head did not arrive in time");
  core_->tasks.spawn("timeout", send_error_and_close(shared_from_this()));
}

void Http1Connection::abort() {
  handler_.cancel();
  stream_->close();
}

// ---- the writer ----

void Http1Writer::reset(bool head, int minor, bool keep) {
  head_ = head;
  minor_ = minor;
  keep_ = keep;
  started_ = finished_ = chunked_ = bodyless_ = false;
  announced_.reset();
}

bool has_no_body(int status) { return status < 200 || status == 204 || status == 304; }

// Status line and fields, but for those that frame the message.
void Http1Writer::begin_head(std::string& out, int status, const Headers& headers) {
  started_ = true;
  bodyless_ = has_no_body(status) || head_;
  Headers kept;
  bool dated = false;
  for (const auto& [name, value] : headers) {
    if (equal_ignoring_case(name, "connection")) {
      if (list_has(value, "close")) keep_ = false;
      continue;
    }
    if (equal_ignoring_case(name, "transfer-encoding") || equal_ignoring_case(name, "content-length")) continue;
    dated = dated || equal_ignoring_case(name, "date");
    kept.add(name, value);
  }
  if (!dated) kept.add("Date", connection_.core_->date());
  if (!keep_) {
    kept.add("Connection", "close");
  } else if (minor_ == 0) {
    kept.add("Connection", "keep-alive");
  }
  http1::write_response_head(out, status, kept);
  out.resize(out.size() - 2);  // the empty line comes after the framing fields
}

awaitable<Result<void>> Http1Writer::put(std::span<const asio::const_buffer> buffers) {
  if (connection_.gone_) co_return fail(Code::kUnavailable, "the client has gone");
  auto written = co_await connection_.stream_->write(buffers);
  if (!written) connection_.gone_ = true;
  co_return written;
}

awaitable<Result<void>> Http1Writer::send(Response response) {
  if (started_) co_return fail(Code::kInternalError, "a second answer to one request");
  if (!response.trailers.empty() && minor_ >= 1) {
    auto begun = co_await start(response.status, std::move(response.headers));
    if (begun && !response.body.empty())
      begun = co_await write(std::make_shared<const std::string>(std::move(response.body)));
    if (!begun) co_return begun;
    co_return co_await finish(std::move(response.trailers));
  }
  std::string out;
  out.reserve(512);
  begin_head(out, response.status, response.headers);
  finished_ = true;
  if (!has_no_body(response.status)) {
    // The answer to HEAD may say what GET's length would be.
    const auto own = response.headers.get("content-length");
    if (head_ && response.body.empty() && !own.empty()) {
      out.append("Content-Length: ").append(own).append("\r\n\r\n");
    } else {
      out.append("Content-Length: ").append(std::to_string(response.body.size())).append("\r\n\r\n");
    }
  } else {
    out.append("\r\n");
  }
  std::array<asio::const_buffer, 2> buffers = {asio::buffer(out), asio::const_buffer()};
  if (!bodyless_) buffers[1] = asio::buffer(response.body);
  co_return co_await put(std::span(buffers).first(bodyless_ || response.body.empty() ? 1 : 2));
}

awaitable<Result<void>> Http1Writer::start(int status, Headers headers) {
  if (started_) co_return fail(Code::kInternalError, "a second answer to one request");
  std::string out;
  out.reserve(512);
  const std::string own(headers.get("content-length"));
  uint64_t length = 0;
  const bool announced = !own.empty() && own.size() < 19 && own.find_first_not_of("0123456789") == std::string::npos;
  if (announced) {
    length = std::stoull(own);
  } else if (minor_ == 0 && !has_no_body(status) && !head_) {
    keep_ = false;  // the end of the connection is the end of the body
  }
  begin_head(out, status, headers);
  if (announced) {
    if (!has_no_body(status)) out.append("Content-Length: ").append(own).append("\r\n");
    if (!bodyless_) announced_ = length;
  } else if (minor_ >= 1 && !has_no_body(status)) {
    out.append("Transfer-Encoding: chunked\r\n");
    chunked_ = !bodyless_;
  }
  out.append("\r\n");
  const asio::const_buffer buffer = asio::buffer(out);
  co_return co_await put(std::span(&buffer, 1));
}

awaitable<Result<void>> Http1Writer::write(std::shared_ptr<const std::string> bytes) {
  if (!started_ || finished_) co_return fail(Code::kInternalError, "write outside of an answer");
  if (bodyless_ || bytes->empty()) {
    if (connection_.gone_) co_return fail(Code::kUnavailable, "the client has gone");
    co_return Result<void>{};
  }
  if (announced_) {
    if (bytes->size() > *announced_) co_return fail(Code::kInternalError, "more than the announced Content-Length");
    *announced_ -= bytes->size();
  }
  if (!chunked_) {
    const asio::const_buffer buffer = asio::buffer(*bytes);
    co_return co_await put(std::span(&buffer, 1));
  }
  std::string size;
  http1::write_chunk_size(size, bytes->size());
  const std::array<asio::const_buffer, 3> buffers = {asio::buffer(size), asio::buffer(*bytes), asio::buffer("\r\n", 2)};
  co_return co_await put(buffers);
}

awaitable<Result<void>> Http1Writer::finish(Headers trailers) {
  if (!started_ || finished_) co_return fail(Code::kInternalError, "finish outside of an answer");
  finished_ = true;
  if (announced_ && *announced_ > 0) {
    connection_.stream_->close();  // the client must not take a cut answer for a whole one
    co_return fail(Code::kInternalError, "less than the announced Content-Length");
  }
  if (!chunked_) co_return Result<void>{};
  std::string out = "0\r\n";
  http1::write_fields(out, trailers);
  out.append("\r\n");
  const asio::const_buffer buffer = asio::buffer(out);
  co_return co_await put(std::span(&buffer, 1));
}

awaitable<Result<std::unique_ptr<Stream>>> Http1Writer::upgrade(Headers headers) {
  if (started_) co_return fail(Code::kInternalError, "a second answer to one request");
  if (minor_ == 0 || !http1::wants_upgrade(connection_.request_.headers))
    co_return fail(Code::kBadRequest, "the request does not ask for an upgrade");
  started_ = finished_ = true;
  if (!headers.has("connection")) headers.add("Connection", "Upgrade");
  std::string out;
  http1::write_response_head(out, 101, headers);
  const asio::const_buffer buffer = asio::buffer(out);
  auto written = co_await put(std::span(&buffer, 1));
  if (!written) co_return fail(written.error());
  connection_.upgraded_ = true;
  connection_.changed_.notify();
  co_return std::make_unique<UpgradedStream>(connection_.shared_from_this());
}

}  // namespace

std::shared_ptr<ServerConnection> make_http1_connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Stream> stream,
                                                        std::string bytes) {
  return std::make_shared<Http1Connection>(std::move(core), std::move(stream), std::move(bytes));
}

}  // namespace rs::net
