#include "mesh/proxy/http_session.h"

#include <charconv>

#include "mesh/proxy/detect.h"
#include "mesh/proxy/http_rules.h"
#include "net/text.h"

namespace rs::mesh {

using async::awaitable;
namespace http1 = net::http1;

HttpSession::HttpSession(Worker& worker, std::shared_ptr<net::Stream> client, Buffer in, BackendPtr fixed)
    : worker_(worker), client_(std::move(client)), in_(std::move(in)), fixed_(std::move(fixed)) {}

awaitable<void> serve_http(Worker& worker, std::shared_ptr<net::Stream> stream, Buffer in, BackendPtr fixed) {
  auto session = std::make_shared<HttpSession>(worker, std::move(stream), std::move(in), std::move(fixed));
  co_await session->run();
}

awaitable<void> HttpSession::run() {
  for (;;) {
    Exchange exchange;
    if (!co_await read_head(exchange.head)) break;
    if (!co_await serve(exchange)) break;
    in_.release(4096);
  }
  deadline_.clear();
}

namespace {
// To who begins HTTP/2 here by prior knowledge: SETTINGS, then GOAWAY with HTTP_1_1_REQUIRED (RFC 9113 7) and the reason.
std::string http1_required() {
  constexpr std::string_view kReason = "this port speaks HTTP/1.1; use CONNECT, or the service's cluster IP, for HTTP/2";
  std::string out("\0\0\0\x04\0\0\0\0\0", 9);
  out += std::string{0, 0, static_cast<char>(8 + kReason.size()), 7, 0, 0, 0, 0, 0};
  out += std::string("\0\0\0\0\0\0\0\x0d", 8);
  return out.append(kReason);
}
}  // namespace

awaitable<bool> HttpSession::read_head(http1::RequestHead& head) {
  const auto& limits = worker_.limits();
  deadline_.first = client_;
  deadline_.second = nullptr;
  deadline_.set(worker_.wheel(), worker_.loop().now() + (in_.empty() ? limits.idle_timeout : limits.head_timeout));
  for (;;) {
    if (!in_.empty()) {
      if (in_.view().starts_with("PRI * HTTP/2.0\r\n")) {
        worker_.count_refusal("http2");
        (void)co_await client_->write(http1_required());
        co_await linger();
        co_return false;
      }
      auto size = http1::parse_request_head(in_.view(), {}, head);
      if (!size) {
        Exchange none;
        none.client_keeps = false;
        auto status = http1::status_of(size.error());
        co_return co_await refuse(none, {status, "bad-request", size.error().message});
      }
      if (*size > 0) {
        in_.consume(*size);
        co_return true;
      }
    }
    bool first = in_.empty();
    if (first && worker_.stopping()) co_return false;
    auto read = co_await client_->read(in_.prepare(first ? 2048 : 4096));
    if (!read || *read == 0) co_return false;
    in_.commit(*read);
    if (first) deadline_.set(worker_.wheel(), worker_.loop().now() + limits.head_timeout);
  }
}

awaitable<bool> HttpSession::serve(Exchange& exchange) {
  exchange.begun = worker_.loop().now();
  bool keep = false;
  if (!co_await prepare(exchange, keep)) co_return keep;
  if (exchange.head.method == "CONNECT") {
    co_await tunnel_connect(exchange);
    co_return false;
  }
  co_return co_await forward(exchange);
}

awaitable<bool> HttpSession::prepare(Exchange& exchange, bool& keep) {
  auto& head = exchange.head;
  exchange.client_keeps = http1::keep_alive(head.minor, head.headers) && !worker_.stopping();
  auto framing = http1::request_framing(head);
  if (!framing) {
    exchange.client_keeps = false;
    keep = co_await refuse(exchange, {400, "bad-request", framing.error().message});
    co_return false;
  }
  exchange.framing = *framing;
  if (auto normal = http1::normalize_target(head, exchange.authority); !normal) {
    exchange.client_keeps = false;
    keep = co_await refuse(exchange, {400, "bad-request", normal.error().message});
    co_return false;
  }
  auto route = fixed_ != nullptr ? Route{.backend = fixed_} : worker_.route(exchange.authority, client_->peer());
  if (route.backend == nullptr) {
    keep = co_await refuse(exchange, std::move(route.refusal));
    co_return false;
  }
  exchange.backend = std::move(route.backend);
  exchange.hostname = std::move(route.hostname);
  exchange.backend->count_request();
  exchange.backend->budget().deposit(exchange.begun);
  exchange.asked_timeout = asked_timeout(head.headers, worker_.limits());
  exchange.answer_by = exchange.begun + exchange.asked_timeout.value_or(worker_.limits().response_timeout);
  exchange.upgrade = http1::wants_upgrade(head.headers) && !net::equal_ignoring_case(head.headers.get("upgrade"), "h2c");
  exchange.idempotent = is_idempotent(head);
  // An inner hop does not multiply what an outer one already retries.
  exchange.may_retry = head.headers.get(kRetryAttempt).empty() || head.headers.get(kRetryAttempt) == "0";
  if (!co_await hold_body(exchange)) {
    keep = false;
    co_return false;
  }
  co_return true;
}

// Reads a small body whole, so that it can be sent at once and again; leaves a large one to the pump. False: the client
// has gone, or was answered.
awaitable<bool> HttpSession::hold_body(Exchange& exchange) {
  if (exchange.framing.kind == Framing::Kind::kNone) co_return true;
  const auto& limits = worker_.limits();
  bool expects = net::equal_ignoring_case(exchange.head.headers.get("expect"), "100-continue");
  if (expects && in_.empty()) {
    if (!co_await client_->write("HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
  }
  bool small = exchange.framing.kind == Framing::Kind::kLength && exchange.framing.length <= limits.replay_bytes;
  BodyCoder coder(exchange.framing, exchange.framing.kind == Framing::Kind::kChunked);
  deadline_.set(worker_.wheel(), worker_.loop().now() + limits.stream_idle_timeout);
  for (;;) {
    auto taken = coder.code(in_.view(), exchange.body);
    if (!taken) {
      exchange.client_keeps = false;
      co_await refuse(exchange, {400, "bad-request", taken.error().message});
      co_return false;
    }
    in_.consume(*taken);
    if (coder.done()) co_return true;
    if (!small) {
      exchange.body_held = false;
      exchange.coder.emplace(std::move(coder));
      co_return true;
    }
    auto left = exchange.framing.length - exchange.body.size();
    auto read = co_await client_->read(in_.prepare(static_cast<size_t>(left)));
    if (!read || *read == 0) co_return false;
    in_.commit(*read);
  }
}

bool HttpSession::should_retry(Exchange& exchange, bool nothing_sent) {
  if (!exchange.may_retry || exchange.upgrade || exchange.attempt >= worker_.limits().attempts) return false;
  if (!nothing_sent && (!exchange.idempotent || !exchange.body_held)) return false;
  if (!exchange.backend->budget().try_withdraw(worker_.loop().now())) return false;
  exchange.backend->count_retry();
  return true;
}

awaitable<bool> HttpSession::forward(Exchange& exchange) {
  std::vector<Balancer::NodePtr> tried;
  for (;;) {
    ++exchange.attempt;
    // What cannot be repeated goes on a connection that is surely alive.
    bool reuse = exchange.body_held && !exchange.upgrade;
    auto dialled = co_await dial(worker_, exchange.backend, exchange.hostname, reuse, tried);
    if (dialled.upstream == nullptr) co_return co_await refuse(exchange, std::move(dialled.refusal));
    http1::ResponseHead answer;
    auto sent = co_await send_and_await(exchange, dialled, answer);
    auto node = dialled.attempt.node();
    if (sent == Sent::kAnswered) {
      bool elsewhere = is_gateway_error(answer.status) && exchange.backend->balancer().usable() > 1;
      if (elsewhere && should_retry(exchange, false)) {
        dialled.attempt.finish(Outcome::kGatewayError);
        tried.push_back(std::move(node));
        continue;
      }
      co_return co_await relay_answer(exchange, dialled, answer);
    }
    // A pooled connection may have been closed just now by an endpoint that is well: not held against it.
    bool stale = sent == Sent::kBrokenBeforeAnswer && dialled.upstream->reused;
    dialled.attempt.finish(stale ? Outcome::kUnjudged : Outcome::kConnectFailure);
    if (sent == Sent::kTimedOut) {
      auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(worker_.loop().now() - exchange.begun);
      co_return co_await refuse(exchange, {504, "response-timeout", fmt::format("service {} did not answer within {} ms",
                                                                                to_string(exchange.backend->view()->key), waited.count())});
    }
    if (sent == Sent::kBrokenBeforeAnswer && should_retry(exchange, false)) {
      if (!stale) tried.push_back(std::move(node));
      continue;
    }
    auto what = sent == Sent::kBadAnswer ? "sent an answer that is not HTTP" : "closed the connection before it answered";
    auto reason = sent == Sent::kBadAnswer ? std::string_view("bad-answer") : std::string_view("connection-lost");
    co_return co_await refuse(exchange, {502, reason, fmt::format("an endpoint of service {} ({}:{}) {}", to_string(exchange.backend->view()->key),
                                                                  node->endpoint.ip, node->endpoint.port, what)});
  }
}

void HttpSession::write_upstream_head(Exchange& exchange, std::string& out) {
  const auto& head = exchange.head;
  out.append(head.method).append(" ").append(head.target).append(" HTTP/1.1\r\n");
  if (!head.headers.has("host")) out.append("Host: ").append(exchange.authority).append("\r\n");
  write_end_to_end_fields(out, head.headers, true);
  if (!head.headers.has("x-request-id")) out.append("x-request-id: ").append(worker_.loop().random().uuid()).append("\r\n");
  if (exchange.asked_timeout) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(exchange.answer_by - worker_.loop().now());
    out.append(fmt::format("{}: {}\r\n", kTimeoutHeader, std::max<int64_t>(1, left.count())));
  }
  if (exchange.attempt > 1) out.append(fmt::format("{}: {}\r\n", kRetryAttempt, exchange.attempt - 1));
  if (exchange.upgrade) out.append("Connection: upgrade\r\nUpgrade: ").append(head.headers.get("upgrade")).append("\r\n");
  if (exchange.framing.kind == Framing::Kind::kLength) out.append(fmt::format("Content-Length: {}\r\n", exchange.framing.length));
  if (exchange.framing.kind == Framing::Kind::kChunked) out.append("Transfer-Encoding: chunked\r\n");
  out.append("\r\n");
}

awaitable<HttpSession::Sent> HttpSession::send_and_await(Exchange& exchange, Dialled& dialled, http1::ResponseHead& answer) {
  auto& upstream = *dialled.upstream;
  deadline_.passed = false;
  deadline_.first = std::shared_ptr<net::Stream>(dialled.upstream, upstream.stream.get());
  deadline_.set(worker_.wheel(), exchange.answer_by);
  std::string head;
  head.reserve(1024);
  write_upstream_head(exchange, head);
  dialled.attempt.sent();
  std::array<boost::asio::const_buffer, 2> parts{boost::asio::buffer(head), boost::asio::buffer(exchange.body)};
  auto written = co_await upstream.stream->write(std::span(parts.data(), exchange.body.empty() ? 1 : 2));
  if (!written) co_return deadline_.passed ? Sent::kTimedOut : Sent::kBrokenBeforeAnswer;
  if (!exchange.body_held) {
    pumping_ = true;
    pump_whole_ = false;
    if (!pump_ended_) pump_ended_.emplace(worker_.loop());
    worker_.tasks().spawn("request body", pump(shared_from_this(), dialled.upstream, std::move(*exchange.coder)));
  }
  for (;;) {
    auto size = upstream.in.empty() ? Result<size_t>(size_t{0}) : http1::parse_response_head(upstream.in.view(), {}, answer);
    if (!size) co_return Sent::kBadAnswer;
    if (*size > 0) {
      upstream.in.consume(*size);
      if (answer.status >= 200 || answer.status == 101) co_return Sent::kAnswered;
      // 103 Early Hints and the like go on to who understands them; 100 was given by us.
      if (answer.status != 100 && exchange.head.minor >= 1) {
        std::string interim = fmt::format("HTTP/1.1 {} {}\r\n", answer.status, http1::reason_phrase(answer.status));
        write_end_to_end_fields(interim, answer.headers, false);
        interim += "\r\n";
        if (!co_await client_->write(interim)) co_return Sent::kBrokenBeforeAnswer;
      }
      answer = {};
      continue;
    }
    auto read = co_await upstream.stream->read(upstream.in.prepare(4096));
    if (!read || *read == 0) co_return deadline_.passed ? Sent::kTimedOut : Sent::kBrokenBeforeAnswer;
    upstream.in.commit(*read);
  }
}

awaitable<bool> HttpSession::relay_answer(Exchange& exchange, Dialled& dialled, http1::ResponseHead& answer) {
  auto now = worker_.loop().now();
  exchange.backend->count_response(answer.status, answer.status < 500, now - exchange.begun);
  auto framing = http1::response_framing(exchange.head.method, answer);
  if (!framing) {
    dialled.attempt.finish(Outcome::kServerError);
    co_return co_await refuse(exchange, {502, "bad-answer", "an endpoint sent an answer whose end cannot be told: " + framing.error().message});
  }
  std::string out;
  out.reserve(2048);
  bool switches = answer.status == 101;
  bool chunked_out = exchange.head.minor >= 1 && (framing->kind == Framing::Kind::kChunked || framing->kind == Framing::Kind::kUntilClose);
  bool ends_by_close = exchange.head.minor == 0 && (framing->kind == Framing::Kind::kChunked || framing->kind == Framing::Kind::kUntilClose);
  bool keep = exchange.client_keeps && !ends_by_close && !switches;
  out.append(fmt::format("HTTP/1.1 {} {}\r\n", answer.status, answer.reason.empty() ? http1::reason_phrase(answer.status) : answer.reason));
  write_end_to_end_fields(out, answer.headers, false);
  if (switches) out.append("Connection: upgrade\r\nUpgrade: ").append(answer.headers.get("upgrade")).append("\r\n");
  if (chunked_out) out.append("Transfer-Encoding: chunked\r\n");
  // HEAD and 304 may say how long the body would be.
  else if (auto length = answer.headers.get("content-length"); !length.empty()) out.append("Content-Length: ").append(length).append("\r\n");
  if (!keep && !switches) out.append("Connection: close\r\n");
  else if (exchange.head.minor == 0) out.append("Connection: keep-alive\r\n");
  out.append("\r\n");
  dialled.attempt.finish(judge(answer.status));
  auto& upstream = *dialled.upstream;
  if (switches) {
    deadline_.clear();
    if (!exchange.upgrade || pumping_ || !co_await client_->write(out)) {
      client_->close();
      co_return false;
    }
    std::shared_ptr<net::Stream> target = std::move(upstream.stream);
    auto counts = co_await tunnel(worker_, client_, std::move(in_), target, std::move(upstream.in));
    exchange.backend->count_bytes(counts.b_to_a, counts.a_to_b);
    co_return false;
  }
  deadline_.second = client_;
  BodyCoder coder(*framing, chunked_out);
  bool whole = false;
  bool delivered = co_await relay_answer_body(coder, upstream, out, whole);
  bool pumped = co_await settle_pump();
  if (!delivered || !whole) {
    client_->close();
    co_return false;
  }
  bool reusable = pumped && framing->kind != Framing::Kind::kUntilClose && http1::keep_alive(answer.minor, answer.headers);
  deadline_.clear();
  deadline_.first = client_;
  deadline_.second = nullptr;
  if (reusable) exchange.backend->put_idle(dialled.attempt.node(), std::move(dialled.upstream), worker_.loop().now(), worker_.limits());
  if (!pumped) {
    co_await linger();
    co_return false;
  }
  co_return keep;
}

awaitable<bool> HttpSession::relay_answer_body(BodyCoder& coder, Upstream& upstream, std::string& out, bool& whole) {
  const auto& limits = worker_.limits();
  for (;;) {
    if (!upstream.in.empty() && !coder.done()) {
      auto taken = coder.code(upstream.in.view(), out);
      if (!taken) co_return true;  // not whole: the client sees a broken connection, not a false end
      upstream.in.consume(*taken);
    }
    deadline_.set(worker_.wheel(), worker_.loop().now() + limits.stream_idle_timeout);
    if (!out.empty()) {
      if (!co_await client_->write(out)) co_return false;
      out.clear();
    }
    if (coder.done()) {
      whole = true;
      co_return true;
    }
    auto read = co_await upstream.stream->read(upstream.in.prepare(upstream.in.size() == 0 ? limits.relay_bytes : 4096));
    if (!read) co_return true;
    if (*read == 0) {
      whole = coder.end_of_stream(out);
      if (whole && !out.empty() && !co_await client_->write(out)) co_return false;
      co_return true;
    }
    upstream.in.commit(*read);
  }
}

// The rest of a large request body, while the answer may already be on its way.
awaitable<void> HttpSession::pump(std::shared_ptr<HttpSession> self, std::shared_ptr<Upstream> upstream, BodyCoder coder) {
  std::string out;
  bool broken = false;
  while (!coder.done() && !broken) {
    auto& in = self->in_;
    if (in.empty()) {
      auto read = co_await self->client_->read(in.prepare(self->worker_.limits().relay_bytes));
      if (!read || *read == 0) {
        // The client left in the middle: the endpoint must not take what it has for the whole.
        upstream->stream->close();
        break;
      }
      in.commit(*read);
    }
    out.clear();
    auto taken = coder.code(in.view(), out);
    if (!taken) {
      upstream->stream->close();
      break;
    }
    in.consume(*taken);
    if (!out.empty()) broken = !(co_await upstream->stream->write(out)).has_value();
  }
  self->pump_whole_ = coder.done() && !broken;
  self->pumping_ = false;
  self->pump_ended_->notify();
}

// True when the request body went through whole, so that the connection can go on. An early answer gives it a moment.
awaitable<bool> HttpSession::settle_pump() {
  if (!pump_ended_) co_return true;
  if (pumping_) {
    deadline_.first = client_;
    deadline_.set(worker_.wheel(), worker_.loop().now() + worker_.limits().linger);
    while (pumping_) co_await pump_ended_->wait();
    deadline_.clear();
  }
  co_return pump_whole_;
}

// Closing at once while the client still sends would reset the connection and lose the answer (RFC 9112 9.6).
awaitable<void> HttpSession::linger() {
  (void)co_await client_->shutdown_write();
  deadline_.first = client_;
  deadline_.second = nullptr;
  deadline_.set(worker_.wheel(), worker_.loop().now() + worker_.limits().linger);
  for (size_t drained = 0; drained < (1u << 20);) {
    in_.consume(in_.size());
    auto read = co_await client_->read(in_.prepare(4096));
    if (!read || *read == 0) break;
    drained += *read;
  }
  deadline_.clear();
}

awaitable<bool> HttpSession::refuse(Exchange& exchange, Refusal refusal) {
  worker_.count_refusal(refusal.reason);
  if (exchange.backend) exchange.backend->count_response(refusal.status, false, worker_.loop().now() - exchange.begun);
  bool body_read = exchange.framing.kind == Framing::Kind::kNone || (exchange.backend && exchange.body_held);
  bool keep = exchange.client_keeps && body_read && exchange.head.method != "CONNECT" && !pump_ended_;
  auto out = refusal_message(refusal, exchange.head.method == "HEAD", keep, worker_);
  deadline_.first = client_;
  deadline_.second = nullptr;
  deadline_.set(worker_.wheel(), worker_.loop().now() + worker_.limits().head_timeout);
  auto written = co_await client_->write(out);
  if (pumping_) {
    client_->close();
    while (pumping_) co_await pump_ended_->wait();
  }
  deadline_.clear();
  if (!written) co_return false;
  if (!keep) co_await linger();
  co_return keep;
}

awaitable<void> HttpSession::tunnel_connect(Exchange& exchange) {
  std::vector<Balancer::NodePtr> tried;
  deadline_.clear();
  auto dialled = co_await dial(worker_, exchange.backend, exchange.hostname, false, tried);
  if (dialled.upstream == nullptr) {
    co_await refuse(exchange, std::move(dialled.refusal));
    co_return;
  }
  exchange.backend->count_response(200, true, worker_.loop().now() - exchange.begun);
  if (!co_await client_->write("HTTP/1.1 200 Connection established\r\n\r\n")) co_return;
  std::shared_ptr<net::Stream> target = std::move(dialled.upstream->stream);
  auto counts = co_await tunnel(worker_, client_, std::move(in_), target, std::move(dialled.upstream->in));
  exchange.backend->count_bytes(counts.b_to_a, counts.a_to_b);
}

}  // namespace rs::mesh
