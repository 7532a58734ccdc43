// For tests: an API that says what the test wants, HTTP servers and clients on loopback, and a Mesh between them, all on
// one loop.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "async/event.h"
#include "client/transport.h"
#include "mesh/mesh.h"
#include "net/http1.h"

namespace rs::mesh::testing {

using async::awaitable;
using namespace std::chrono_literals;

// Answers list and watch from a map of objects, as an API server would; silent or down when told.
class FakeApi final : public client::Transport {
 public:
  explicit FakeApi(async::Loop& loop) : changed_(loop) {}

  void put(std::string plural, std::string ns, std::string name, Json object) {
    ++revision_;
    auto& slot = objects_[plural][{ns, name}];
    bool known = !slot.is_null();
    set(object, Json(ns), "metadata", "namespace");
    set(object, Json(name), "metadata", "name");
    set(object, Json(std::to_string(revision_)), "metadata", "resourceVersion");
    slot = object;
    emit(plural, known ? "MODIFIED" : "ADDED", std::move(object));
  }
  void remove(std::string plural, std::string ns, std::string name) {
    ++revision_;
    auto& kind = objects_[plural];
    Json object = kind[{ns, name}];
    kind.erase({ns, name});
    set(object, Json(std::to_string(revision_)), "metadata", "resourceVersion");
    emit(plural, "DELETED", std::move(object));
  }
  bool down = false;   // calls fail
  int64_t revision() const { return revision_; }

  awaitable<Result<net::Response>> call(net::Request request, Duration) override {
    if (down) co_return fail(Code::kUnavailable, "the test's API is down");
    JsonArray items;
    for (const auto& [key, object] : objects_[plural_of(request.target)]) items.push_back(object);
    net::Response response;
    response.body = to_text(Json(JsonObject{{"metadata", JsonObject{{"resourceVersion", std::to_string(revision_)}}}, {"items", std::move(items)}}));
    co_return response;
  }
  awaitable<Result<std::unique_ptr<net::ResponseStream>>> stream(net::Request request, Duration) override {
    if (down) co_return fail(Code::kUnavailable, "the test's API is down");
    auto target = net::parse_target(request.target);
    co_return std::make_unique<Watch>(*this, plural_of(request.target), std::stoll("0" + std::string(target.param("resourceVersion"))));
  }

 private:
  struct Event {
    int64_t revision;
    std::string plural, line;
  };
  struct Watch final : net::ResponseStream {
    Watch(FakeApi& a, std::string p, int64_t r) : api(a), plural(std::move(p)), after(r) {}
    int status() const override { return 200; }
    const net::Headers& headers() const override { return none; }
    const net::Headers& trailers() const override { return none; }
    awaitable<Result<std::string>> read() override {
      for (;;) {
        if (api.down) co_return fail(Code::kUnavailable, "the test's API went down");
        for (const auto& event : api.events_) {
          if (event.revision <= after || event.plural != plural) continue;
          after = event.revision;
          co_return event.line;
        }
        co_await api.changed_.wait();
      }
    }
    FakeApi& api;
    std::string plural;
    int64_t after;
    net::Headers none;
  };
  static std::string plural_of(const std::string& target) {
    auto path = net::parse_target(target).path;
    return path.substr(path.rfind('/') + 1);
  }
  void emit(const std::string& plural, std::string_view type, Json object) {
    events_.push_back({revision_, plural, to_text(Json(JsonObject{{"type", type}, {"object", std::move(object)}})) + "\n"});
    changed_.notify();
  }
  async::Event changed_;
  int64_t revision_ = 10;
  std::map<std::string, std::map<api::ObjectKey, Json>> objects_;
  std::vector<Event> events_;
};

struct Received {
  net::http1::RequestHead head;
  std::string body;
  int connection = 0, number = 0;   // of the server; of the connection
};

// A server whose answers are raw bytes of the test's making; an empty answer closes the connection.
class RawServer {
 public:
  using Answer = std::function<awaitable<std::string>(const Received& request, net::Stream& stream)>;
  RawServer(async::Loop& loop, Answer answer) : network_(loop), answer_(std::move(answer)), tasks_(loop) { open(0); }
  void open(uint16_t port) {
    auto listener = network_.listen({"127.0.0.1", port});
    ASSERT_TRUE(listener.has_value()) << listener.error().message;
    port_ = (*listener)->local().port;
    accept_ = tasks_.spawn("accept", accept(std::move(*listener)));
  }
  uint16_t port() const { return port_; }
  int requests = 0, connections = 0;
  std::vector<Received> received;
  awaitable<void> stop() { return tasks_.stop(); }
  // As a well-behaved server on SIGTERM: accepts no more, closes each connection after the request it has.
  void shut_down() {
    closing_ = true;
    accept_.cancel();
  }

 private:
  awaitable<void> accept(std::unique_ptr<net::Listener> listener) {
    for (;;) {
      auto stream = co_await listener->accept();
      if (!stream) co_return;
      tasks_.spawn("connection", serve(std::move(*stream), ++connections));
    }
  }
  awaitable<void> serve(std::unique_ptr<net::Stream> stream, int connection) {
    std::string in;
    for (int number = 1;; ++number) {
      Received request{.connection = connection, .number = number};
      size_t taken = 0;
      while (taken == 0) {
        auto size = net::http1::parse_request_head(in, {}, request.head);
        if (!size) co_return;
        taken = *size;
        if (taken == 0 && !co_await more(*stream, in)) co_return;
      }
      in.erase(0, taken);
      auto framing = net::http1::request_framing(request.head);
      net::http1::ChunkedDecoder decoder;
      while (framing->kind == net::http1::Framing::Kind::kLength ? request.body.size() < framing->length
                                                                 : framing->kind == net::http1::Framing::Kind::kChunked && !decoder.done()) {
        if (framing->kind == net::http1::Framing::Kind::kLength) {
          auto part = in.substr(0, framing->length - request.body.size());
          in.erase(0, part.size());
          request.body += part;
          if (request.body.size() == framing->length) break;
        } else {
          auto fed = decoder.feed(in, request.body);
          if (!fed) co_return;
          in.erase(0, *fed);
          if (decoder.done()) break;
        }
        if (!co_await more(*stream, in)) co_return;
      }
      ++requests;
      if (received.size() < 100) received.push_back(request);
      auto bytes = co_await answer_(request, *stream);
      if (bytes.empty() || !co_await stream->write(bytes)) co_return;
      if (closing_) co_return;
    }
  }
  static awaitable<bool> more(net::Stream& stream, std::string& in) {
    char buffer[16384];
    auto read = co_await stream.read(boost::asio::buffer(buffer));
    if (!read || *read == 0) co_return false;
    in.append(buffer, *read);
    co_return true;
  }
  net::TcpNetwork network_;
  Answer answer_;
  uint16_t port_ = 0;
  bool closing_ = false;
  async::TaskHandle accept_;
  async::TaskGroup tasks_;
};

inline std::string ok(std::string_view body, std::string_view fields = "") {
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{}\r\n{}", body.size(), fields, body);
}
// Answers all with the same bytes.
inline RawServer::Answer always(std::string bytes) {
  struct Call {
    std::string bytes;
    static awaitable<std::string> answer(std::string b) { co_return b; }
    awaitable<std::string> operator()(const Received&, net::Stream&) const { return answer(bytes); }
  };
  return Call{std::move(bytes)};
}

struct Answered {
  net::http1::ResponseHead head;
  std::string body;
  int status() const { return head.status; }
  std::string_view header(std::string_view name) const { return head.headers.get(name); }
};

// One client connection.
class RawClient {
 public:
  explicit RawClient(std::unique_ptr<net::Stream> stream) : stream_(std::move(stream)) {}
  awaitable<Result<void>> send(std::string bytes) { co_return co_await stream_->write(bytes); }
  awaitable<Result<Answered>> receive(std::string method = "GET") {
    Answered out;
    for (;;) {
      auto size = net::http1::parse_response_head(in_, {}, out.head);
      if (!size) co_return fail(size.error());
      if (*size > 0) {
        in_.erase(0, *size);
        break;
      }
      if (auto read = co_await more(); !read || *read == 0) co_return fail(Code::kUnavailable, "closed before an answer");
    }
    auto framing = net::http1::response_framing(method, out.head);
    if (!framing) co_return fail(framing.error());
    using Kind = net::http1::Framing::Kind;
    net::http1::ChunkedDecoder decoder;
    while (true) {
      if (framing->kind == Kind::kNone) break;
      if (framing->kind == Kind::kLength) {
        auto part = in_.substr(0, framing->length - out.body.size());
        in_.erase(0, part.size());
        out.body += part;
        if (out.body.size() == framing->length) break;
      } else if (framing->kind == Kind::kChunked) {
        auto fed = decoder.feed(in_, out.body);
        if (!fed) co_return fail(fed.error());
        in_.erase(0, *fed);
        if (decoder.done()) break;
      } else {
        out.body += std::exchange(in_, {});
      }
      auto read = co_await more();
      if (!read) co_return fail(read.error());
      if (*read == 0) {
        if (framing->kind == Kind::kUntilClose) break;
        co_return fail(Code::kUnavailable, "the body was cut off");
      }
    }
    co_return out;
  }
  awaitable<Result<size_t>> more() {
    char buffer[16384];
    auto read = co_await stream_->read(boost::asio::buffer(buffer));
    if (read) in_.append(buffer, *read);
    co_return read;
  }
  std::string& unread() { return in_; }
  net::Stream& stream() { return *stream_; }

 private:
  std::unique_ptr<net::Stream> stream_;
  std::string in_;
};

// A Mesh before a FakeApi; the test is a coroutine on its loop.
class MeshTest : public ::testing::Test {
 public:
  async::SystemLoop loop;
  FakeApi fake{loop};
  client::Client client{loop, fake, "mesh-test"};
  client::Informers informers{client};
  metrics::Registry registry;
  net::TcpNetwork network{loop};
  MeshOptions options;
  std::unique_ptr<Mesh> mesh;

  MeshTest() {
    options.listen = {"127.0.0.1", 0};
    options.worker_threads = 0;
  }

  void service(std::string name, std::string ns = "bank", uint16_t port = 80, std::string ip = {}) {
    fake.put("services", ns, name, JsonObject{{"spec", JsonObject{{"clusterIP", ip.empty() ? "10.43.0.99" : ip},
                                                                  {"ports", JsonArray{JsonObject{{"name", "http"}, {"port", port}}}}}}});
  }
  struct At {
    uint16_t port;
    bool ready = true;
    std::string uid = {};
  };
  // One slice an endpoint: on loopback each has a port of its own.
  void endpoints(std::string name, std::vector<At> list, std::string ns = "bank") {
    size_t index = 0;
    for (const auto& at : list) {
      fake.put("endpointslices", ns, fmt::format("{}-{}", name, index++),
               JsonObject{{"metadata", JsonObject{{"labels", JsonObject{{"kubernetes.io/service-name", name}}}}},
                          {"addressType", "IPv4"},
                          {"ports", JsonArray{JsonObject{{"name", "http"}, {"port", at.port}}}},
                          {"endpoints", JsonArray{JsonObject{{"addresses", JsonArray{"127.0.0.1"}},
                                                             {"conditions", JsonObject{{"ready", at.ready}}},
                                                             {"targetRef", JsonObject{{"uid", at.uid.empty() ? fmt::format("uid-{}", at.port) : at.uid}}}}}}});
    }
  }

  awaitable<void> begin() {
    mesh = std::make_unique<Mesh>(loop, informers, options, registry);
    auto started = mesh->start();
    EXPECT_TRUE(started.has_value());
    informers.start();
    co_await until([&] { return mesh->freshness().synced; });
  }
  template <class Condition>
  awaitable<void> until(Condition condition) {
    for (int i = 0; i < 10'000 && !condition(); ++i) co_await loop.sleep(1ms);
    EXPECT_TRUE(condition());
  }
  awaitable<void> until_state(std::string name, std::string state) {
    for (int i = 0; i < 10'000; ++i) {
      auto view = mesh->view(name);
      if (str(array(view, "services")[0], "state") == state) co_return;
      co_await loop.sleep(1ms);
    }
    ADD_FAILURE() << name << " did not become " << state;
  }
  awaitable<RawClient> connect() {
    auto stream = co_await network.connect(mesh->address(), 1s);
    EXPECT_TRUE(stream.has_value());
    co_return RawClient(std::move(*stream));
  }
  awaitable<Answered> fetch(std::string host, std::string method = "GET", std::string fields = {}, std::string body = {}) {
    auto peer = co_await connect();
    auto length = body.empty() ? std::string() : fmt::format("Content-Length: {}\r\n", body.size());
    (void)co_await peer.send(fmt::format("{} /x HTTP/1.1\r\nHost: {}\r\n{}{}\r\n{}", method, host, fields, length, body));
    auto answer = co_await peer.receive(method);
    EXPECT_TRUE(answer.has_value()) << (answer ? "" : answer.error().message);
    co_return answer ? *answer : Answered();
  }

  void run(std::function<awaitable<void>()> body) {
    bool done = false;
    boost::asio::co_spawn(loop.context(), whole(std::move(body)), [&](std::exception_ptr error) {
      done = error == nullptr;
      loop.stop();
    });
    loop.run();
    EXPECT_TRUE(done) << "the test ended by an exception";
  }

 private:
  awaitable<void> whole(std::function<awaitable<void>()> body) {
    co_await body();
    if (mesh) co_await mesh->stop(0s);
    co_await informers.stop();
  }
};

}  // namespace rs::mesh::testing
