// HTTP messages, and a server and a client for HTTP/1.1 and HTTP/2 (RFC 9110, 9112, 9113). The versions look the same
// to their users. What is carried (Kubernetes, etcd, pages) is the business of others.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "async/task_group.h"
#include "base/metrics.h"
#include "net/stream.h"

namespace rs::net {

// Field names compare without case; order and repetition are kept.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}
  std::string_view get(std::string_view name) const;  // first value, or empty
  bool has(std::string_view name) const;
  std::vector<std::string_view> all(std::string_view name) const;
  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  void set(std::string_view name, std::string value);  // replaces all of that name
  void remove(std::string_view name);
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  size_t size() const { return fields_.size(); }
  bool empty() const { return fields_.empty(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// Path and decoded query of a request target ("/api/v1/pods?limit=5").
struct Target {
  std::string path;                                           // percent-decoded per segment is up to the reader: raw here
  std::vector<std::pair<std::string, std::string>> query;     // decoded, in order
  std::string_view param(std::string_view name) const;        // first value, or empty
  bool has_param(std::string_view name) const;
  std::vector<std::string> params(std::string_view name) const;
};
Target parse_target(std::string_view target);
std::string percent_encode(std::string_view text);            // for one path segment or query value
Result<std::string> percent_decode(std::string_view text);

struct Request {
  std::string method = "GET";
  std::string scheme = "http";
  std::string authority;         // Host
  std::string target = "/";      // path and query, as sent
  Headers headers;
  std::string body;              // whole
  // Filled by the server:
  int http_major = 1;            // 1 or 2
  Address peer;
  std::shared_ptr<const PeerCertificate> certificate;  // null: none was shown
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
  Headers trailers;
};

// How a handler answers: either send(), or start() + write()* + finish(), or upgrade(). Returning without an answer is
// a 500. When the client goes away the handler's coroutine is cancelled (operation_aborted is thrown from its wait),
// and writes return kUnavailable. Writes wait for the peer (flow control): at most ResponseWriter::kBufferLimit bytes
// are held for a slow one.
class ResponseWriter {
 public:
  static constexpr size_t kBufferLimit = 1 << 20;
  virtual ~ResponseWriter() = default;
  virtual awaitable<Result<void>> send(Response response) = 0;
  virtual awaitable<Result<void>> start(int status, Headers headers) = 0;
  // Flushed to the peer when the loop turns; the bytes are shared, not copied, where the transport allows.
  virtual awaitable<Result<void>> write(std::shared_ptr<const std::string> bytes) = 0;
  awaitable<Result<void>> write(std::string bytes);
  virtual awaitable<Result<void>> finish(Headers trailers = {}) = 0;
  // Answers "101 Switching Protocols" with these headers and hands the connection over. HTTP/1.1 only: kBadRequest else.
  virtual awaitable<Result<std::unique_ptr<Stream>>> upgrade(Headers headers) = 0;
  virtual bool started() const = 0;
};

using Handler = std::function<awaitable<void>(Request& request, ResponseWriter& writer)>;

struct HttpLimits {
  size_t header_bytes = 64 << 10;
  size_t header_count = 128;
  size_t body_bytes = 3 << 20;                       // larger: 413
  Duration header_timeout = std::chrono::seconds(10);
  Duration body_timeout = std::chrono::seconds(60);
  Duration idle_timeout = std::chrono::seconds(180); // keep-alive without a request
  size_t concurrent_streams = 250;                   // per HTTP/2 connection
  size_t connections = 10'000;
  size_t client_resets_per_second = 100;             // rapid reset (CVE-2023-44487)
  // A client of HTTP/2 with requests under way that was silent for so long is asked, and has so long to answer.
  Duration ping_after = std::chrono::seconds(30), ping_timeout = std::chrono::seconds(20);  // 0: never; forever
};

// What the next connection is to be secured with.
using TlsSource = std::function<std::shared_ptr<const TlsServerContext>()>;

struct HttpServerOptions {
  std::string name = "http";                         // for logs and metrics
  std::shared_ptr<const TlsServerContext> tls;       // null: plain text (HTTP/2 by prior knowledge)
  TlsSource tls_source;                              // goes before tls: for certificates that change. Needs tls too
  HttpLimits limits;
  // Makes the body of an error the server itself answers (413, 400, 431, 408, 503) in the protocol of its owner.
  std::function<Response(int status, std::string_view message)> error_response;
};

// Serves handler on any number of listeners. One loop. stop(): no new connections, GOAWAY / Connection: close, waits up
// to grace for requests under way, then cancels them.
class HttpServer {
 public:
  HttpServer(async::Loop& loop, HttpServerOptions options, Handler handler);
  ~HttpServer();
  void serve(std::unique_ptr<Listener> listener);
  awaitable<void> stop(Duration grace);
  size_t connections() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A response whose body arrives over time.
class ResponseStream {
 public:
  virtual ~ResponseStream() = default;
  virtual int status() const = 0;
  virtual const Headers& headers() const = 0;
  // The next bytes of the body; empty at its end. kUnavailable when the connection broke before.
  virtual awaitable<Result<std::string>> read() = 0;
  virtual const Headers& trailers() const = 0;  // complete once read() gave empty
};

struct HttpClientOptions {
  std::shared_ptr<const TlsClientContext> tls;       // null: plain text
  bool http2 = false;                                // plain text: HTTP/2 by prior knowledge; TLS: by ALPN
  Duration connect_timeout = std::chrono::seconds(5);
  size_t connections_per_host = 64;
  Duration idle_timeout = std::chrono::seconds(60);
  Duration ping_interval = std::chrono::seconds(30); // HTTP/2 keep-alive; a peer that does not answer is closed
  size_t body_bytes = 64 << 20;                      // limit for call()
};

// Pooled connections to one address. One loop. Errors: kUnavailable (could not connect or lost: nothing may be known of
// the request's fate), kTimeout.
class HttpClient {
 public:
  HttpClient(async::Loop& loop, Network& network, Address address, HttpClientOptions options);
  ~HttpClient();
  awaitable<Result<Response>> call(Request request, Duration timeout);
  // Resolves once the headers are there; timeout bounds only that.
  awaitable<Result<std::unique_ptr<ResponseStream>>> stream(Request request, Duration timeout);
  // HTTP/1.1 Upgrade on a fresh connection; the response's status when it is not 101 comes as an error message.
  awaitable<Result<std::pair<Response, std::unique_ptr<Stream>>>> upgrade(Request request, Duration timeout);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rs::net
