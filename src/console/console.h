// Console: the page that a person keeps open, and the state it shows.
//
//   GET /            the page          GET /api/state    the state once, JSON
//   GET /api/stream  the state every second (server-sent events, WHATWG HTML 9.2)
//
// Read-only. The state is made at most once a second, and only while somebody looks. One loop.
#pragma once

#include "client/informer.h"
#include "net/http.h"

namespace rs::console {

struct ConsoleOptions {
  std::string version, node;
  size_t pods_max = 2000, events_max = 100, viewers_max = 100;
  // What the mesh knows of each service: an array of {namespace, name, state, endpoints: {ready, draining, ejected},
  // requests_per_second, success_rate, p50_ms, p99_ms, revision, age_ms}.
  std::function<JsonArray()> services;
  // Paths that others serve on the same port, longest prefix first: {"/mesh", handler}.
  std::vector<std::pair<std::string, net::Handler>> mounts;
};

class Console {
 public:
  // Makes the informers that it reads; start() theirs.
  Console(async::Loop& loop, client::Informers& informers, ConsoleOptions options);
  net::Handler handler();
  Json state();

 private:
  async::awaitable<void> answer(net::Request& request, net::ResponseWriter& writer);
  async::awaitable<void> stream(net::ResponseWriter& writer);
  std::shared_ptr<const std::string> current();
  JsonArray views() const;
  JsonArray pods() const;
  JsonArray events() const;

  async::Loop& loop_;
  client::Informers& informers_;
  ConsoleOptions options_;
  MonoTime started_;
  size_t viewers_ = 0;
  std::shared_ptr<const std::string> message_;
  MonoTime message_made_{};
};

}  // namespace rs::console
