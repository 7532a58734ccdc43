// What no HTTP/2 client should send (RFC 9113), and what is not HTTP/2 at all.
#include "fixture.h"

namespace rs::store::bad_input {
namespace {

constexpr uint32_t kEnhanceYourCalm = 11;

TEST_F(BadInput, FramesOutOfPlaceEndTheConnectionAndNothingElse) {
  const std::string request = plain_block(call_fields("/etcdserverpb.KV/Range"));
  const std::pair<const char*, std::string> wrongs[] = {
      {"DATA on stream 0", frame_bytes(kData, 0, 0, "x")},
      {"DATA on an idle stream", frame_bytes(kData, 0, 7, "x")},
      {"HEADERS on stream 0", frame_bytes(kHeaders, kEndHeaders, 0, request)},
      {"HEADERS on an even stream", frame_bytes(kHeaders, kEndHeaders, 2, request)},
      {"HEADERS that are not HPACK",
       frame_bytes(kHeaders, kEndHeaders, 1, "\xff\xff\xff\xff\xff\xff\xff")},
      {"an index past the table", frame_bytes(kHeaders, kEndHeaders, 1, "\xfe")},
      {"CONTINUATION without HEADERS", frame_bytes(kContinuation, kEndHeaders, 1, request)},
      {"DATA between HEADERS and CONTINUATION",
       frame_bytes(kHeaders, 0, 1, request) + frame_bytes(kData, 0, 1, "x")},
      {"SETTINGS of 5 bytes", frame_bytes(kSettings, 0, 0, "12345")},
      {"SETTINGS on a stream", frame_bytes(kSettings, 0, 1, "")},
      {"SETTINGS with a window too large",
       frame_bytes(kSettings, 0, 0, std::string("\0\x04\xff\xff\xff\xff", 6))},
      {"PING of 7 bytes", frame_bytes(kPing, 0, 0, "1234567")},
      {"PUSH_PROMISE from a client", frame_bytes(kPushPromise, kEndHeaders, 1, be32(2) + request)},
      {"a window that overflows", frame_bytes(kWindowUpdate, 0, 0, be32(0x7fffffff))},
      {"WINDOW_UPDATE of 0", frame_bytes(kWindowUpdate, 0, 0, be32(0))},
      {"RST_STREAM of an idle stream", frame_bytes(kRstStream, 0, 9, be32(8))},
      {"padding longer than the frame",
       frame_bytes(kHeaders, kEndHeaders | kPadded, 1, "\xff" + request)},
      {"a frame larger than allowed", frame_bytes(kData, 0, 1, std::string(20'000, 'x'))},
  };
  for (const auto& [name, bytes] : wrongs) {
    RawClient client = connect();
    client.send(bytes);
    EXPECT_TRUE(client.wait_closed()) << name;
    ASSERT_TRUE(client.go_away()) << name;
    EXPECT_NE(client.go_away()->code, 0u) << name;
    EXPECT_TRUE(serves(*server_)) << name;
  }
}

TEST_F(BadInput, WhatIsNotHttp2IsAnsweredOrClosed) {
  struct {
    const char* name;
    std::string bytes, expected;
  } const texts[] = {
      {"no HTTP", std::string("\x01\x02\x03\x04 garbage\r\n\r\n"), "HTTP/1.1 400"},
      {"TLS",
       std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + std::string(300, 'r') +
           "\r\n\r\n",
       "HTTP/1.1 400"},
      {"a header without end", "GET /health HTTP/1.1\r\nHost: x\r\nX: " + std::string(200'000, 'x'),
       "HTTP/1.1 431"},
      {"two lengths",
       "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
       "HTTP/1.1 400"},
      {"a length and chunks",
       "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: "
       "chunked\r\n\r\n0\r\n\r\n",
       "HTTP/1.1 400"},
      {"a body of 100 GB",
       "POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 107374182400\r\n\r\n",
       "HTTP/1.1 413"},
      {"a chunk of 2^64",
       "POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
       "chunked\r\n\r\nffffffffffffffff1\r\n",
       "HTTP/1.1 400"},
      {"no such version", "GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 505"},
  };
  for (const auto& text : texts) {
    RawClient client(server_->port(), RawClient::Greeting::kNone);
    client.send(text.bytes);
    const std::string answer = client.read_text();
    EXPECT_TRUE(answer.starts_with(text.expected)) << text.name << ": " << answer.substr(0, 80);
    EXPECT_TRUE(client.closed()) << text.name;
  }
  // A preface that goes wrong after its first half.
  RawClient client(server_->port(), RawClient::Greeting::kNone);
  client.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
  (void)client.read_text();
  EXPECT_TRUE(client.closed());
}

TEST_F(BadInput, PingsTooOftenAreTooManyPings) {
  // grpc-go's enforcement, as etcd sets it: 5 s at least between pings, none without calls; two
  // strikes are forgiven.
  for (const bool with_call : {true, false}) {
    RawClient client = connect();
    if (with_call) client.open("/etcdserverpb.Watch/Watch");
    for (int i = 0; i < 4; ++i) client.frame(kPing, 0, 0, "12345678");
    EXPECT_TRUE(client.wait_closed());
    ASSERT_TRUE(client.go_away());
    EXPECT_EQ(client.go_away()->code, kEnhanceYourCalm);
    EXPECT_EQ(client.go_away()->text, "too_many_pings");
  }
}

TEST_F(BadInput, APingAfterEachAnswerIsNoFlood) {
  // grpc-go measures the way with a ping whenever data comes: thousands a second when there are as
  // many answers.
  RawClient client = connect();
  for (int i = 0; i < 3000; ++i) {
    const uint32_t stream = client.call("/etcdserverpb.KV/Range", "\x0a\x01k");
    ASSERT_TRUE(client.wait(stream).ended) << "after " << i << " pings";
    ASSERT_TRUE(client.frame(kPing, 0, 0, "12345678"));
  }
  EXPECT_FALSE(client.go_away());
}

TEST_F(BadInput, FloodsOfControlFramesEndTheirConnection) {
  const std::pair<const char*, std::string> floods[] = {
      {"SETTINGS", frame_bytes(kSettings, 0, 0, std::string("\0\x03\0\0\0\x64", 6))},
      {"empty SETTINGS", frame_bytes(kSettings, 0, 0, "")},
      {"PING", frame_bytes(kPing, 0, 0, "12345678")},
      {"PRIORITY", frame_bytes(kPriority, 0, 3, be32(0) + "\x10")},
      {"empty DATA", frame_bytes(kData, 0, 1, "")},
  };
  for (const auto& [name, bytes] : floods) {
    RawClient client = connect();
    client.open("/etcdserverpb.Watch/Watch");
    std::string many;
    for (int i = 0; i < 500; ++i) many += bytes;
    for (int i = 0; i < 200 && client.send(many); ++i)
      (void)client.read(std::chrono::milliseconds(0));
    EXPECT_TRUE(client.wait_closed()) << name;
    if (client.go_away()) EXPECT_EQ(client.go_away()->code, kEnhanceYourCalm) << name;
  }
}

TEST_F(BadInput, ContinuationFloodEndsTheConnection) {  // CVE-2024-28182
  RawClient client = connect();
  client.frame(kHeaders, 0, 1, plain_block({{":method", "POST"}}));
  const std::string part =
      frame_bytes(kContinuation, 0, 1, plain_block({{"x", std::string(8'000, 'x')}}));
  for (int i = 0; i < 10'000 && client.send(part); ++i) {
    if (client.read(std::chrono::milliseconds(0)) && client.go_away()) break;
  }
  EXPECT_TRUE(client.wait_closed());
}

TEST_F(BadInput, HpackBombsAreNotUnpacked) {
  // One field of 4,000 bytes goes into the table; each byte more names it again: 16 KB become 60
  // MB.
  RawClient client = connect();
  std::string block = plain_block(call_fields("/etcdserverpb.KV/Range"));
  std::string indexed(1, '\x40');  // literal, to be indexed
  indexed += "\x01x";
  indexed += std::string("\x7f\xa1\x1e", 3) + std::string(4000, 'b');
  block += indexed;
  block += std::string(12'000, '\xbe');
  client.frame(kHeaders, kEndHeaders | kEndStream, 1, block);
  EXPECT_TRUE(client.wait_closed());
  ASSERT_TRUE(client.go_away());
  EXPECT_EQ(client.go_away()->code, kEnhanceYourCalm);

  // Too many fields, and too long ones: the request is refused and the connection goes on.
  RawClient second = connect();
  FieldList fields = call_fields("/etcdserverpb.KV/Range");
  for (int i = 0; i < 300; ++i) fields.emplace_back("x-" + std::to_string(i), "y");
  EXPECT_EQ(second.wait(second.request(fields, "")).http_status, 431);
  // Updates of the table's size beyond what was agreed.
  second.frame(kHeaders, kEndHeaders | kEndStream, 3,
               std::string("\x3f\xe1\xff\xff\x7f") + plain_block(call_fields("/x")));
  EXPECT_TRUE(second.wait_closed());
}

TEST_F(BadInput, RapidResetEndsTheConnection) {  // CVE-2023-44487
#ifdef RS_SANITIZED
  GTEST_SKIP() << "so slow a server never sees more resets in a second than it allows";
#endif
  RawClient client = connect();
  const std::string block = plain_block(call_fields("/etcdserverpb.Watch/Watch"));
  uint32_t id = 1;
  bool taken = true;
  for (int i = 0; i < 1000 && taken; ++i) {
    std::string many;
    for (int j = 0; j < 100; ++j, id += 2)
      many +=
          frame_bytes(kHeaders, kEndHeaders, id, block) + frame_bytes(kRstStream, 0, id, be32(8));
    taken = client.send(many);
    (void)client.read(std::chrono::milliseconds(0));
  }
  EXPECT_TRUE(client.wait_closed());
  ASSERT_TRUE(client.go_away());
  EXPECT_EQ(client.go_away()->code, kEnhanceYourCalm);
}

// CVE-2025-8671: the client makes the server reset the streams, so that its own resets are none.
TEST_F(BadInput, ResetsProvokedFromTheServerCountToo) {
#ifdef RS_SANITIZED
  GTEST_SKIP() << "so slow a server never sees more resets in a second than it allows";
#endif
  RawClient client = connect();
  const std::string block = plain_block(call_fields("/etcdserverpb.Watch/Watch"));
  uint32_t id = 1;
  bool taken = true;
  for (int i = 0; i < 1000 && taken; ++i) {
    std::string many;
    for (int j = 0; j < 100; ++j, id += 2)
      many += frame_bytes(kHeaders, kEndHeaders, id, block) +
              frame_bytes(kWindowUpdate, 0, id, be32(0x7fffffff));
    taken = client.send(many);
    while (client.read(std::chrono::milliseconds(0))) {
    }
  }
  EXPECT_TRUE(client.wait_closed());
}

TEST_F(BadInput, AnEndOfTheConnectionInEveryPlaceIsTaken) {
  const std::string whole =
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame_bytes(kSettings, 0, 0, "") +
      frame_bytes(kHeaders, kEndHeaders, 1, plain_block(call_fields("/etcdserverpb.Watch/Watch"))) +
      frame_bytes(kData, kEndStream, 1, grpc_frame("\x0a\x03\x0a\x01k"));
  for (size_t length = 0; length < whole.size(); length += 3) {
    RawClient client(server_->port(), RawClient::Greeting::kNone);
    client.send(std::string_view(whole).substr(0, length));
  }
}

}  // namespace
}  // namespace rs::store::bad_input
