#include "net/http1.h"

#include <gtest/gtest.h>

namespace rs::net::http1 {
namespace {

Result<size_t> request(std::string_view bytes, RequestHead& head) { return parse_request_head(bytes, {}, head); }

TEST(RequestHead, Parses) {
  RequestHead head;
  auto size = request("GET /a?b=c HTTP/1.1\r\nHost: x:80\r\nX-A:  v w \r\n\r\nrest", head);
  ASSERT_TRUE(size.has_value()) << size.error().message;
  EXPECT_EQ(*size, 47u);  // all but "rest"
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.target, "/a?b=c");
  EXPECT_EQ(head.headers.get("x-a"), "v w");
}

TEST(RequestHead, AsksForMoreUntilComplete) {
  const std::string_view text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  for (size_t i = 0; i < text.size(); ++i) {
    RequestHead head;
    auto size = request(text.substr(0, i), head);
    ASSERT_TRUE(size.has_value());
    EXPECT_EQ(*size, 0u) << i;
  }
}

TEST(RequestHead, RefusesAtOnceWhatCannotBecomeARequest) {
  RequestHead head;
  EXPECT_FALSE(request(std::string_view("\x16\x03\x01\x02\x00\x01", 6), head).has_value()) << "a TLS client's first bytes";
  EXPECT_FALSE(request("\"GET\"", head).has_value());
  EXPECT_EQ(request("\r\nGE", head).value(), 0u);
}

// The ids of Http11Probe that a server must refuse.
TEST(RequestHead, RefusesWhatCouldSmuggle) {
  for (const std::string_view text : {
           "GET / HTTP/1.1\r\nHost : x\r\n\r\n",                        // SP-BEFORE-COLON
           "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",           // OBS-FOLD
           "GET / HTTP/1.1\r\nA: b\r\n\r\n",                            // MISSING-HOST
           "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",              // DUPLICATE-HOST-SAME
           "GET / HTTP/1.1\rHost: x\r\n\r\n",                           // CR-ONLY-LINE-ENDING
           "GET / HTTP/1.1\nHost: x\n\n",                               // bare LF
           "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",                  // EMPTY-HEADER-NAME
           "GET / HTTP/1.1\r\nHost: x\r\nA b\r\n\r\n",                  // HEADER-NO-COLON
           "GET / HTTP/1.1\r\n Host: x\r\n\r\n",                        // WHITESPACE-BEFORE-HEADERS
           "GET HTTP/1.1\r\nHost: x\r\n\r\n",                           // MISSING-TARGET
           "GET * HTTP/1.1\r\nHost: x\r\n\r\n",                         // ASTERISK-WITH-GET
           "GET / HTTP/1.1\r\nHost: u@x\r\n\r\n",                       // HOST-WITH-USERINFO
           "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",                       // HOST-WITH-PATH
           "GET / HTTP/1.1\r\nHost:\r\n\r\n",                           // HOST-EMPTY
           "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",                      // MULTIPLE-HOST-COMMA
           "GET / HTTP/9.9\r\nHost: x\r\n\r\n",                         // VERSION
           "GET / http/1.1\r\nHost: x\r\n\r\n",                         // VERSION-CASE
           "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",                      // SPACE-IN-TARGET
           "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",              // BARE-CR-HEADER-VALUE
           "GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n",             // CONTROL-CHARS-HEADER
       }) {
    RequestHead head;
    EXPECT_FALSE(request(text, head).has_value()) << text;
  }
  RequestHead head;
  EXPECT_FALSE(request(std::string_view("GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", 37), head).has_value());
}

TEST(RequestFraming, RefusesAmbiguity) {
  for (const std::string_view fields : {
           "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 1\r\nContent-Length: 1\r\n",
           "Content-Length: +1\r\n", "Content-Length: -0\r\n", "Content-Length: 0x1\r\n", "Content-Length: 1_0\r\n",
           "Content-Length: 1 0\r\n", "Content-Length: 1, 2\r\n", "Content-Length: 99999999999999999999\r\n",
           "Content-Length: \r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding: chunked, gzip\r\n",
           "Transfer-Encoding: \r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"}) {
    RequestHead head;
    auto size = request(fmt::format("POST / HTTP/1.1\r\nHost: x\r\n{}\r\n", fields), head);
    ASSERT_TRUE(size.has_value()) << fields;
    EXPECT_FALSE(request_framing(head).has_value()) << fields;
  }
  RequestHead old;
  ASSERT_TRUE(request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", old).has_value());
  EXPECT_FALSE(request_framing(old).has_value());
}

TEST(RequestHead, LimitsSizeAndCount) {
  RequestHead head;
  auto large = request("GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(70'000, 'a'), head);
  ASSERT_FALSE(large.has_value());
  EXPECT_EQ(status_of(large.error()), 431);
  std::string many = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 200; ++i) many += "A: b\r\n";
  auto count = request(many + "\r\n", head);
  ASSERT_FALSE(count.has_value());
  EXPECT_EQ(status_of(count.error()), 431);
  auto version = request("GET / HTTP/2.0\r\nHost: x\r\n\r\n", head);
  ASSERT_FALSE(version.has_value());
  EXPECT_EQ(status_of(version.error()), 505);
}

TEST(NormalizeTarget, AbsoluteFormNamesTheHost) {
  RequestHead head;
  std::string authority;
  ASSERT_TRUE(request("GET http://h:1/p?q HTTP/1.1\r\nHost: h:1\r\n\r\n", head).has_value());
  ASSERT_TRUE(normalize_target(head, authority).has_value());
  EXPECT_EQ(head.target, "/p?q");
  EXPECT_EQ(authority, "h:1");
  ASSERT_TRUE(request("GET http://h/ HTTP/1.1\r\nHost: other\r\n\r\n", head).has_value());
  EXPECT_FALSE(normalize_target(head, authority).has_value());
}

TEST(Chunked, DecodesInAnyPieces) {
  const std::string_view text = "4\r\nWiki\r\n6;a=b;c=\"d e\"\r\npedia \r\n0\r\nT: v\r\n\r\nnext";
  for (size_t step = 1; step < text.size(); ++step) {
    ChunkedDecoder decoder;
    std::string out;
    size_t taken = 0;
    while (!decoder.done()) {
      auto n = decoder.feed(text.substr(taken, step), out);
      ASSERT_TRUE(n.has_value()) << n.error().message;
      taken += *n;
    }
    EXPECT_EQ(out, "Wikipedia ");
    EXPECT_EQ(decoder.trailers().get("t"), "v");
    EXPECT_EQ(text.substr(taken), "next");
  }
}

TEST(Chunked, RefusesMalformedSizes) {
  for (const std::string_view text :
       {"0x1\r\n", "+1\r\n", "-1\r\n", "1_0\r\n", " 1\r\n", "1 \r\n", ";a\r\n", "1;\r\n", "1;a b\r\n", "1;a=\x01\r\n",
        "1\n", "1\r\nab\r\n", "1\r\na\n", "1;a\rb\r\n", "ffffffffffffffffff\r\n", "1;a=\"b\r\n", "g\r\n",
        "0\r\nT : v\r\n\r\n", "0\r\n\n"}) {
    ChunkedDecoder decoder;
    std::string out;
    EXPECT_FALSE(decoder.feed(text, out).has_value()) << text;
  }
}

TEST(ResponseFraming, FollowsTheRequestAndStatus) {
  ResponseHead head;
  ASSERT_TRUE(parse_response_head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", {}, head).has_value());
  EXPECT_EQ(response_framing("GET", head)->length, 5u);
  EXPECT_EQ(response_framing("HEAD", head)->kind, Framing::Kind::kNone);
  ASSERT_TRUE(parse_response_head("HTTP/1.1 204\r\n\r\n", {}, head).has_value());
  EXPECT_EQ(response_framing("GET", head)->kind, Framing::Kind::kNone);
  ASSERT_TRUE(parse_response_head("HTTP/1.0 200 OK\r\n\r\n", {}, head).has_value());
  EXPECT_EQ(response_framing("GET", head)->kind, Framing::Kind::kUntilClose);
}

TEST(WriteHead, LeavesOutFieldsThatWouldForge) {
  std::string out;
  write_response_head(out, 200, {{"A", "b\r\nX: y"}, {"C\r\n", "d"}, {"E", "f"}});
  EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nE: f\r\n\r\n");
}

TEST(Address, ParsesAndPrints) {
  EXPECT_EQ(to_string(parse_address("[::1]:80").value()), "[::1]:80");
  EXPECT_EQ(to_string(parse_address("::1", 53).value()), "[::1]:53");
  EXPECT_EQ(to_string(parse_address("localhost:6443").value()), "localhost:6443");
  for (const char* text : {"", "a:x", "a:70000", "[::1", "[::1]80", "a b:1", "a:"}) EXPECT_FALSE(parse_address(text)) << text;
}

TEST(Target, DecodesTheQuery) {
  const Target target = parse_target("/api/v1/pods?labelSelector=a%3Db&x=1+2&flag&x=3");
  EXPECT_EQ(target.path, "/api/v1/pods");
  EXPECT_EQ(target.param("labelSelector"), "a=b");
  EXPECT_EQ(target.params("x"), (std::vector<std::string>{"1 2", "3"}));
  EXPECT_TRUE(target.has_param("flag"));
  EXPECT_EQ(percent_encode("a b/ü"), "a%20b%2F%C3%BC");
  EXPECT_EQ(percent_decode("a%20b").value(), "a b");
  EXPECT_FALSE(percent_decode("%2").has_value());
}

}  // namespace
}  // namespace rs::net::http1
