#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "dns/server.h"

namespace rs::dns {
namespace {

using async::awaitable;
using boost::asio::ip::udp;

// An API with one service and nothing else.
class OneService final : public client::Transport {
 public:
  explicit OneService(async::Loop& loop) : loop_(loop) {}
  awaitable<Result<net::Response>> call(net::Request request, Duration) override {
    net::Response response;
    bool services = request.target.find("/services") != std::string::npos;
    response.body = fmt::format(R"({{"metadata":{{"resourceVersion":"9"}},"items":[{}]}})",
                                services ? R"({"metadata":{"name":"payments","namespace":"bank","resourceVersion":"5"},"spec":{"clusterIP":"10.43.0.17"}})" : "");
    co_return response;
  }
  awaitable<Result<std::unique_ptr<net::ResponseStream>>> stream(net::Request, Duration) override {
    co_await loop_.sleep(std::chrono::hours(1));
    co_return fail(Code::kUnavailable, "no watches here");
  }

 private:
  async::Loop& loop_;
};

std::string query(std::string_view name) {
  std::string out("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  while (!name.empty()) {
    auto dot = name.find('.');
    auto label = name.substr(0, dot);
    out += static_cast<char>(label.size());
    out += label;
    name = dot == name.npos ? std::string_view() : name.substr(dot + 1);
  }
  return out + std::string("\x00\x00\x01\x00\x01", 5);
}

struct Fixture {
  async::SystemLoop loop;
  OneService api{loop};
  client::Client client{loop, api, "dns-test"};
  client::Informers informers{client};
  metrics::Registry registry;
  DnsServer server{loop, informers, {}, registry};

  awaitable<std::string> ask_udp(std::string bytes) {
    udp::socket socket(loop.context(), udp::v4());
    auto to = server.addresses().at(0);
    udp::endpoint peer(boost::asio::ip::make_address(to.host), to.port);
    co_await socket.async_send_to(boost::asio::buffer(bytes), peer, boost::asio::use_awaitable);
    std::string reply(4096, '\0');
    reply.resize(co_await socket.async_receive_from(boost::asio::buffer(reply), peer, boost::asio::use_awaitable));
    co_return reply;
  }
  awaitable<std::string> ask_tcp(std::string bytes) {
    net::TcpNetwork network(loop);
    auto stream = co_await network.connect(server.addresses().at(0), std::chrono::seconds(1));
    bytes.insert(0, std::string{static_cast<char>(bytes.size() >> 8), static_cast<char>(bytes.size())});
    // Two questions in one segment, the second cut in two.
    (void)co_await (*stream)->write(bytes + bytes.substr(0, 5));
    (void)co_await (*stream)->write(bytes.substr(5));
    std::string in;
    char buffer[4096];
    while (true) {
      auto read = co_await (*stream)->read(boost::asio::buffer(buffer));
      if (!read || *read == 0) break;
      in.append(buffer, *read);
      size_t size = static_cast<uint8_t>(in[1]);
      if (in.size() == 2 * (size + 2)) co_return in.substr(2, size);
    }
    co_return "cut off";
  }
  awaitable<void> test() {
    EXPECT_TRUE(server.start().has_value());
    auto early = co_await ask_udp(query("payments.bank.svc.cluster.local"));
    EXPECT_EQ(early[3] & 0xf, 2) << "SERVFAIL before the API has spoken";
    informers.start();
    EXPECT_TRUE((co_await informers.wait_synced(std::chrono::seconds(5))).has_value());
    auto over_udp = co_await ask_udp(query("payments.bank.svc.cluster.local"));
    EXPECT_TRUE(over_udp.ends_with(std::string("\x00\x04\x0a\x2b\x00\x11", 6)));
    EXPECT_EQ(co_await ask_tcp(query("payments.bank.svc.cluster.local")), over_udp);
    auto outside = co_await ask_udp(query("www.example.com"));
    EXPECT_EQ(outside[3] & 0xf, 3);
    EXPECT_EQ((co_await ask_udp(std::string("\x12\x34\x01\x00\x00\x05", 6)))[3] & 0xf, 1);
    co_await server.stop();
    co_await informers.stop();
    loop.stop();
  }
};

TEST(DnsServer, AnswersOverUdpAndTcp) {
  Fixture fixture;
  bool failed = false;
  boost::asio::co_spawn(fixture.loop.context(), fixture.test(), [&](std::exception_ptr error) {
    failed = error != nullptr;
    fixture.loop.stop();
  });
  fixture.loop.run();
  EXPECT_FALSE(failed);
}

}  // namespace
}  // namespace rs::dns
