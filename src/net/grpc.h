// gRPC over HTTP/2 (grpc/grpc doc/PROTOCOL-HTTP2.md): server and client. Messages are bytes here; who calls encodes.
#pragma once

#include "net/http.h"

namespace rs::net::grpc {

// https://grpc.github.io/grpc/core/md_doc_statuscodes.html
enum class StatusCode : int {
  kOk = 0, kCancelled = 1, kUnknown = 2, kInvalidArgument = 3, kDeadlineExceeded = 4, kNotFound = 5, kAlreadyExists = 6,
  kPermissionDenied = 7, kResourceExhausted = 8, kFailedPrecondition = 9, kAborted = 10, kOutOfRange = 11,
  kUnimplemented = 12, kInternal = 13, kUnavailable = 14, kDataLoss = 15, kUnauthenticated = 16,
};
struct Status {
  StatusCode code = StatusCode::kOk;
  std::string message;
};

struct CallInfo {
  Headers metadata;
  Address peer;
  std::shared_ptr<const PeerCertificate> certificate;
  std::optional<MonoTime> deadline;      // from grpc-timeout
};

// Answers one unary call, once; may be moved and kept, and used later on the server's loop. Destroyed unanswered: kInternal.
class UnaryResponder {
 public:
  virtual ~UnaryResponder() = default;
  virtual void reply(std::string message) = 0;
  virtual void fail(Status status) = 0;
  virtual bool cancelled() const = 0;    // the client is gone: an answer has no reader

  // reply() in pieces, for a message too large to be held whole: begin() with its size, then pieces until that size is
  // reached, which ends the call. Destroyed before that: the call is reset. The defaults gather the pieces.
  virtual void begin(size_t message_bytes);
  virtual void piece(std::string bytes);
  virtual size_t unsent_bytes() const { return 0; }
  // Calls back whenever little is unsent, and when the client is gone.
  virtual void on_drained(std::function<void()>) {}

 private:
  std::string gathered_;
  size_t gather_bytes_ = 0;
};
// The cheap path: no coroutine, no allocation beyond the message. Called on the server's loop.
using UnaryHandler =
    std::function<void(const CallInfo& info, std::string_view message, std::unique_ptr<UnaryResponder> responder)>;

class ServerStream {
 public:
  virtual ~ServerStream() = default;
  virtual const CallInfo& info() const = 0;
  // The next message; nothing once the client has half-closed.
  virtual awaitable<Result<std::optional<std::string>>> read() = 0;
  // Waits only when more than the flow-control limit is unsent. Shared: one encoded event serves many streams.
  virtual awaitable<Result<void>> write(std::shared_ptr<const std::string> message) = 0;
  // The next bytes of messages that carry their prefixes already (append_prefix), cut anywhere: for who gathers many
  // small messages, or shares a large part of one. messages: how many begin in these bytes. The default cuts them into
  // messages for write().
  virtual awaitable<Result<void>> write_framed(std::shared_ptr<const std::string> bytes, size_t messages);
  virtual size_t unsent_bytes() const = 0;

 private:
  std::string cut_;
};
// What precedes a message of this size on the wire.
void append_prefix(std::string& out, size_t message_bytes);
// The call ends with the returned status. Cancelled when the client goes away.
using StreamHandler = std::function<awaitable<Status>(ServerStream& stream)>;

// How long calls took: how many by upper bound, with the bounds that Prometheus' clients have by themselves.
struct CallDurations {
  static constexpr std::array<double, 11> kSeconds = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
  std::array<uint64_t, kSeconds.size() + 1> counts{};  // the last: longer than all
  double total_seconds = 0;
  void add(Duration took);
};

// What became of the calls of one method. Plain numbers of the server's loop: an increment each.
struct CallCounts {
  uint64_t started = 0;
  uint64_t messages_received = 0, messages_sent = 0;
  uint64_t bytes_received = 0, bytes_sent = 0;  // of messages, without what frames them
  std::array<uint64_t, 17> handled{};           // by StatusCode
  std::unique_ptr<CallDurations> durations;     // null: not measured
};

struct ServerOptions {
  size_t message_bytes = 2 << 20;               // larger: kResourceExhausted, as grpc-go words it
  size_t concurrent_streams = 1u << 31;
  Duration min_ping_interval = std::chrono::seconds(5);  // more often: GOAWAY "too_many_pings"
  std::shared_ptr<const TlsServerContext> tls;
  TlsSource tls_source;                         // as HttpServerOptions has it
  HttpLimits limits;
  // What a stream ends with that waits for its client's next message when the server stops: it might wait for ever.
  Status stopped = {StatusCode::kUnavailable, "the server is stopping"};
  // Looks at the metadata of a call, unary or streaming, before its handler does; a status refuses it.
  std::function<std::optional<Status>(const Headers& metadata, bool streaming)> admit;
  Handler http_handler;                         // requests that are not gRPC (content-type), HTTP/1.1 too; null: 415
};

class Server {
 public:
  Server(async::Loop& loop, ServerOptions options);
  ~Server();
  // "/etcdserverpb.KV/Range"; before serve(). counts, when given, outlives the server; servers of one loop may share it.
  void unary(std::string path, UnaryHandler handler, CallCounts* counts = nullptr);
  void streaming(std::string path, StreamHandler handler, CallCounts* counts = nullptr);
  void serve(std::unique_ptr<Listener> listener);
  awaitable<void> stop(Duration grace);
  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

// One HTTP/2 connection to one address, re-made when lost. Errors carry the status's message; code mapped from StatusCode.
class ClientStream {
 public:
  virtual ~ClientStream() = default;
  virtual awaitable<Result<void>> write(std::string message) = 0;
  virtual awaitable<Result<void>> writes_done() = 0;
  virtual awaitable<Result<std::optional<std::string>>> read() = 0;  // nothing: ended with kOk
};
struct ClientOptions {
  std::shared_ptr<const TlsClientContext> tls;
  Duration connect_timeout = std::chrono::seconds(5);
  Duration ping_interval = std::chrono::seconds(10);
  Duration ping_timeout = std::chrono::seconds(5);
  size_t message_bytes = 64 << 20;
};
class Client {
 public:
  Client(async::Loop& loop, Network& network, Address address, ClientOptions options);
  ~Client();
  // Fails with the StatusCode in status when given.
  awaitable<Result<std::string>> call(std::string path, std::string message, Headers metadata, Duration timeout,
                                      Status* status = nullptr);
  awaitable<Result<std::unique_ptr<ClientStream>>> open(std::string path, Headers metadata);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rs::net::grpc
