#include "store/etcd/gateway/gateway.h"

#include <algorithm>
#include <charconv>

#include "async/event.h"
#include "store/etcd/gateway/json_text.h"
#include "store/etcd/gateway/transcode.h"

namespace rs::store::etcd::gateway {
namespace {

using net::grpc::StatusCode;
using CallStatus = net::grpc::Status;

constexpr Duration kTimeoutMax = std::chrono::hours(24 * 365);

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  }
  return out;
}

// "100m": up to eight digits and a unit (grpc/grpc doc/PROTOCOL-HTTP2.md, Timeout).
std::optional<Duration> timeout_of(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  int64_t count = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size() - 1, count);
  if (error != std::errc() || end != text.data() + text.size() - 1 || count < 0)
    return std::nullopt;
  switch (text.back()) {
    case 'H':
      return std::min<Duration>(std::chrono::hours(std::min<int64_t>(count, 24 * 365)),
                                kTimeoutMax);
    case 'M':
      return std::min<Duration>(std::chrono::minutes(std::min<int64_t>(count, 60 * 24 * 365)),
                                kTimeoutMax);
    case 'S':
      return std::min<Duration>(std::chrono::seconds(count), kTimeoutMax);
    case 'm':
      return Duration(std::chrono::milliseconds(count));
    case 'u':
      return Duration(std::chrono::microseconds(count));
    case 'n':
      return Duration(std::chrono::nanoseconds(count));
    default:
      return std::nullopt;
  }
}

// Counts a call as the gRPC server would; one that nobody ends was cancelled.
class CountedCall {
 public:
  CountedCall(async::Loop& loop, net::grpc::CallCounts& counts)
      : loop_(loop), counts_(counts), began_(loop.now()) {
    ++counts_.started;
  }
  CountedCall(const CountedCall&) = delete;
  CountedCall& operator=(const CountedCall&) = delete;
  ~CountedCall() {
    ++counts_.handled[std::min(size_t(code_), counts_.handled.size() - 1)];
    if (counts_.durations) counts_.durations->add(loop_.now() - began_);
  }
  void received(size_t bytes) {
    ++counts_.messages_received;
    counts_.bytes_received += bytes;
  }
  void sent(size_t bytes) {
    ++counts_.messages_sent;
    counts_.bytes_sent += bytes;
  }
  void end(StatusCode code) { code_ = code; }

 private:
  async::Loop& loop_;
  net::grpc::CallCounts& counts_;
  const MonoTime began_;
  StatusCode code_ = StatusCode::kCancelled;
};

// What a unary call answers, once.
struct Answer {
  explicit Answer(async::Loop& loop) : changed(loop) {}
  async::Event changed;
  bool done = false, abandoned = false;
  std::function<void()> on_abandoned;
  std::string message;
  CallStatus status;
};

class GatewayResponder final : public net::grpc::UnaryResponder {
 public:
  explicit GatewayResponder(std::shared_ptr<Answer> answer) : answer_(std::move(answer)) {}
  ~GatewayResponder() override {
    if (!answer_->done) finish({}, {StatusCode::kInternal, "the handler gave no answer"});
  }
  void reply(std::string message) override { finish(std::move(message), {}); }
  void fail(CallStatus status) override { finish({}, std::move(status)); }
  bool cancelled() const override { return answer_->abandoned; }
  void on_drained(std::function<void()> callback) override {
    answer_->on_abandoned = std::move(callback);
  }

 private:
  void finish(std::string message, CallStatus status) {
    if (std::exchange(answer_->done, true)) return;
    answer_->message = std::move(message);
    answer_->status = std::move(status);
    answer_->changed.notify();
  }
  std::shared_ptr<Answer> answer_;
};

awaitable<Result<void>> answered(std::shared_ptr<Answer> answer) {
  while (!answer->done) co_await answer->changed.wait();
  co_return Result<void>{};
}

awaitable<void> send_error(CallStatus status, net::Headers headers, net::ResponseWriter& writer) {
  net::Response response;
  response.status = http_status_of(status.code);
  response.headers = std::move(headers);
  response.body = error_json(status);
  (void)co_await writer.send(std::move(response));
}

CallStatus too_large(size_t size, size_t limit) {
  return {StatusCode::kResourceExhausted,
          fmt::format("grpc: received message larger than max ({} vs. {})", size, limit)};
}

// The request's JSON values as messages, the answers as lines of JSON.
class GatewayStream final : public net::grpc::ServerStream {
 public:
  GatewayStream(async::Loop& loop, const Route& route, net::grpc::CallInfo info,
                std::string_view body, size_t limit, net::Headers headers,
                net::ResponseWriter& writer, CountedCall& counted)
      : route_(route),
        info_(std::move(info)),
        body_(body),
        limit_(limit),
        headers_(std::move(headers)),
        writer_(writer),
        counted_(counted),
        never_(loop) {}

  const net::grpc::CallInfo& info() const override { return info_; }
  size_t unsent_bytes() const override { return unsent_; }

  // Decodes the first message: a call whose first one is not understood is never made.
  std::optional<CallStatus> begin() {
    auto first = next();
    if (!first) return CallStatus{StatusCode::kInvalidArgument, first.error().message};
    if (!*first && route_.kind == Route::Kind::kServerStream) *first = std::string();
    first_ = std::move(*first);
    if (first_ && first_->size() > limit_) return too_large(first_->size(), limit_);
    return std::nullopt;
  }

  awaitable<Result<std::optional<std::string>>> read() override {
    if (first_) {
      counted_.received(first_->size());
      co_return std::exchange(first_, std::nullopt);
    }
    if (route_.kind != Route::Kind::kServerStream) {
      auto message = next();
      if (message && *message) {
        counted_.received((*message)->size());
        co_return message;
      }
      body_ =
          {};  // what is not understood ends the requests, as in grpc-gateway, but not the answers
    }
    // etcd goes on telling events to a watcher that has said all it had to.
    while (route_.kind == Route::Kind::kWatch) co_await never_.wait();
    co_return std::optional<std::string>();
  }

  awaitable<Result<void>> write(std::shared_ptr<const std::string> message) override {
    counted_.sent(message->size());
    std::string line = R"({"result":)";
    if (!append_json(line, *route_.response, *message))
      co_return fail(Code::kInternalError, "an answer that is not protobuf");
    line += "}\n";
    co_return co_await put(200, std::move(line));
  }

  awaitable<void> end(CallStatus status) {
    if (status.code != StatusCode::kOk) {
      (void)co_await put(http_status_of(status.code), R"({"error":)" + error_json(status) + "}\n");
    } else if (!writer_.started()) {
      (void)co_await writer_.start(200, headers_);
    }
    (void)co_await writer_.finish();
  }

 private:
  // The next message of the body; nothing at its end.
  Result<std::optional<std::string>> next() {
    auto span = find_json_value(body_);
    if (!span) return fail(span.error());
    if (span->begin == span->end) return std::optional<std::string>();
    auto message = to_protobuf(*route_.request, body_.substr(span->begin, span->end - span->begin));
    if (!message) return fail(message.error());
    body_.remove_prefix(span->end);
    return std::optional<std::string>(std::move(*message));
  }

  awaitable<Result<void>> put(int status, std::string line) {
    if (!writer_.started()) {
      auto started = co_await writer_.start(status, headers_);
      if (!started) co_return started;
    }
    unsent_ = line.size();
    auto written = co_await writer_.write(std::make_shared<const std::string>(std::move(line)));
    unsent_ = 0;
    co_return written;
  }

  const Route& route_;
  const net::grpc::CallInfo info_;
  std::string_view body_;
  const size_t limit_;
  const net::Headers headers_;
  net::ResponseWriter& writer_;
  CountedCall& counted_;
  async::Event never_;
  std::optional<std::string> first_;
  size_t unsent_ = 0;
};

awaitable<Result<CallStatus>> call(const net::grpc::StreamHandler& handler, GatewayStream& stream) {
  co_return co_await handler(stream);
}

}  // namespace

int http_status_of(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return 200;
    case StatusCode::kCancelled:
      return 499;
    case StatusCode::kInvalidArgument:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kOutOfRange:
      return 400;
    case StatusCode::kDeadlineExceeded:
      return 504;
    case StatusCode::kNotFound:
      return 404;
    case StatusCode::kAlreadyExists:
    case StatusCode::kAborted:
      return 409;
    case StatusCode::kPermissionDenied:
      return 403;
    case StatusCode::kUnauthenticated:
      return 401;
    case StatusCode::kResourceExhausted:
      return 429;
    case StatusCode::kUnimplemented:
      return 501;
    case StatusCode::kUnavailable:
      return 503;
    case StatusCode::kUnknown:
    case StatusCode::kInternal:
    case StatusCode::kDataLoss:
      return 500;
  }
  return 500;
}

std::string error_json(const CallStatus& status) {
  std::string out = R"({"error":)";
  append_json_string(out, status.message);
  out += fmt::format(R"(,"code":{},"message":)", int(status.code));
  append_json_string(out, status.message);
  out += R"(,"details":[]})";
  return out;
}

net::Headers metadata_of(const net::Headers& headers) {
  constexpr std::string_view kPrefix = "grpc-metadata-";
  net::Headers out;
  bool accept = false;
  for (const auto& [field, value] : headers) {
    const std::string name = lower(field);
    if (name.starts_with(kPrefix)) {
      out.add(name.substr(kPrefix.size()), value);
      continue;
    }
    if (name == "authorization") out.add(name, value);
    accept = accept || name == "accept";
    out.add("grpcgateway-" + name, value);
  }
  if (!accept) out.add("grpcgateway-accept", "*/*");
  if (std::string_view token = headers.get("authorization"); !token.empty() && !out.has("token")) {
    if (token.starts_with("Bearer ")) token.remove_prefix(7);
    out.add("token", std::string(token));
  }
  return out;
}

Gateway::Gateway(async::Loop& loop, Methods& methods, size_t message_bytes)
    : loop_(loop), methods_(methods), message_bytes_(message_bytes) {}

awaitable<void> Gateway::serve(const net::Request& request, std::string_view path,
                               net::Headers headers, net::ResponseWriter& writer) const {
  headers.set("Content-Type", "application/json");
  const Route* route = schema_.route(path);
  if (route == nullptr)
    co_return co_await send_error({StatusCode::kNotFound, "Not Found"}, std::move(headers), writer);
  if (request.method != "POST")
    co_return co_await send_error({StatusCode::kUnimplemented, "Method Not Allowed"},
                                  std::move(headers), writer);
  net::grpc::CallInfo info;
  info.metadata = metadata_of(request.headers);
  info.peer = request.peer;
  info.certificate = request.certificate;
  if (auto text = request.headers.get("grpc-timeout"); !text.empty()) {
    auto timeout = timeout_of(text);
    if (!timeout) {
      CallStatus status{StatusCode::kInvalidArgument,
                        fmt::format("invalid grpc-timeout: {}", text)};
      co_return co_await send_error(std::move(status), std::move(headers), writer);
    }
    info.deadline = loop_.now() + *timeout;
  }
  if (route->kind == Route::Kind::kUnary)
    co_return co_await unary(*route, std::move(info), request.body, std::move(headers), writer);
  co_await streaming(*route, std::move(info), request.body, std::move(headers), writer);
}

awaitable<void> Gateway::unary(const Route& route, net::grpc::CallInfo info, std::string_view body,
                               net::Headers headers, net::ResponseWriter& writer) const {
  Methods::Unary* const method = methods_.find_unary(route.method);
  if (method == nullptr)
    co_return co_await send_error({StatusCode::kUnimplemented, "Not Implemented"},
                                  std::move(headers), writer);
  auto message = to_protobuf(*route.request, body);
  if (!message) {
    CallStatus status{StatusCode::kInvalidArgument, message.error().message};
    co_return co_await send_error(std::move(status), std::move(headers), writer);
  }
  if (message->size() > message_bytes_)
    co_return co_await send_error(too_large(message->size(), message_bytes_), std::move(headers),
                                  writer);
  auto answer = std::make_shared<Answer>(loop_);
  struct Abandon {
    Answer& answer;
    ~Abandon() {
      answer.abandoned = true;
      if (answer.on_abandoned) answer.on_abandoned();
    }
  } abandon{*answer};
  CountedCall counted(loop_, method->counts);
  counted.received(message->size());
  method->handler(info, *message, std::make_unique<GatewayResponder>(answer));
  if (info.deadline) {
    auto left = std::max<Duration>(*info.deadline - loop_.now(), Duration(1));
    auto done = co_await async::with_timeout(loop_, left, "call", answered(answer));
    if (!done) answer->status = {StatusCode::kDeadlineExceeded, "context deadline exceeded"};
  } else {
    (void)co_await answered(answer);
  }
  counted.end(answer->status.code);
  if (answer->status.code != StatusCode::kOk)
    co_return co_await send_error(std::move(answer->status), std::move(headers), writer);
  counted.sent(answer->message.size());
  net::Response response;
  if (!append_json(response.body, *route.response, answer->message))
    co_return co_await send_error({StatusCode::kInternal, "an answer that is not protobuf"},
                                  std::move(headers), writer);
  response.headers = std::move(headers);
  response.headers.set("Grpc-Metadata-Content-Type", "application/grpc");
  (void)co_await writer.send(std::move(response));
}

awaitable<void> Gateway::streaming(const Route& route, net::grpc::CallInfo info,
                                   std::string_view body, net::Headers headers,
                                   net::ResponseWriter& writer) const {
  Methods::Streaming* const method = methods_.find_streaming(route.method);
  if (method == nullptr)
    co_return co_await send_error({StatusCode::kUnimplemented, "Not Implemented"},
                                  std::move(headers), writer);
  const std::optional<MonoTime> deadline = info.deadline;
  net::Headers answer_headers = headers;
  answer_headers.set("Grpc-Metadata-Content-Type", "application/grpc");
  CountedCall counted(loop_, method->counts);
  GatewayStream stream(loop_, route, std::move(info), body, message_bytes_,
                       std::move(answer_headers), writer, counted);
  if (auto refused = stream.begin()) {
    counted.end(refused->code);
    co_return co_await send_error(std::move(*refused), std::move(headers), writer);
  }
  CallStatus status;
  if (deadline) {
    auto left = std::max<Duration>(*deadline - loop_.now(), Duration(1));
    auto done = co_await async::with_timeout(loop_, left, "call", call(method->handler, stream));
    status = done ? *done : CallStatus{StatusCode::kDeadlineExceeded, "context deadline exceeded"};
  } else {
    status = co_await method->handler(stream);
  }
  counted.end(status.code);
  co_await stream.end(std::move(status));
}

}  // namespace rs::store::etcd::gateway
