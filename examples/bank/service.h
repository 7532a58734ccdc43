// What every service of the bank has: an HTTP server with /healthz, JSON in and out, and calls to the other services by
// name (http://payments): through http_proxy when that is set, else straight to the name (the mesh catches it).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "net/http.h"

namespace bank {

template <class T>
using awaitable = rs::net::awaitable<T>;

struct Options {
  std::string role;
  std::string listen = "0.0.0.0";
  uint16_t port = 8080;
  std::string data_dir = ".";
  std::string version = "1";
};

// One call into the bank. parts: the path split at '/', e.g. {"accounts", "a1"}.
struct Call {
  std::string method;
  std::vector<std::string> parts;
  rs::net::Target target;
  rs::Json body;
  std::string idempotency_key;
  bool is(std::string_view m, size_t count, std::string_view first) const {
    return method == m && parts.size() == count && parts[0] == first;
  }
};

// Other services, by name.
class Peers {
 public:
  Peers(rs::async::Loop& loop, rs::net::Network& network);
  // The JSON answer of a 2xx; the service's own error otherwise.
  awaitable<rs::Result<rs::Json>> call(std::string service, std::string method, std::string path, rs::Json body = {},
                                       std::string idempotency_key = {});

 private:
  rs::async::Loop& loop_;
  rs::net::Network& network_;
  std::string proxy_;
  std::map<std::string, std::unique_ptr<rs::net::HttpClient>> clients_;
};

// A role of the bank: answers calls, or kNotFound for what it does not know.
class Role {
 public:
  virtual ~Role() = default;
  virtual awaitable<rs::Result<rs::Json>> answer(Call call) = 0;
};
rs::Result<std::unique_ptr<Role>> make_role(const Options& options, Peers& peers);

// Serves until SIGTERM or SIGINT, then finishes the requests under way.
int serve(const Options& options);

}  // namespace bank
