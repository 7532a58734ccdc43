#include "net/http.h"

#include "async/event.h"
#include "net/net_testing.h"

namespace rs::net {
namespace {
using namespace std::chrono_literals;

// What the test's handler saw, and what it waits for.
struct Site {
  explicit Site(async::Loop& l) : loop(l), changed(l) {}
  async::Loop& loop;
  async::Event changed;
  std::vector<Request> requests;
  int cancelled = 0;
  bool release = false;

  awaitable<void> handle(Request& request, ResponseWriter& writer) {
    const Target target = parse_target(request.target);
    requests.push_back(request);
    if (target.path == "/echo") {
      (void)co_await writer.send({200, {{"Content-Type", "text/plain"}}, request.method + " " + request.body, {}});
    } else if (target.path == "/stream") {
      (void)co_await writer.start(200, {});
      for (int i = 0; i < 3; ++i) (void)co_await writer.write(fmt::format("part{};", i));
      (void)co_await writer.finish({{"X-Trailer", "t"}});
    } else if (target.path == "/watch") {
      struct Mark {
        Site& site;
        ~Mark() {
          ++site.cancelled;
          site.changed.notify();
        }
      } mark{*this};
      (void)co_await writer.start(200, {});
      (void)co_await writer.write(std::string("first\n"));
      co_await loop.sleep(1h);
    } else if (target.path == "/big") {
      (void)co_await writer.start(200, {});
      auto chunk = std::make_shared<const std::string>(64 << 10, 'x');
      for (int i = 0; i < 64; ++i) (void)co_await writer.write(chunk);
      (void)co_await writer.finish();
    } else if (target.path == "/upgrade") {
      auto stream = co_await writer.upgrade({{"Upgrade", "echo"}});
      if (!stream) co_return;
      char buffer[100];
      for (;;) {
        auto count = co_await (*stream)->read(asio::buffer(buffer));
        if (!count || *count == 0) co_return;
        (void)co_await (*stream)->write(std::string_view(buffer, *count));
      }
    } else if (target.path == "/wait") {
      while (!release) co_await changed.wait();
      (void)co_await writer.send({200, {}, "waited", {}});
    }
  }
};

struct Fixture {
  async::SystemLoop loop;
  TcpNetwork network{loop};
  Site site{loop};
  std::unique_ptr<HttpServer> server;
  Address address;

  void serve(HttpServerOptions options = {}) {
    server = std::make_unique<HttpServer>(loop, std::move(options),
                                          [this](Request& q, ResponseWriter& w) { return site.handle(q, w); });
    auto listener = network.listen(kAnyPort);
    ASSERT_TRUE(listener.has_value());
    address = (*listener)->local();
    server->serve(std::move(*listener));
  }
  awaitable<std::string> raw(std::string bytes, std::string until = {}) {
    return raw_exchange(network, address, std::move(bytes), std::move(until));
  }
};

size_t count_of(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size()) ++count;
  return count;
}

// ---- both versions ----

class BothVersions : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Http, BothVersions, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Http2" : "Http1"; });

awaitable<void> calls(Fixture& f, bool http2) {
  HttpClient client(f.loop, f.network, f.address, {.http2 = http2});
  for (int i = 0; i < 3; ++i) {
    auto answer = co_await client.call({.method = "POST", .target = "/echo?a=b", .body = "hello"}, 5s);
    EXPECT_TRUE(answer.has_value()) << answer.error().message;
    if (!answer) co_return;
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "POST hello");
    EXPECT_EQ(answer->headers.get("content-type"), "text/plain");
    EXPECT_FALSE(answer->headers.get("date").empty());
  }
  EXPECT_EQ(f.server->connections(), 1u);  // kept alive
  EXPECT_EQ(f.site.requests[0].http_major, http2 ? 2 : 1);
  EXPECT_EQ(f.site.requests[0].target, "/echo?a=b");
  EXPECT_EQ(f.site.requests[0].authority, to_string(f.address));

  auto head = co_await client.call({.method = "HEAD", .target = "/echo"}, 5s);
  EXPECT_TRUE(head.has_value() && head->body.empty());
  auto streamed = co_await client.call({.target = "/stream"}, 5s);
  EXPECT_EQ(streamed->body, "part0;part1;part2;");
  EXPECT_EQ(streamed->trailers.get("x-trailer"), "t");
  auto none = co_await client.call({.target = "/none"}, 5s);
  EXPECT_EQ(none->status, 500);  // the handler gave no answer
  auto big = co_await client.call({.target = "/big"}, 20s);
  EXPECT_EQ(big->body.size(), 4u << 20);
  auto upload = co_await client.call({.method = "PUT", .target = "/echo", .body = std::string(3 << 20, 'y')}, 20s);
  EXPECT_TRUE(upload.has_value() && upload->body.size() == (3u << 20) + 4) << upload.error().message;
  auto large = co_await client.call({.method = "PUT", .target = "/echo", .body = std::string(4 << 20, 'y')}, 20s);
  EXPECT_TRUE(large.has_value()) << large.error().message;
  if (large) EXPECT_EQ(large->status, 413);
  co_await f.server->stop(1s);
}

TEST_P(BothVersions, CallsAreAnswered) {
  Fixture f;
  f.serve();
  run(f.loop, calls(f, GetParam()));
}

awaitable<void> watch(Fixture& f, bool http2) {
  {
    HttpClient client(f.loop, f.network, f.address, {.http2 = http2});
    auto stream = co_await client.stream({.target = "/watch"}, 5s);
    EXPECT_TRUE(stream.has_value()) << stream.error().message;
    auto first = co_await (*stream)->read();
    EXPECT_EQ(*first, "first\n");
    EXPECT_EQ(f.site.cancelled, 0);
    stream->reset();  // the client goes away
    while (f.site.cancelled == 0) co_await f.site.changed.wait();
  }
  co_await f.server->stop(1s);
}

TEST_P(BothVersions, HandlerIsCancelledWhenItsClientGoes) {
  Fixture f;
  f.serve();
  run(f.loop, watch(f, GetParam()));
}

awaitable<void> timeout(Fixture& f, bool http2) {
  HttpClient client(f.loop, f.network, f.address, {.http2 = http2});
  auto answer = co_await client.call({.target = "/wait"}, 50ms);
  EXPECT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Code::kTimeout);
  f.site.release = true;
  auto next = co_await client.call({.target = "/wait"}, 5s);
  EXPECT_TRUE(next.has_value() && next->body == "waited");
  co_await f.server->stop(1s);
  auto closed = co_await client.call({.target = "/wait"}, 5s);
  EXPECT_FALSE(closed.has_value());
  EXPECT_EQ(closed.error().code, Code::kUnavailable);
}

TEST_P(BothVersions, TimeoutsEndOneCallOnly) {
  Fixture f;
  f.serve();
  run(f.loop, timeout(f, GetParam()));
}

awaitable<void> release_later(Fixture& f) {
  while (f.site.requests.empty()) co_await f.loop.sleep(1ms);
  f.site.release = true;
  f.site.changed.notify();
  co_await f.server->stop(10s);
}

awaitable<void> graceful(Fixture& f, bool http2) {
  async::TaskGroup tasks(f.loop);
  HttpClient client(f.loop, f.network, f.address, {.http2 = http2});
  tasks.spawn("stop", release_later(f));
  auto answer = co_await client.call({.target = "/wait"}, 5s);
  EXPECT_TRUE(answer.has_value() && answer->body == "waited");
  co_await tasks.join();
  EXPECT_EQ(f.server->connections(), 0u);
}

TEST_P(BothVersions, StopWaitsForRequestsUnderWay) {
  Fixture f;
  f.serve();
  run(f.loop, graceful(f, GetParam()));
}

// ---- HTTP/1.1 on the wire ----

awaitable<void> pipelined(Fixture& f) {
  const std::string out = co_await f.raw(
      "GET /echo HTTP/1.1\r\nHost: x\r\n\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n0\r\n\r\nGET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(count_of(out, "HTTP/1.1 200 OK"), 3u) << out;
  EXPECT_LT(out.find("\r\n\r\nGET "), out.find("\r\n\r\nPOST abc"));
  EXPECT_TRUE(out.ends_with("6\r\npart2;\r\n0\r\nX-Trailer: t\r\n\r\n")) << out;
  co_await f.server->stop(1s);
}

TEST(Http1Server, AnswersPipelinedRequestsInOrder) {
  Fixture f;
  f.serve();
  run(f.loop, pipelined(f));
}

awaitable<void> old_version(Fixture& f) {
  const std::string out = co_await f.raw("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_EQ(out.find("chunked"), std::string::npos);
  EXPECT_TRUE(out.ends_with("\r\n\r\npart0;part1;part2;")) << out;
  co_await f.server->stop(1s);
}

TEST(Http1Server, StreamsToHttp10UntilClose) {
  Fixture f;
  f.serve();
  run(f.loop, old_version(f));
}

awaitable<void> expects(Fixture& f) {
  const std::string first = co_await f.raw(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", "\r\n\r\n");
  EXPECT_EQ(first, "HTTP/1.1 100 Continue\r\n\r\n");
  const std::string other =
      co_await f.raw("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: magic\r\n\r\n");
  EXPECT_TRUE(other.starts_with("HTTP/1.1 417 ")) << other;
  co_await f.server->stop(1s);
}

TEST(Http1Server, AnswersExpectContinue) {
  Fixture f;
  f.serve();
  run(f.loop, expects(f));
}

awaitable<void> refusals(Fixture& f) {
  const std::string bad = co_await f.raw("GET / HTTP/1.1\r\nHost : x\r\n\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(bad.starts_with("HTTP/1.1 400 Bad Request\r\n")) << bad;
  EXPECT_EQ(count_of(bad, "HTTP/1.1"), 1u);
  EXPECT_NE(bad.find("own words 400"), std::string::npos);
  EXPECT_NE(bad.find("Connection: close"), std::string::npos);
  const std::string smuggled = co_await f.raw(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  EXPECT_TRUE(smuggled.starts_with("HTTP/1.1 400 ")) << smuggled;
  const std::string chunk =
      co_await f.raw("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  EXPECT_TRUE(chunk.starts_with("HTTP/1.1 400 ")) << chunk;
  const std::string fields = co_await f.raw("GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(70'000, 'a') + "\r\n\r\n");
  EXPECT_TRUE(fields.starts_with("HTTP/1.1 431 ")) << fields;
  const std::string large = co_await f.raw("PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n");
  EXPECT_TRUE(large.starts_with("HTTP/1.1 413 ")) << large;
  EXPECT_TRUE(f.site.requests.empty());
  co_await f.server->stop(1s);
}

Response own_words(int status, std::string_view) { return {status, {}, fmt::format("own words {}", status), {}}; }

TEST(Http1Server, RefusesBadMessagesInItsOwnersWords) {
  Fixture f;
  f.serve({.error_response = own_words});
  run(f.loop, refusals(f));
}

awaitable<void> slow(Fixture& f) {
  const std::string head = co_await f.raw("GET / HTTP/1.1\r\nHost:");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 408 ")) << head;
  const std::string body = co_await f.raw("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_TRUE(body.starts_with("HTTP/1.1 408 ")) << body;
  const std::string idle = co_await f.raw("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");  // closed when idle
  EXPECT_TRUE(idle.starts_with("HTTP/1.1 200 ")) << idle;
  co_await f.server->stop(1s);
}

TEST(Http1Server, SlowClientsAreTimedOut) {
  Fixture f;
  f.serve({.limits = {.header_timeout = 40ms, .body_timeout = 40ms, .idle_timeout = 40ms}});
  run(f.loop, slow(f));
}

awaitable<void> upgrades(Fixture& f) {
  const std::string out = co_await f.raw(
      "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly", "early");
  EXPECT_TRUE(out.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << out;
  HttpClient client(f.loop, f.network, f.address, {});
  auto pair = co_await client.upgrade(
      {.target = "/upgrade", .headers = {{"Connection", "Upgrade"}, {"Upgrade", "echo"}}}, 5s);
  EXPECT_TRUE(pair.has_value()) << pair.error().message;
  auto& stream = *pair->second;
  EXPECT_EQ(pair->first.headers.get("upgrade"), "echo");
  (void)co_await stream.write(std::string_view("hello"));
  char buffer[10];
  auto count = co_await stream.read(asio::buffer(buffer));
  EXPECT_EQ(std::string_view(buffer, *count), "hello");
  auto refused = co_await client.upgrade({.target = "/echo"}, 5s);
  EXPECT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message, "upgrade refused with status 200: GET ");
  co_await f.server->stop(0s);
}

TEST(Http1Server, HandsOverUpgradedConnections) {
  Fixture f;
  f.serve();
  run(f.loop, upgrades(f));
}

awaitable<void> crowded(Fixture& f) {
  auto first = co_await f.network.connect(f.address, 5s);
  while (f.server->connections() == 0) co_await f.loop.sleep(1ms);
  const std::string out = co_await f.raw("");
  EXPECT_TRUE(out.starts_with("HTTP/1.1 503 ")) << out;
  co_await f.server->stop(0s);
}

TEST(Http1Server, RefusesConnectionsAboveItsLimit) {
  Fixture f;
  f.serve({.limits = {.connections = 1}});
  run(f.loop, crowded(f));
}

TEST(TcpNetwork, TakenPortIsNamed) {
  async::SystemLoop loop;
  TcpNetwork network(loop);
  auto first = network.listen(kAnyPort);
  auto second = network.listen((*first)->local());
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kAlreadyExists);
  EXPECT_NE(second.error().message.find(std::to_string((*first)->local().port)), std::string::npos);
}

}  // namespace
}  // namespace rs::net
