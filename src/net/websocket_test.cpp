#include "net/websocket.h"

#include <gtest/gtest.h>

#include "net/net_testing.h"
#include "net/websocket_frame.h"

namespace rs::net {
namespace {

TEST(WebSocketFrame, ReadsTheExamplesOfTheRfc) {
  // RFC 6455 section 5.7: a masked "Hello" of a client, an unmasked one of a server.
  std::string masked("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
  auto frame = take_frame(masked, true, 100);
  ASSERT_TRUE(frame.has_value() && frame->has_value());
  EXPECT_EQ((*frame)->payload, "Hello");
  EXPECT_EQ((*frame)->opcode, Opcode::kText);
  EXPECT_EQ(encode_frame(Opcode::kText, true, "Hello", std::nullopt), std::string("\x81\x05Hello"));
  EXPECT_EQ(encode_frame(Opcode::kText, true, "Hello", 0x37fa213d), std::string("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11));
}

TEST(WebSocketFrame, WaitsForTheRestAndRefusesNonsense) {
  for (size_t size : {0u, 125u, 126u, 65535u, 65536u}) {
    std::string whole = encode_frame(Opcode::kBinary, true, std::string(size, 'x'), 7);
    std::string part = whole.substr(0, whole.size() - 1);
    EXPECT_FALSE(take_frame(part, true, 1 << 20)->has_value());
    EXPECT_EQ((*take_frame(whole, true, 1 << 20))->payload.size(), size);
    EXPECT_TRUE(whole.empty());
  }
  for (std::string bad : {std::string("\xf1\x80", 2), std::string("\x83\x80", 2), std::string("\x81\x00", 2),
                          std::string("\x09\x80", 2), std::string("\x81\xfe\x00\x05", 4)})
    EXPECT_EQ(take_frame(bad, true, 100).error().code, Code::kBadRequest);
  std::string big("\x82\xff\x00\x00\x00\x01\x00\x00\x00\x00", 10);
  EXPECT_EQ(take_frame(big, true, 100).error().code, Code::kRequestEntityTooLarge);
}

awaitable<void> echo(async::SystemLoop& loop, Request& request, ResponseWriter& writer) {
  auto socket = co_await websocket_accept(loop, request, writer, {"v5.channel.k8s.io", "v4.channel.k8s.io"});
  if (!socket) {
    (void)co_await writer.send({.status = 400, .body = socket.error().message});
    co_return;
  }
  for (;;) {
    auto message = co_await (*socket)->read();
    if (!message || !message->has_value()) co_return;
    if (!co_await (*socket)->write(std::move(**message))) co_return;
  }
}

awaitable<void> talk(async::SystemLoop& loop) {
  TcpNetwork network(loop);
  HttpServer server(loop, {}, [&loop](Request& request, ResponseWriter& writer) { return echo(loop, request, writer); });
  auto listener = network.listen(kAnyPort);
  Address address = (*listener)->local();
  server.serve(std::move(*listener));
  HttpClient client(loop, network, address, {});
  auto socket = co_await websocket_connect(loop, client, {}, {"v9.channel.k8s.io", "v4.channel.k8s.io"}, std::chrono::seconds(5));
  EXPECT_TRUE(socket.has_value()) << (socket ? "" : socket.error().message);
  if (socket) {
    EXPECT_EQ((*socket)->protocol(), "v4.channel.k8s.io");
    for (size_t size : {0u, 200u, 100'000u}) {
      std::string data(size, 'x');
      EXPECT_TRUE((co_await (*socket)->write({.text = false, .data = data})).has_value());
      auto answer = co_await (*socket)->read();
      EXPECT_TRUE(answer.has_value() && answer->has_value());
      if (answer && answer->has_value()) EXPECT_EQ((*answer)->data, data);
    }
    co_await (*socket)->close(1000, "bye");
  }
  auto refused = co_await websocket_connect(loop, client, {}, {"unknown"}, std::chrono::seconds(5));
  EXPECT_FALSE(refused.has_value());
  co_await server.stop(std::chrono::seconds(1));
}

TEST(WebSocket, CarriesMessagesAndNegotiatesTheProtocol) {
  async::SystemLoop loop;
  run(loop, talk(loop));
}

}  // namespace
}  // namespace rs::net
