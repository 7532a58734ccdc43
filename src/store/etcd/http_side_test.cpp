// The HTTP side of the store over real connections. Answers marked "etcd 3.4.23" are what Debian's
// etcd answered; the texts of /livez, /readyz and /health are etcd 3.6's (etcdhttp/health.go).
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "base/json.h"
#include "store/etcd/service.h"
#include "store/mvcc/watch_hub.h"

namespace rs::store::etcd {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(20);

class HttpSideTest : public ::testing::Test {
 protected:
  using Body = std::function<awaitable<void>()>;

  void run(Body body, EtcdOptions options = {}) {
    async::TaskGroup tasks(loop_);
    tasks.spawn_fn("test", [&]() -> awaitable<void> {
      auto store = co_await Embedded::open(loop_, {});
      store_ = std::move(*store);
      service_ = std::make_unique<EtcdService>(loop_, *store_, std::move(options));
      net::grpc::Server server(loop_, service_->server_options());
      service_->add_to(server);
      auto listener = network_.listen({"127.0.0.1", 0});
      EXPECT_TRUE(listener.has_value());
      address_ = (*listener)->local();
      server.serve(std::move(*listener));
      co_await body();
      client_.reset();
      co_await server.stop(std::chrono::seconds(1));
      co_await service_->stop();
      service_.reset();
      co_await store_->close();
      store_.reset();
      done_ = true;
      loop_.stop();
    });
    loop_.context().run_for(std::chrono::seconds(60));
    EXPECT_TRUE(done_) << "the test hangs";
  }

  net::HttpClient& client(bool http2 = false) {
    if (client_ == nullptr || http2_ != http2)
      client_ = std::make_unique<net::HttpClient>(loop_, network_, address_,
                                                  net::HttpClientOptions{.http2 = http2});
    http2_ = http2;
    return *client_;
  }
  net::Request request(std::string method, std::string target, std::string body = {}) {
    net::Request out;
    out.method = std::move(method);
    out.authority = net::to_string(address_);
    out.target = std::move(target);
    out.body = std::move(body);
    return out;
  }
  awaitable<net::Response> call(net::Request request) {
    auto response = co_await client().call(std::move(request), kTimeout);
    EXPECT_TRUE(response.has_value()) << (response ? "" : response.error().message);
    co_return response ? std::move(*response) : net::Response{.status = 0};
  }
  awaitable<net::Response> post(std::string path, std::string body) {
    co_return co_await call(request("POST", std::move(path), std::move(body)));
  }
  awaitable<net::Response> get(std::string target) {
    co_return co_await call(request("GET", std::move(target)));
  }
  // The answer without its header, which has ids of the store.
  static Json answer(const net::Response& response) {
    auto json = parse_json(response.body);
    EXPECT_TRUE(json.has_value()) << response.body;
    if (!json || !json->is_object()) return {};
    json->as_object().erase("header");
    return std::move(*json);
  }
  // The next line of a stream.
  static awaitable<Json> line(net::ResponseStream& stream, std::string& held) {
    while (held.find('\n') == std::string::npos) {
      auto bytes = co_await stream.read();
      if (!bytes || bytes->empty()) co_return Json();
      held += *bytes;
    }
    auto json = parse_json(std::string_view(held).substr(0, held.find('\n')));
    held.erase(0, held.find('\n') + 1);
    if (!json) co_return Json();
    if (Json* result = find(*json, "result")) result->as_object().erase("header");
    co_return std::move(*json);
  }

  async::SystemLoop loop_;
  net::TcpNetwork network_{loop_};
  std::unique_ptr<Embedded> store_;
  std::unique_ptr<EtcdService> service_;
  std::unique_ptr<net::HttpClient> client_;
  net::Address address_;
  bool http2_ = false, done_ = false;
};

Json json(std::string_view text) {
  return *parse_json(text);
}

// etcd 3.4.23.
TEST_F(HttpSideTest, KeysAreWrittenReadAndComparedAsInEtcd) {
  run([this]() -> awaitable<void> {
    auto put = co_await post("/v3/kv/put", R"({"key":"Zm9v","value":"YmFy"})");
    EXPECT_EQ(put.status, 200);
    EXPECT_EQ(put.headers.get("content-type"), "application/json");
    EXPECT_EQ(put.headers.get("grpc-metadata-content-type"), "application/grpc");
    EXPECT_EQ(put.headers.get("access-control-allow-origin"), "*");
    EXPECT_EQ(str(*parse_json(put.body), "header", "revision"), "2");
    auto range = co_await post("/v3/kv/range", R"({"key":"Zm9v"})");
    EXPECT_EQ(
        answer(range),
        json(
            R"({"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}],"count":"1"})"));
    auto txn = co_await post(
        "/v3/kv/txn",
        R"({"compare":[{"target":"VALUE","result":"EQUAL","key":"Zm9v","value":"YmFy"}],"success":[{"requestRange":{"key":"Zm9v"}}],"failure":[]})");
    EXPECT_EQ(
        answer(txn),
        json(
            R"({"succeeded":true,"responses":[{"response_range":{"header":{"revision":"2"},"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}],"count":"1"}}]})"));
    EXPECT_EQ((co_await post("/v3beta/kv/range", R"({"key":"Zm9v"})")).body, range.body);
  });
}

// etcd 3.4.23 but for the order, "details", and what 3.6 changed: unknown paths and methods answer
// as JSON, and FailedPrecondition is 400.
TEST_F(HttpSideTest, ErrorsHaveTheStatusAndFormOfTheGateway) {
  run([this]() -> awaitable<void> {
    auto broken = co_await post("/v3/kv/range", R"({"key":"Zm9v",})");
    EXPECT_EQ(broken.status, 400);
    EXPECT_EQ(
        broken.body,
        R"({"error":"invalid character '}' looking for beginning of object key string","code":3,"message":"invalid character '}' looking for beginning of object key string","details":[]})");
    auto empty = co_await post("/v3/kv/range", "");
    EXPECT_EQ(empty.status, 400);
    EXPECT_EQ(
        empty.body,
        R"({"error":"etcdserver: key is not provided","code":3,"message":"etcdserver: key is not provided","details":[]})");
    auto future = co_await post("/v3/kv/range", R"({"key":"Zm9v","revision":"1000"})");
    EXPECT_EQ(future.status, 400);
    EXPECT_EQ(integer(answer(future), "code"), 11);
    EXPECT_EQ((co_await post("/v3/lease/revoke", R"({"ID":41})")).status, 404);
    EXPECT_EQ((co_await post("/v3/auth/authenticate", R"({"name":"a","password":"b"})")).status,
              400);
    EXPECT_EQ((co_await post("/v3/nope", "{}")).status, 404);
    EXPECT_EQ((co_await get("/v3/kv/range")).status, 501);
    EXPECT_EQ((co_await post("/v3/watch", "x")).status, 400);
    EXPECT_EQ((co_await get("/debug/pprof/")).status, 404);
    EXPECT_EQ((co_await get("/")).body, "404 page not found\n");
  });
}

// etcd 3.4.23: several requests in one body, and events go on after its end.
TEST_F(HttpSideTest, WatchTellsEventsAsLines) {
  for (bool http2 : {false, true}) {
    done_ = false;
    loop_.context().restart();
    run([this, http2]() -> awaitable<void> {
      auto stream = co_await client(http2).stream(
          request(
              "POST", "/v3/watch",
              R"({"create_request":{"key":"Zm9v"}} {"create_request":{"key":"YmFy","watch_id":"7"}})"),
          kTimeout);
      EXPECT_TRUE(stream.has_value());
      if (!stream) co_return;
      std::string held;
      EXPECT_EQ(co_await line(**stream, held), json(R"({"result":{"created":true}})"));
      EXPECT_EQ(co_await line(**stream, held),
                json(R"({"result":{"created":true,"watch_id":"7"}})"));
      (void)co_await store_->put({.key = "foo", .value = "1"});
      EXPECT_EQ(
          co_await line(**stream, held),
          json(
              R"({"result":{"events":[{"kv":{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"MQ=="}}]}})"));
      (void)co_await store_->delete_range({.key = "foo"});
      EXPECT_EQ(
          co_await line(**stream, held),
          json(
              R"({"result":{"events":[{"type":"DELETE","kv":{"key":"Zm9v","mod_revision":"3"}}]}})"));
    });
  }
}

// etcd 3.4.23.
TEST_F(HttpSideTest, KeepAliveAnswersEachRequestAndEnds) {
  run([this]() -> awaitable<void> {
    (void)co_await post("/v3/lease/grant", R"({"TTL":60,"ID":"42"})");
    auto kept = co_await client().stream(
        request("POST", "/v3/lease/keepalive", R"({"ID":42}{"ID":"43"})"), kTimeout);
    std::string held;
    EXPECT_EQ(co_await line(**kept, held), json(R"({"result":{"ID":"42","TTL":"60"}})"));
    EXPECT_EQ(co_await line(**kept, held), json(R"({"result":{"ID":"43"}})"));
    EXPECT_EQ(*co_await (*kept)->read(), "");
  });
}

TEST_F(HttpSideTest, WatchersThatGoAreForgotten) {
  run([this]() -> awaitable<void> {
    auto stream = co_await client().stream(
        request("POST", "/v3/watch", R"({"create_request":{"key":"Zm9v"}})"), kTimeout);
    std::string held;
    (void)co_await line(**stream, held);
    EXPECT_EQ(store_->hub().size(), 1u);
    stream->reset();
    client_.reset();
    while (store_->hub().size() > 0) co_await loop_.sleep(std::chrono::milliseconds(1));
  });
}

TEST_F(HttpSideTest, ATimeoutEndsAStreamWithItsError) {
  run([this]() -> awaitable<void> {
    auto watch = request("POST", "/v3/watch", R"({"create_request":{"key":"Zm9v"}})");
    watch.headers.add("Grpc-Timeout", "50m");
    auto stream = co_await client().stream(std::move(watch), kTimeout);
    std::string held;
    (void)co_await line(**stream, held);
    Json end = co_await line(**stream, held);
    EXPECT_EQ(integer(end, "error", "code"), 4);
    auto wrong = request("POST", "/v3/kv/range", "{}");
    wrong.headers.add("Grpc-Timeout", "soon");
    EXPECT_EQ((co_await call(std::move(wrong))).status, 400);
  });
}

TEST_F(HttpSideTest, ChecksSayWhatTheyFound) {
  run([this]() -> awaitable<void> {
    EXPECT_EQ((co_await get("/livez")).body, "ok\n");
    EXPECT_EQ((co_await get("/livez?verbose")).body, "[+]serializable_read ok\nok\n");
    EXPECT_EQ((co_await get("/readyz?verbose&exclude=linearizable_read&exclude=nonsense")).body,
              "[+]data_corruption ok\n[+]non_learner ok\n[+]serializable_read ok\nok\n");
    EXPECT_EQ((co_await get("/readyz/linearizable_read?verbose")).body,
              "[+]linearizable_read ok\nok\n");
    EXPECT_EQ((co_await get("/livez/linearizable_read")).status, 404);
    EXPECT_EQ((co_await get("/readyz/")).status, 404);
    EXPECT_EQ((co_await call(request("POST", "/readyz"))).status, 405);
    EXPECT_EQ((co_await get("/health")).body, R"({"health":"true","reason":""})");

    (void)co_await post("/v3/maintenance/alarm", R"({"action":"ACTIVATE","alarm":"CORRUPT"})");
    auto ready = co_await get("/readyz/data_corruption");
    EXPECT_EQ(ready.status, 503);
    EXPECT_EQ(ready.body, "[-]data_corruption failed: alarm activated: CORRUPT\n\n");
    EXPECT_EQ((co_await get("/livez")).status, 200);
    auto health = co_await get("/health?exclude=NOSPACE");
    EXPECT_EQ(health.status, 503);
    EXPECT_EQ(health.body, "{\"health\":\"false\",\"reason\":\"ALARM CORRUPT\"}\n");
    EXPECT_EQ((co_await get("/health?exclude=CORRUPT&serializable=true")).status, 200);
  });
}

TEST_F(HttpSideTest, VersionHasTheKeysOfEtcd) {
  run([this]() -> awaitable<void> {
    EXPECT_EQ((co_await get("/version")).body,
              R"({"etcdserver":"3.6.14","etcdcluster":"3.6.0","storage":"3.6.0"})");
  });
}

// etcd 3.4.23, started with --cors and --host-whitelist.
TEST_F(HttpSideTest, OriginsAndHostsAreChecked) {
  EtcdOptions options;
  options.cors = {"http://a.example"};
  options.host_whitelist = {"127.0.0.1", "etcd.example"};
  run(
      [this]() -> awaitable<void> {
        auto asked = request("GET", "/version");
        asked.headers.add("Origin", "http://a.example");
        EXPECT_EQ((co_await call(asked)).headers.get("access-control-allow-origin"),
                  "http://a.example");
        asked.headers.set("Origin", "http://b.example");
        EXPECT_FALSE((co_await call(asked)).headers.has("access-control-allow-origin"));
        auto other = request("GET", "/version");
        other.authority = "evil.example:2379";
        auto refused = co_await call(other);
        EXPECT_EQ(refused.status, 421);
        EXPECT_NE(refused.body.find("etcd --host-whitelist \"evil.example\""), std::string::npos);
        EXPECT_EQ((co_await call(request("OPTIONS", "/v3/kv/range"))).status, 200);
      },
      std::move(options));
}

TEST_F(HttpSideTest, WithoutTheGatewayThereIsNoJson) {
  EtcdOptions options;
  options.gateway = false;
  run(
      [this]() -> awaitable<void> {
        EXPECT_EQ((co_await post("/v3/kv/range", R"({"key":"Zm9v"})")).status, 404);
        EXPECT_EQ((co_await get("/version")).status, 200);
      },
      std::move(options));
}

// Go's mux (etcd 3.4.23): a path by another name is sent to its own, and escapes do not make
// another one.
TEST_F(HttpSideTest, PathsAreReadAsGoReadsThem) {
  run([this]() -> awaitable<void> {
    const std::string version = (co_await get("/version")).body;
    EXPECT_NE(version.find("etcdserver"), std::string::npos);
    EXPECT_EQ((co_await get("/%76ersion")).body, version);
    for (auto [target, location] :
         {std::pair{"//version", "/version"}, std::pair{"/v3/../version?a=%20b", "/version?a=%20b"},
          std::pair{"/./health", "/health"},
          std::pair{"//evil.example/..//a%0d%0ab%3a%20c", "/a%0D%0Ab%3A%20c"}}) {
      auto moved = co_await get(target);
      EXPECT_EQ(moved.status, 301) << target;
      EXPECT_EQ(moved.headers.get("location"), location) << target;
    }
    EXPECT_EQ((co_await get("/version/")).status, 404);
    EXPECT_EQ((co_await get("/%zz")).status, 404);
  });
}

// Every family once, with its HELP and TYPE before its samples; counts move.
TEST_F(HttpSideTest, MetricsAreWellFormedAndCount) {
  run([this]() -> awaitable<void> {
    (void)co_await post("/v3/kv/put", R"({"key":"Zm9v","value":"YmFy"})");
    (void)co_await post("/v3/kv/range", R"({"key":"Zm9v"})");
    (void)co_await post("/v3/kv/range", R"({})");
    auto page = co_await get("/metrics");
    EXPECT_EQ(page.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    std::set<std::string> families;
    std::string family;
    size_t begin = 0;
    for (size_t end; (end = page.body.find('\n', begin)) != std::string::npos; begin = end + 1) {
      std::string_view text = std::string_view(page.body).substr(begin, end - begin);
      if (text.starts_with("# HELP ")) {
        text.remove_prefix(7);
        family = text.substr(0, text.find(' '));
        EXPECT_TRUE(families.insert(family).second) << family << " twice";
      } else if (text.starts_with("# TYPE ")) {
        EXPECT_TRUE(text.starts_with("# TYPE " + family + " ")) << text;
      } else {
        EXPECT_TRUE(text.starts_with(family)) << text;
      }
    }
    for (
        std::string_view sample :
        {"etcd_server_has_leader 1\n", "etcd_mvcc_put_total 1\n",
         "etcd_debugging_mvcc_range_total 1\n", "etcd_debugging_mvcc_keys_total 1\n",
         "etcd_server_proposals_applied_total 1\n",
         R"(grpc_server_started_total{grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"} 2)",
         R"(grpc_server_handled_total{grpc_code="InvalidArgument",grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1)"})
      EXPECT_NE(page.body.find(sample), std::string::npos) << sample;
  });
}

TEST_F(HttpSideTest, AClientVersionThatIsNotTextIsRefused) {
  run([this]() -> awaitable<void> {
    net::grpc::Client grpc(loop_, network_, address_, {});
    net::grpc::Status status;
    (void)co_await grpc.call("/etcdserverpb.Maintenance/Status", "",
                             {{"client-api-version", "3.\xff"}}, kTimeout, &status);
    EXPECT_EQ(status.code, net::grpc::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message, "etcdserver: invalid client api version");
    auto good =
        co_await grpc.call("/etcdserverpb.Maintenance/Status", "",
                           {{"client-api-version", "3.6.14"}, {"hasleader", "true"}}, kTimeout);
    EXPECT_TRUE(good.has_value());
    (void)co_await grpc.call("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "",
                             {}, kTimeout, &status);
    EXPECT_EQ(status.code, net::grpc::StatusCode::kUnimplemented);
  });
}

}  // namespace
}  // namespace rs::store::etcd
