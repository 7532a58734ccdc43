// The HTTP data path end to end over loopback: real clients' bytes, a Mesh, servers with scripted answers.
#include "mesh/test_bench.h"

namespace rs::mesh::testing {
namespace {

using HttpProxy = MeshTest;

TEST_F(HttpProxy, EveryNameReachesTheServiceAndFieldsAreCleaned) {
  RawServer server(loop, always(ok("hello", "Connection: x-private\r\nX-Private: 1\r\nX-Public: 2\r\n")));
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{server.port()}});
    co_await begin();
    for (auto host : {"payments.bank", "payments.bank.svc", "payments.bank.svc.cluster.local", "payments.bank:80", "10.43.0.99"}) {
      auto answer = co_await fetch(host, "GET", "Connection: keep-alive, x-drop\r\nX-Drop: 1\r\nTE: trailers\r\nX-Keep: 1\r\n");
      EXPECT_EQ(answer.status(), 200) << host;
      EXPECT_EQ(answer.body, "hello");
      EXPECT_FALSE(answer.head.headers.has("x-private"));
      EXPECT_EQ(answer.header("x-public"), "2");
    }
    auto& seen = server.received.at(0).head;
    EXPECT_FALSE(seen.headers.has("x-drop"));
    EXPECT_FALSE(seen.headers.has("te"));
    EXPECT_EQ(seen.headers.get("x-keep"), "1");
    EXPECT_EQ(seen.headers.get("x-request-id").size(), 36u);
    EXPECT_EQ(seen.headers.get("host"), "payments.bank");
    // As http_proxy clients ask.
    auto peer = co_await connect();
    (void)co_await peer.send("GET http://payments.bank/a?b HTTP/1.1\r\nHost: payments.bank\r\n\r\n");
    EXPECT_EQ((co_await peer.receive()).value().status(), 200);
    EXPECT_EQ(server.received.back().head.target, "/a?b");
    EXPECT_EQ(server.connections, 1) << "connections to endpoints are kept";
    co_await server.stop();
  });
}

TEST_F(HttpProxy, RefusalsSayWhy) {
  RawServer server(loop, always(ok("hello")));
  run([&]() -> awaitable<void> {
    service("empty");
    service("unready", "bank", 80, "10.43.0.98");
    endpoints("unready", {{server.port(), false}});
    co_await begin();
    auto empty = co_await fetch("empty.bank");
    EXPECT_EQ(empty.status(), 503);
    EXPECT_EQ(empty.header("l5d-err"), "no-endpoints");
    EXPECT_THAT(empty.body, ::testing::HasSubstr("service bank/empty has no endpoints"));
    auto unready = co_await fetch("unready.bank");
    EXPECT_EQ(unready.status(), 503);
    EXPECT_THAT(unready.body, ::testing::HasSubstr("none of the 1 endpoints of service bank/unready is ready"));
    auto unknown = co_await fetch("nothing.bank");
    EXPECT_EQ(unknown.status(), 404);
    EXPECT_THAT(unknown.body, ::testing::HasSubstr("there is no service \"nothing\" in namespace \"bank\""));
    EXPECT_EQ((co_await fetch("empty.bank:81")).status(), 404);
    EXPECT_EQ((co_await fetch("api.some.example.com")).status(), 404);
    EXPECT_EQ((co_await fetch("8.8.8.8")).status(), 502);
    EXPECT_EQ((co_await fetch("-bad-")).status(), 400);
    EXPECT_EQ(server.requests, 0);
    co_await server.stop();
  });
}

TEST_F(HttpProxy, KeepAliveAndPipeliningAnswerInOrder) {
  struct Echo {
    static awaitable<std::string> answer(std::string target) { co_return ok(target); }
    awaitable<std::string> operator()(const Received& r, net::Stream&) const { return answer(r.head.target); }
  };
  RawServer server(loop, Echo{});
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{server.port()}});
    co_await begin();
    auto peer = co_await connect();
    std::string three;
    for (int i = 0; i < 3; ++i) three += fmt::format("GET /{} HTTP/1.1\r\nHost: payments.bank\r\n\r\n", i);
    (void)co_await peer.send(three);
    for (int i = 0; i < 3; ++i) EXPECT_EQ((co_await peer.receive()).value().body, fmt::format("/{}", i));
    (void)co_await peer.send("GET /last HTTP/1.0\r\nHost: payments.bank\r\n\r\n");
    EXPECT_EQ((co_await peer.receive()).value().header("connection"), "close");
    EXPECT_EQ((co_await peer.more()).value(), 0u);
    co_await server.stop();
  });
}

TEST_F(HttpProxy, BodiesOfEveryFramingPassWhole) {
  std::string big(3 << 20, 'x');
  struct Mirror {
    static awaitable<std::string> answer(std::string target, std::string body) {
      if (target == "/chunked") {
        std::string out = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (size_t at = 0; at < body.size(); at += 100'000) {
          auto part = body.substr(at, 100'000);
          out += fmt::format("{:x};note=1\r\n{}\r\n", part.size(), part);
        }
        co_return out + "0\r\nX-Sum: 7\r\n\r\n";
      }
      if (target == "/close") co_return "HTTP/1.1 200 OK\r\n\r\n" + body;
      co_return ok(body);
    }
    awaitable<std::string> operator()(const Received& r, net::Stream&) const { return answer(r.head.target, r.body); }
  };
  struct MirrorAndClose {
    static awaitable<std::string> answer(std::string body, net::Stream& stream) {
      (void)co_await stream.write("HTTP/1.1 200 OK\r\n\r\n" + body);
      co_return std::string();
    }
    awaitable<std::string> operator()(const Received& r, net::Stream& s) const { return answer(r.body, s); }
  };
  RawServer server(loop, Mirror{}), closing(loop, MirrorAndClose{});
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{server.port()}});
    service("closing", "bank", 80, "10.43.0.98");
    endpoints("closing", {{closing.port()}});
    co_await begin();
    auto peer = co_await connect();
    for (auto [host, path] : {std::pair("payments.bank", "/length"), std::pair("payments.bank", "/chunked"), std::pair("closing.bank", "/")}) {
      (void)co_await peer.send(fmt::format("POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{}", path, host, big.size(), big));
      auto answer = co_await peer.receive("POST");
      EXPECT_TRUE(answer.has_value() && answer->body == big) << path << (answer ? std::to_string(answer->body.size()) : answer.error().message);
    }
    (void)co_await peer.send("POST /chunked HTTP/1.1\r\nHost: payments.bank\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    (void)co_await peer.send("6\r\n world\r\n0\r\n\r\n");
    EXPECT_EQ((co_await peer.receive("POST")).value().body, "hello world");
    (void)co_await peer.send("HEAD / HTTP/1.1\r\nHost: payments.bank\r\n\r\n");
    EXPECT_EQ((co_await peer.receive("HEAD")).value().status(), 200);
    (void)co_await peer.send("POST / HTTP/1.1\r\nHost: payments.bank\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    auto interim = co_await peer.receive("POST");
    EXPECT_EQ(interim.value().status(), 100);
    (void)co_await peer.send("abc");
    EXPECT_EQ((co_await peer.receive("POST")).value().body, "abc");
    co_await server.stop();
    co_await closing.stop();
  });
}

TEST_F(HttpProxy, AnIdempotentRequestIsSentAgainElsewhereAnOtherIsNot) {
  RawServer broken(loop, always("")), good(loop, always(ok("good")));
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{broken.port()}, {good.port()}});
    co_await begin();
    int lost = 0;
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ((co_await fetch("payments.bank", "GET")).status(), 200);
      EXPECT_EQ((co_await fetch("payments.bank", "POST", "Idempotency-Key: k\r\n", "pay")).status(), 200);
    }
    EXPECT_GT(broken.requests, 0);
    // Alone, the broken one shows that a POST without a key is not repeated.
    endpoints("payments", {{broken.port()}, {broken.port()}});
    co_await loop.sleep(20ms);
    int before = broken.requests;
    auto answer = co_await fetch("payments.bank", "POST", "", "pay");
    lost += answer.status() == 502 ? 1 : 0;
    EXPECT_EQ(lost, 1);
    EXPECT_EQ(answer.header("l5d-err"), "connection-lost");
    EXPECT_EQ(broken.requests - before, 1);
    co_await broken.stop();
    co_await good.stop();
  });
}

TEST_F(HttpProxy, AConnectionFailureIsRetriedForAnyMethodAndTheDeadEndpointAvoided) {
  RawServer good(loop, always(ok("good")));
  run([&]() -> awaitable<void> {
    uint16_t dead = 0;
    {
      auto listener = network.listen({"127.0.0.1", 0});
      dead = (*listener)->local().port;
    }
    service("payments");
    endpoints("payments", {{dead}, {good.port()}});
    co_await begin();
    for (int i = 0; i < 30; ++i) EXPECT_EQ((co_await fetch("payments.bank", "POST", "", "pay")).status(), 200);
    EXPECT_EQ(good.requests, 30);
    auto text = registry.text();
    auto at = text.find("mesh_connect_failures_total{");
    auto line = text.substr(at, text.find('\n', at) - at);
    EXPECT_LE(std::stoi(line.substr(line.rfind(' '))), 2) << line;
    co_await good.stop();
  });
}

TEST_F(HttpProxy, AStalePooledConnectionIsReplacedAndNotHeldAgainstTheEndpoint) {
  // Answers once a connection, then closes it when the next request has arrived.
  struct Once {
    static awaitable<std::string> answer(int number) { co_return number == 1 ? ok("first") : std::string(); }
    awaitable<std::string> operator()(const Received& r, net::Stream&) const { return answer(r.number); }
  };
  RawServer server(loop, Once{});
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{server.port()}});
    co_await begin();
    for (int i = 0; i < 5; ++i) EXPECT_EQ((co_await fetch("payments.bank")).status(), 200) << i;
    EXPECT_EQ(server.connections, 5);
    co_await server.stop();
  });
}

TEST_F(HttpProxy, TimeoutsEndIn504) {
  struct Slow {
    async::Loop& loop;
    static awaitable<std::string> answer(async::Loop& l) {
      co_await l.sleep(1h);
      co_return ok("late");
    }
    awaitable<std::string> operator()(const Received&, net::Stream&) const { return answer(loop); }
  };
  RawServer server(loop, Slow{loop});
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{server.port()}});
    co_await begin();
    auto begun = loop.now();
    auto answer = co_await fetch("payments.bank", "GET", "x-request-timeout-ms: 60\r\n");
    EXPECT_EQ(answer.status(), 504);
    EXPECT_GE(loop.now() - begun, 60ms);
    EXPECT_LT(loop.now() - begun, 5s);
    EXPECT_THAT(answer.body, ::testing::HasSubstr("did not answer within"));
    co_await server.stop();
  });
}

TEST_F(HttpProxy, UpgradeAndConnectBecomeTunnels) {
  struct Switch {
    static awaitable<std::string> answer(net::Stream& stream) {
      (void)co_await stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      char buffer[100];
      for (;;) {
        auto read = co_await stream.read(boost::asio::buffer(buffer));
        if (!read || *read == 0) co_return std::string();
        (void)co_await stream.write(std::string_view(buffer, *read));
      }
    }
    awaitable<std::string> operator()(const Received&, net::Stream& s) const { return answer(s); }
  };
  RawServer server(loop, Switch{});
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{server.port()}});
    co_await begin();
    for (bool connect_first : {false, true}) {
      auto peer = co_await connect();
      if (connect_first) {
        (void)co_await peer.send("CONNECT payments.bank:80 HTTP/1.1\r\nHost: payments.bank:80\r\n\r\n");
        EXPECT_EQ((co_await peer.receive("CONNECT")).value().status(), 200);
      }
      (void)co_await peer.send("GET / HTTP/1.1\r\nHost: payments.bank\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      auto answer = co_await peer.receive();
      EXPECT_EQ(answer.value().status(), 101);
      EXPECT_EQ(answer.value().header("upgrade"), "echo");
      (void)co_await peer.send("ping");
      while (peer.unread().size() < 4)
        if (auto read = co_await peer.more(); !read || *read == 0) break;
      EXPECT_EQ(peer.unread(), "ping");
      (void)co_await peer.stream().shutdown_write();
      EXPECT_EQ((co_await peer.more()).value_or(1), 0u) << "the half close goes through";
    }
    co_await server.stop();
  });
}

TEST_F(HttpProxy, MalformedAndSmuggledRequestsGoNowhere) {
  RawServer server(loop, always(ok("hello")));
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{server.port()}});
    co_await begin();
    for (std::string request :
         {"GET / HTTP/1.1\r\nHost: payments.bank\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: payments.bank\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
          "GET / HTTP/1.1\r\nHost : payments.bank\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "nonsense\r\n\r\n",
          "GET http://other.bank/ HTTP/1.1\r\nHost: payments.bank\r\n\r\n",
          "POST / HTTP/1.1\r\nHost: payments.bank\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
      auto peer = co_await connect();
      (void)co_await peer.send(request);
      auto answer = co_await peer.receive();
      EXPECT_EQ(answer ? answer->status() : 0, 400) << request;
      EXPECT_EQ((co_await peer.more()).value_or(1), 0u) << request;
    }
    EXPECT_EQ(server.requests, 0);
    co_await server.stop();
  });
}

TEST_F(HttpProxy, Http2ByPriorKnowledgeIsToldToUseHttp1) {
  run([&]() -> awaitable<void> {
    co_await begin();
    auto peer = co_await connect();
    (void)co_await peer.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    while (true)
      if (auto read = co_await peer.more(); !read || *read == 0) break;
    // SETTINGS (type 4), then GOAWAY (type 7) with HTTP_1_1_REQUIRED (13): RFC 9113 6.5, 6.8, 7.
    EXPECT_GT(peer.unread().size(), 26u);
    EXPECT_EQ(peer.unread()[3], 4);
    EXPECT_EQ(peer.unread()[12], 7);
    EXPECT_EQ(peer.unread()[25], 13);
    EXPECT_THAT(peer.unread(), ::testing::HasSubstr("use CONNECT"));
  });
}

TEST_F(HttpProxy, AnEarlyAnswerToALargeBodyArrives) {
  // The server answers after the head, and reads no more.
  run([&]() -> awaitable<void> {
    auto listener = network.listen({"127.0.0.1", 0});
    service("payments");
    endpoints("payments", {{(*listener)->local().port}});
    async::TaskGroup tasks(loop);
    struct Early {
      static awaitable<void> serve(net::Listener& listener_, async::Loop& loop_) {
        auto stream = co_await listener_.accept();
        char buffer[4096];
        (void)co_await (*stream)->read(boost::asio::buffer(buffer));
        (void)co_await (*stream)->write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch");
        co_await loop_.sleep(1h);
      }
    };
    tasks.spawn("server", Early::serve(**listener, loop));
    co_await begin();
    auto peer = co_await connect();
    (void)co_await peer.send("POST / HTTP/1.1\r\nHost: payments.bank\r\nContent-Length: 100000000\r\n\r\n" + std::string(100'000, 'x'));
    auto answer = co_await peer.receive("POST");
    EXPECT_EQ(answer ? answer->status() : 0, 413);
    EXPECT_EQ(answer ? answer->body : "", "much");
    co_await tasks.stop();
  });
}

}  // namespace
}  // namespace rs::mesh::testing
