// What the servers of this room share (HttpServer, grpc::Server): accepting, TLS, choosing the protocol of a connection,
// deadlines of connections, and an orderly end. Inside this room only.
#pragma once

#include <unordered_set>

#include "async/event.h"
#include "async/task_group.h"
#include "net/http.h"

namespace rs::net {

namespace grpc {
class Routes;
}

// One accepted connection, of either version. Owned by shared_ptr: handlers and kept responders hold it too.
class ServerConnection {
 public:
  virtual ~ServerConnection() = default;
  virtual awaitable<void> run() = 0;           // until the connection is over and its handlers have ended
  virtual void begin_shutdown() = 0;           // take no further requests; end once those under way have
  virtual void sweep(MonoTime now) = 0;        // called every kSweepInterval or oftener: look at deadlines
  virtual void abort() = 0;                    // close now, cancel handlers
};

class ServerCore : public std::enable_shared_from_this<ServerCore> {
 public:
  ServerCore(async::Loop& l, HttpServerOptions o, Handler h);
  void serve(std::unique_ptr<Listener> listener);
  awaitable<void> stop(Duration grace);
  Response error(int status, std::string_view message) const;
  const std::string& date();  // of now, as the Date field wants it

  async::Loop& loop;
  const HttpServerOptions options;
  const Handler handler;      // null: only gRPC is served
  async::TaskGroup tasks;
  const grpc::Routes* grpc = nullptr;
  std::unordered_set<ServerConnection*> connections;
  size_t open = 0;            // connections, with those still shaking hands
  size_t unsent_bytes = 0;    // of answers that HTTP/2 clients have not taken yet
  bool stopping = false;

 private:
  awaitable<void> accept_loop(std::shared_ptr<Listener> listener);
  awaitable<void> run_connection(std::unique_ptr<Stream> stream);
  awaitable<void> run_protocol(std::unique_ptr<Stream> stream);
  awaitable<Result<void>> all_closed();
  awaitable<void> sweep_loop();
  std::vector<std::shared_ptr<Listener>> listeners_;
  async::Event changed_;
  std::string date_;
  int64_t date_second_ = -1;
  bool sweeping_ = false;
};

// bytes: what was already read from stream.
std::shared_ptr<ServerConnection> make_http1_connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Stream> stream,
                                                        std::string bytes);
std::shared_ptr<ServerConnection> make_http2_connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Stream> stream,
                                                        std::string bytes);

}  // namespace rs::net
