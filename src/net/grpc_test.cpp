#include "net/grpc.h"

#include "async/event.h"
#include "net/grpc_message.h"
#include "net/net_testing.h"

namespace rs::net::grpc {
namespace {
using namespace std::chrono_literals;

struct Fixture {
  explicit Fixture(ServerOptions options = {}) : changed(loop), server(loop, with_http(std::move(options))) {
    server.unary("/test.Echo/Say", [this](const CallInfo& info, std::string_view message, std::unique_ptr<UnaryResponder> r) {
      last = info;
      if (message == "fail") return r->fail({StatusCode::kNotFound, "no such \xc3\xbcser: 100%"});
      if (message == "drop") return;
      if (message == "later") {
        kept = std::move(r);
        changed.notify();
        return;
      }
      r->reply("you said " + std::string(message));
    });
    server.streaming("/test.Echo/Chat", [this](ServerStream& stream) { return chat(stream); });
    server.streaming("/test.Echo/Flood", [this](ServerStream& stream) { return flood(stream); });
    auto listener = network.listen(kAnyPort);
    address = (*listener)->local();
    server.serve(std::move(*listener));
  }
  static ServerOptions with_http(ServerOptions options) {
    options.http_handler = [](Request& request, ResponseWriter& writer) -> awaitable<void> {
      (void)co_await writer.send({200, {}, fmt::format("HTTP/{}", request.http_major), {}});
    };
    return options;
  }
  awaitable<Status> chat(ServerStream& stream) {
    struct Mark {
      Fixture& f;
      ~Mark() {
        ++f.ended;
        f.changed.notify();
      }
    } mark{*this};
    for (;;) {
      auto message = co_await stream.read();
      if (!message) co_return Status{StatusCode::kInternal, message.error().message};
      if (!*message) co_return Status{StatusCode::kOutOfRange, "bye"};
      (void)co_await stream.write(std::make_shared<const std::string>(**message + "!"));
    }
  }
  awaitable<Status> flood(ServerStream& stream) {
    const auto message = std::make_shared<const std::string>(100'000, 'f');
    for (int i = 0; i < 100; ++i) {
      auto written = co_await stream.write(message);
      if (!written) co_return Status{StatusCode::kUnavailable, ""};
      unsent_max = std::max(unsent_max, stream.unsent_bytes());
    }
    co_return Status{};
  }

  async::SystemLoop loop;
  TcpNetwork network{loop};
  async::Event changed;
  CallInfo last;
  std::unique_ptr<UnaryResponder> kept;
  int ended = 0;
  size_t unsent_max = 0;
  Server server;
  Address address;
};

awaitable<void> unary(Fixture& f) {
  Client client(f.loop, f.network, f.address, {});
  Status status;
  auto answer = co_await client.call("/test.Echo/Say", "hi", {{"x-user", "bob"}}, 5s, &status);
  EXPECT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ(*answer, "you said hi");
  EXPECT_EQ(f.last.metadata.get("x-user"), "bob");
  EXPECT_TRUE(f.last.deadline.has_value());
  const std::string large(1'900'000, 'l');
  auto echoed = co_await client.call("/test.Echo/Say", large, {}, 5s);
  EXPECT_TRUE(echoed.has_value() && echoed->size() == large.size() + 9);

  auto failed = co_await client.call("/test.Echo/Say", "fail", {}, 5s, &status);
  EXPECT_EQ(failed.error().code, Code::kNotFound);
  EXPECT_EQ(status.code, StatusCode::kNotFound);
  EXPECT_EQ(status.message, "no such \xc3\xbcser: 100%");
  auto dropped = co_await client.call("/test.Echo/Say", "drop", {}, 5s, &status);
  EXPECT_EQ(status.code, StatusCode::kInternal);
  auto service = co_await client.call("/no.Such/Say", "", {}, 5s, &status);
  EXPECT_EQ(status.code, StatusCode::kUnimplemented);
  EXPECT_EQ(status.message, "unknown service no.Such");  // grpc-go server.go handleStream
  auto method = co_await client.call("/test.Echo/Nope", "", {}, 5s, &status);
  EXPECT_EQ(status.message, "unknown method Nope for service test.Echo");
  auto too_large = co_await client.call("/test.Echo/Say", std::string(3 << 20, 'x'), {}, 5s, &status);
  EXPECT_EQ(status.code, StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message, "grpc: received message larger than max (3145728 vs. 2097152)");
  auto compressed = co_await client.call("/test.Echo/Say", "x", {{"grpc-encoding", "gzip"}}, 5s, &status);
  EXPECT_EQ(status.code, StatusCode::kUnimplemented);
  EXPECT_EQ(status.message, "grpc: Decompressor is not installed for grpc-encoding \"gzip\"");
  auto late = co_await client.call("/test.Echo/Say", "later", {}, 30ms, &status);
  EXPECT_EQ(status.code, StatusCode::kDeadlineExceeded);
  while (!f.kept->cancelled()) co_await f.loop.sleep(1ms);
  f.kept->reply("nobody hears");
  co_await f.server.stop(1s);
}

TEST(Grpc, UnaryCalls) {
  Fixture f;
  run(f.loop, unary(f));
}

awaitable<void> one_call(Client& client, int i, int& done) {
  auto answer = co_await client.call("/test.Echo/Say", std::to_string(i), {}, 10s);
  EXPECT_TRUE(answer.has_value() && *answer == fmt::format("you said {}", i));
  ++done;
}

awaitable<void> concurrent(Fixture& f) {
  Client client(f.loop, f.network, f.address, {});
  async::TaskGroup tasks(f.loop);
  int done = 0;
  for (int i = 0; i < 2000; ++i) tasks.spawn("call", one_call(client, i, done));
  co_await tasks.join();
  EXPECT_EQ(done, 2000);
  co_await f.server.stop(1s);
}

TEST(Grpc, ManyCallsAtOnceOnOneConnection) {
  Fixture f;
  run(f.loop, concurrent(f));
}

awaitable<void> streams(Fixture& f) {
  Client client(f.loop, f.network, f.address, {});
  auto opened = co_await client.open("/test.Echo/Chat", {});
  EXPECT_TRUE(opened.has_value());
  auto& stream = **opened;
  for (int i = 0; i < 10; ++i) {
    (void)co_await stream.write(fmt::format("m{}", i));
    auto answer = co_await stream.read();
    EXPECT_TRUE(answer.has_value() && answer->has_value());
    EXPECT_EQ(**answer, fmt::format("m{}!", i));
  }
  (void)co_await stream.write(std::string(1'900'000, 'q'));  // larger than the stream's window
  auto large = co_await stream.read();
  EXPECT_TRUE(large.has_value() && large->has_value() && (*large)->size() == 1'900'001);
  (void)co_await stream.writes_done();
  auto last = co_await stream.read();
  EXPECT_FALSE(last.has_value());
  EXPECT_EQ(last.error().code, Code::kOutOfRange);
  EXPECT_EQ(last.error().message, "bye");

  auto gone = co_await client.open("/test.Echo/Chat", {});
  (void)co_await (*gone)->write("x");
  (void)co_await (*gone)->read();
  const int before = f.ended;
  gone->reset();  // the client goes away: the handler is cancelled
  while (f.ended == before) co_await f.changed.wait();

  auto flood = co_await client.open("/test.Echo/Flood", {});
  while (f.unsent_max < (1 << 20)) co_await f.loop.sleep(1ms);
  size_t received = 0;
  for (;;) {
    auto message = co_await (*flood)->read();
    EXPECT_TRUE(message.has_value()) << message.error().message;
    if (!message || !*message) break;
    received += (*message)->size(); 
  }
  EXPECT_EQ(received, 10'000'000u);
  EXPECT_LT(f.unsent_max, 1'200'000u);
  co_await f.server.stop(1s);
}

TEST(Grpc, StreamsWithFlowControlAndCancellation) {
  Fixture f;
  run(f.loop, streams(f));
}

awaitable<void> stops(Fixture& f) {
  Client client(f.loop, f.network, f.address, {});
  auto chatting = co_await client.open("/test.Echo/Chat", {});
  EXPECT_TRUE(((co_await (*chatting)->write("a")).has_value()));
  EXPECT_EQ((co_await (*chatting)->read()).value(), "a!");
  auto flooding = co_await client.open("/test.Echo/Flood", {});
  EXPECT_TRUE((co_await (*flooding)->read()).value().has_value());
  bool stopped = false;
  async::TaskGroup tasks(f.loop);
  // Longer than the test may take: who waits for it fails.
  tasks.spawn_fn("stop", [&]() -> awaitable<void> {
    co_await f.server.stop(1h);
    stopped = true;
    f.changed.notify();
  });
  auto ended = co_await (*chatting)->read();
  EXPECT_FALSE(ended.has_value());
  if (!ended) EXPECT_EQ(ended.error().message, "the server is stopping");
  // An answer under way is finished.
  int messages = 1;
  for (;;) {
    auto more = co_await (*flooding)->read();
    EXPECT_TRUE(more.has_value());
    if (!more || !*more) break;
    ++messages;
  }
  EXPECT_EQ(messages, 100);
  while (!stopped) co_await f.changed.wait();
}

TEST(Grpc, StoppingEndsStreamsThatWaitForTheirClient) {
  Fixture f;
  run(f.loop, stops(f));
}

awaitable<void> other_requests(Fixture& f) {
  for (const bool http2 : {false, true}) {
    HttpClient client(f.loop, f.network, f.address, {.http2 = http2});
    auto answer = co_await client.call({.target = "/health"}, 5s);
    EXPECT_TRUE(answer.has_value() && answer->body == (http2 ? "HTTP/2" : "HTTP/1"));
  }
  co_await f.server.stop(1s);
}

TEST(Grpc, OtherRequestsGoToTheHttpHandler) {
  Fixture f;
  run(f.loop, other_requests(f));
}

awaitable<void> reconnects(Fixture& f) {
  Client client(f.loop, f.network, f.address, {});
  EXPECT_TRUE((co_await client.call("/test.Echo/Say", "1", {}, 5s)).has_value());
  co_await f.server.stop(0s);
  Status status;
  auto down = co_await client.call("/test.Echo/Say", "2", {}, 5s, &status);
  EXPECT_EQ(status.code, StatusCode::kUnavailable);
  EXPECT_EQ(down.error().code, Code::kUnavailable);
  Server second(f.loop, {});
  second.unary("/test.Echo/Say", [](const CallInfo&, std::string_view, std::unique_ptr<UnaryResponder> r) { r->reply("new"); });
  auto listener = f.network.listen(f.address);
  EXPECT_TRUE(listener.has_value());
  second.serve(std::move(*listener));
  auto up = co_await client.call("/test.Echo/Say", "3", {}, 5s);
  EXPECT_TRUE(up.has_value() && *up == "new");
  co_await second.stop(1s);
}

TEST(Grpc, ClientConnectsAgain) {
  Fixture f;
  run(f.loop, reconnects(f));
}

// A client's preface, SETTINGS and pings as bytes (RFC 9113 3.4, 6.5, 6.7).
awaitable<void> pings(Fixture& f) {
  std::string bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\0\0\0\x04\0\0\0\0\0", 9);
  for (int i = 0; i < 10; ++i) bytes += std::string("\0\0\x08\x06\0\0\0\0\0" "abcdefgh", 17);
  const std::string out = co_await raw_exchange(f.network, f.address, bytes);
  EXPECT_NE(out.find("too_many_pings"), std::string::npos);
  co_await f.server.stop(1s);
}

TEST(Grpc, TooManyPingsEndTheConnection) {
  Fixture f;
  run(f.loop, pings(f));
}

std::string h2_frame(std::string_view payload, char type, char flags, char stream) {
  std::string out{char(payload.size() >> 16), char(payload.size() >> 8), char(payload.size()), type, flags, 0, 0, 0, stream};
  return out.append(payload);
}

// grpc-go measures the connection with a PING whenever data came in (its BDP estimator), which its own server allows.
awaitable<void> pings_while_reading(Fixture& f) {
  std::string fields;
  for (auto [name, value] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {":method", "POST"}, {":scheme", "http"}, {":path", "/test.Echo/Flood"}, {"content-type", "application/grpc"}}) {
    fields.append({0, char(name.size())}).append(name).append({char(value.size())}).append(value);
  }
  std::string bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame({"\0\4\x40\0\0\0", 6}, 4, 0, 0) +
                      h2_frame({"\x40\0\0\0", 4}, 8, 0, 0);
  for (char id : {1, 3, 5, 7}) bytes += h2_frame(fields, 1, 4, id) + h2_frame({"\0\0\0\0\0", 5}, 0, 1, id);
  auto stream = co_await f.network.connect(f.address, 5s);
  EXPECT_TRUE((co_await (*stream)->write(bytes)).has_value());
  const std::string ping = h2_frame("abcdefgh", 6, 0, 0);
  std::string buffer(64 << 10, 0), frames;
  size_t data = 0, answered = 0;
  bool outstanding = false;
  while (data < 40'000'000) {  // what four Floods send
    auto count = co_await (*stream)->read(asio::buffer(buffer));
    EXPECT_TRUE(count && *count > 0) << data;
    if (!count || *count == 0) break;
    frames.append(buffer, 0, *count);
    size_t offset = 0;
    auto byte = [&](size_t i) { return size_t(uint8_t(frames[offset + i])); };
    while (frames.size() >= offset + 9) {
      const size_t length = byte(0) << 16 | byte(1) << 8 | byte(2), type = byte(3);
      if (frames.size() < offset + 9 + length) break;
      EXPECT_NE(type, 7u) << frames.substr(offset + 17, length - 8);  // GOAWAY
      if (type == 6) {
        outstanding = false;
        ++answered;
      } else if (type == 0) {
        data += length;
        if (!std::exchange(outstanding, true)) EXPECT_TRUE((co_await (*stream)->write(ping)).has_value());
      }
      offset += 9 + length;
    }
    frames.erase(0, offset);
  }
  EXPECT_GT(answered, 3u);
  (*stream)->close();
  co_await f.server.stop(1s);
}

TEST(Grpc, PingsBetweenTheDataOfAnAnswerAreNotTooMany) {
  Fixture f;
  run(f.loop, pings_while_reading(f));
}

TEST(GrpcMessage, TimeoutsBothWays) {
  EXPECT_EQ(write_timeout(1500ms), "1500m");
  EXPECT_EQ(*parse_timeout("1500m"), Duration(1500ms));
  EXPECT_EQ(*parse_timeout("2H"), Duration(2h));
  for (const char* text : {"", "m", "1", "-1S", "123456789S", "1x"}) EXPECT_FALSE(parse_timeout(text)) << text;
}

}  // namespace
}  // namespace rs::net::grpc
