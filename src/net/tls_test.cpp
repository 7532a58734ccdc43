#include "net/tls.h"

#include "net/http.h"
#include "net/net_testing.h"

namespace rs::net {
namespace {
using namespace std::chrono_literals;

struct Site {
  KeyPair ca = make_ca("test-ca", std::chrono::hours(24)).value();
  KeyPair server = issue(ca, {.common_name = "server", .dns_names = {"api.test"}, .ip_addresses = {"127.0.0.1"}}).value();
  KeyPair client = issue(ca, {.common_name = "alice", .organizations = {"admins", "staff"},
                              .uris = {"spiffe://cluster.local/ns/a/sa/b"}}).value();
  async::SystemLoop loop;
  TcpNetwork network{loop};
  std::unique_ptr<HttpServer> http;
  Address address;
  HttpLimits limits;
  std::shared_ptr<const PeerCertificate> seen;
  int major = 0;

  awaitable<void> handle(Request& request, ResponseWriter& writer) {
    seen = request.certificate;
    major = request.http_major;
    (void)co_await writer.send({200, {}, request.body.empty() ? "secure" : request.body, {}});
  }
  void serve(bool require) {
    serve({.identity = server, .client_ca = ca.certificate, .require_client_certificate = require});
  }
  void serve(const TlsServerOptions& options) {
    auto context = TlsServerContext::make(options);
    ASSERT_TRUE(context.has_value()) << context.error().message;
    http = std::make_unique<HttpServer>(loop, HttpServerOptions{.tls = *context, .limits = limits},
                                        [this](Request& q, ResponseWriter& w) { return handle(q, w); });
    auto listener = network.listen(kAnyPort);
    address = (*listener)->local();
    http->serve(std::move(*listener));
  }
  awaitable<Result<Response>> call(TlsClientOptions options, std::string body = {}, bool http2 = false) {
    auto context = TlsClientContext::make(options);
    if (!context) co_return fail(context.error());
    HttpClient http_client(loop, network, address, {.tls = *context, .http2 = http2});
    co_return co_await http_client.call({.method = "PUT", .body = std::move(body)}, 10s);
  }
};

awaitable<void> identities(Site& s) {
  auto answer = co_await s.call({.server_ca = s.ca.certificate, .identity = s.client, .alpn = {"http/1.1"}});
  EXPECT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ(answer->body, "secure");
  EXPECT_TRUE(s.seen != nullptr);
  if (s.seen) {
    EXPECT_EQ(s.seen->common_name, "alice");
    EXPECT_EQ(s.seen->organizations, (std::vector<std::string>{"admins", "staff"}));
    EXPECT_EQ(s.seen->uris, (std::vector<std::string>{"spiffe://cluster.local/ns/a/sa/b"}));
  }
  auto anonymous = co_await s.call({.server_ca = s.ca.certificate, .server_name = "api.test", .alpn = {}});
  EXPECT_TRUE(anonymous.has_value()) << anonymous.error().message;
  EXPECT_EQ(s.seen, nullptr);
  // Signed by another authority: no identity, but an answer.
  const KeyPair stranger = issue(make_ca("other", std::chrono::hours(1)).value(), {.common_name = "eve"}).value();
  auto unknown = co_await s.call({.server_ca = s.ca.certificate, .identity = stranger, .alpn = {}});
  EXPECT_TRUE(unknown.has_value()) << unknown.error().message;
  EXPECT_EQ(s.seen, nullptr);
  const std::string large(3'000'000, 'z');
  auto bulk = co_await s.call({.server_ca = s.ca.certificate, .alpn = {}}, large);
  EXPECT_TRUE(bulk.has_value() && bulk->body == large);
  auto both = co_await s.call({.server_ca = s.ca.certificate}, large, true);
  EXPECT_TRUE(both.has_value() && both->body == large);
  EXPECT_EQ(s.major, 2);
  co_await s.http->stop(1s);
}

TEST(Tls, ServerLearnsWhoTheClientIs) {
  Site s;
  s.serve(false);
  run(s.loop, identities(s));
}

awaitable<void> refusals(Site& s) {
  auto wrong_name = co_await s.call({.server_ca = s.ca.certificate, .identity = s.client, .server_name = "other.test"});
  EXPECT_FALSE(wrong_name.has_value());
  EXPECT_NE(wrong_name.error().message.find("hostname mismatch"), std::string::npos) << wrong_name.error().message;
  auto unknown_ca = co_await s.call({.server_ca = make_ca("x", std::chrono::hours(1))->certificate});
  EXPECT_FALSE(unknown_ca.has_value());
  auto no_certificate = co_await s.call({.server_ca = s.ca.certificate});
  EXPECT_FALSE(no_certificate.has_value());
  auto insecure = co_await s.call({.insecure = true, .identity = s.client});
  EXPECT_TRUE(insecure.has_value()) << insecure.error().message;
  const std::string plain = co_await raw_exchange(s.network, s.address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(plain.starts_with("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")) << plain;
  co_await s.http->stop(1s);
}

TEST(Tls, BothSidesVerify) {
  Site s;
  s.serve(true);
  run(s.loop, refusals(s));
}

awaitable<void> ruled(Site& s) {
  auto asked = [&s](KeyPair who) { return s.call({.server_ca = s.ca.certificate, .identity = std::move(who)}); };
  const KeyPair wildcard = issue(s.ca, {.common_name = "w", .dns_names = {"*.clients.test"}}).value();
  const KeyPair other = issue(s.ca, {.common_name = "carol", .dns_names = {"carol.other"}}).value();
  struct {
    TlsClientRules rules;
    bool alice, wildcard, other;
  } cases[] = {{{}, true, true, true},
               {{.common_names = {"alice", "bob"}}, true, false, false},
               {{.host_names = {"a.clients.test", "carol.other"}}, false, true, true},
               {{.common_names = {"carol"}, .host_names = {"a.clients.test"}}, false, false, false}};
  for (auto& each : cases) {
    s.serve({.identity = s.server, .client_ca = s.ca.certificate, .require_client_certificate = true,
             .client_rules = each.rules});
    EXPECT_EQ((co_await asked(s.client)).has_value(), each.alice);
    EXPECT_EQ((co_await asked(wildcard)).has_value(), each.wildcard);
    EXPECT_EQ((co_await asked(other)).has_value(), each.other);
    co_await s.http->stop(1s);
  }
}

TEST(Tls, OnlyNamedClientsAreTaken) {
  Site s;
  run(s.loop, ruled(s));
}

awaitable<void> renewed(Site& s) {
  TlsServerOptions options{.identity = s.server};
  std::shared_ptr<const TlsServerContext> now = TlsServerContext::make(options).value();
  HttpServer server(s.loop, {.tls = now, .tls_source = [&now] { return now; }},
                    [&s](Request& q, ResponseWriter& w) { return s.handle(q, w); });
  auto listener = s.network.listen(kAnyPort);
  s.address = (*listener)->local();
  server.serve(std::move(*listener));
  EXPECT_TRUE((co_await s.call({.server_ca = s.ca.certificate})).has_value());
  const KeyPair authority = make_ca("another", std::chrono::hours(1)).value();
  options.identity = issue(authority, {.common_name = "server", .ip_addresses = {"127.0.0.1"}}).value();
  now = TlsServerContext::make(options).value();
  EXPECT_FALSE((co_await s.call({.server_ca = s.ca.certificate})).has_value());
  EXPECT_TRUE((co_await s.call({.server_ca = authority.certificate})).has_value());
  co_await server.stop(1s);
}

TEST(Tls, EachConnectionAsksForTheCertificateOfNow) {
  Site s;
  run(s.loop, renewed(s));
}

TEST(Tls, OptionsThatCannotBeAreRefused) {
  Site s;
  EXPECT_FALSE(TlsServerContext::make({.identity = s.server, .cipher_suites = {"TLS_NONE"}}));
  EXPECT_TRUE(TlsServerContext::make({.identity = s.server,
                                      .cipher_suites = {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_AES_128_GCM_SHA256",
                                                        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}}));
  EXPECT_FALSE(TlsServerContext::make({.identity = s.server, .version_min = TlsVersion::k13, .version_max = TlsVersion::k12}));
  EXPECT_FALSE(TlsServerContext::make({.identity = s.server, .client_rules = {.common_names = {"a"}}}));
  EXPECT_FALSE(TlsServerContext::make({.identity = s.server, .client_ca = s.ca.certificate,
                                       .require_client_certificate = true,
                                       .client_rules = {.revocation_list = "no list"}}));
}

// Nobody holds a connection by a handshake that does not end (etcd's servers once waited for ever).
awaitable<Result<void>> closed_by_server(Network& network, Address address, std::string begin) {
  (void)co_await raw_exchange(network, std::move(address), std::move(begin));
  co_return Result<void>{};
}
awaitable<void> silent(Site& s) {
  for (const std::string& begin : {std::string(), std::string("\x16\x03\x01\x02\x00\x01", 6)}) {
    auto closed = co_await async::with_timeout(s.loop, 20s, "the server's end",
                                               closed_by_server(s.network, s.address, begin));
    EXPECT_TRUE(closed.has_value()) << "still open after " << begin.size() << " bytes";
  }
  EXPECT_EQ(s.http->connections(), 0u);
  co_await s.http->stop(1s);
}

TEST(Tls, UnboundedHandshakeIsTimedOut) {
  Site s;
  s.limits.header_timeout = 200ms;
  s.serve(false);
  run(s.loop, silent(s));
}

TEST(Certificates, ExpiryIsRead) {
  const KeyPair ca = make_ca("ca", std::chrono::hours(48)).value();
  const auto left = expiry(ca.certificate).value() - SystemClock().wall();
  EXPECT_GT(left, std::chrono::hours(47));
  EXPECT_LE(left, std::chrono::hours(48));
  EXPECT_FALSE(expiry("no certificate").has_value());
  EXPECT_FALSE(TlsServerContext::make({.identity = {ca.certificate, make_ca("b", std::chrono::hours(1))->private_key}}));
}

}  // namespace
}  // namespace rs::net
