// NodeApi: what an API server asks of the node that runs a pod (the kubelet's own API: logs, exec, attach, port-forward).
// The node room implements it; the server room calls it, in process or (later) over mTLS.
#pragma once

#include "net/stream.h"
#include "client/transport.h"

namespace rs::client {

struct LogOptions {
  std::string ns, pod, container;
  bool follow = false, previous = false, timestamps = false;
  std::optional<int64_t> since_seconds, tail_lines, limit_bytes;
  std::optional<WallTime> since_time;
};
class LogStream {
 public:
  virtual ~LogStream() = default;
  virtual awaitable<Result<std::string>> read() = 0;  // empty: the end
};

struct ExecOptions {
  std::string ns, pod, container;
  std::vector<std::string> command;   // empty: attach to the running process
  bool in = false, out = true, err = true, tty = false;
};
// A running command. Outputs are read in one place, channel by channel; ended exactly once.
class ExecSession {
 public:
  struct Output {
    enum class Channel { kStdout, kStderr, kExit } channel;
    std::string data;
    int exit_code = 0;                // with kExit, the last
  };
  virtual ~ExecSession() = default;   // kills the command when it still runs
  virtual awaitable<Result<void>> write_stdin(std::string data) = 0;
  virtual void close_stdin() = 0;
  virtual void resize(uint16_t columns, uint16_t rows) = 0;
  virtual awaitable<Result<Output>> read() = 0;
};

class NodeApi {
 public:
  virtual ~NodeApi() = default;
  virtual awaitable<Result<std::unique_ptr<LogStream>>> logs(LogOptions options) = 0;
  virtual awaitable<Result<std::unique_ptr<ExecSession>>> exec(ExecOptions options) = 0;
  virtual awaitable<Result<std::unique_ptr<net::Stream>>> port_forward(std::string ns, std::string pod, uint16_t port) = 0;
};

// Tells the data plane that a pod's addresses are about to go, and waits until it no longer sends new work there (or the
// limit has passed). The mesh implements it; the node calls it before SIGTERM (reference mesh.md B.5.9).
class DrainGate {
 public:
  virtual ~DrainGate() = default;
  virtual awaitable<void> drain(std::string pod_uid, std::vector<std::string> addresses, Duration limit) = 0;
};

}  // namespace rs::client
