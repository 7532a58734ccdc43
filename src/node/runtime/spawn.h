// Starting other programs without copying this process (vfork under posix_spawn), and waiting for them without polling
// (pidfd). One loop.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "async/loop.h"
#include "node/runtime/fd.h"

namespace rs::node {

template <class T>
using awaitable = async::awaitable<T>;

struct SpawnSpec {
  std::string path;
  std::vector<std::string> args;                 // with argv[0]
  std::vector<std::string> env;                  // "K=V"
  std::vector<std::pair<int, int>> fds;          // ours -> theirs (0, 1, 2, 3 …); 0 to 2 not named: /dev/null
  bool new_session = true;
  bool signals_blocked = false;                  // until it unblocks them itself: none is lost or deadly before
};
// The child's signals are reset. Its descriptors that are not named here and are not close-on-exec are inherited: the
// shim closes those itself.
Result<pid_t> spawn(const SpawnSpec& spec);

// A process named for ever by pid and start time, ours or one that a former Roadstead has started.
class Process {
 public:
  Process(async::Loop& loop, pid_t pid, UniqueFd pidfd);
  ~Process();
  Process(Process&&) noexcept;
  // kNotFound when it is gone. start_time 0: not checked (a child of ours that nobody has waited for).
  static Result<Process> open(async::Loop& loop, pid_t pid, uint64_t start_time = 0);
  awaitable<int> wait();         // until it has ended; the wait status when it was our child, else -1
  void signal(int number) const; // nothing happens when it has ended
  pid_t pid() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
uint64_t start_time_of(pid_t pid);  // 0: no such process

// Runs a helper to its end: a CNI plugin, rm. Output is limited to 1 MiB each; kTimeout kills it.
struct Outcome {
  int exit_code = 0;
  std::string out, err;
};
awaitable<Result<Outcome>> run_to_end(async::Loop& loop, std::string path, std::vector<std::string> args,
                                      std::vector<std::string> env, std::string input, Duration limit);

// Reads a pipe or socket end without blocking the loop.
class PipeReader {
 public:
  PipeReader(async::Loop& loop, UniqueFd fd);
  ~PipeReader();
  awaitable<Result<std::string>> read();  // empty: the end
  awaitable<std::string> read_all(size_t limit);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
class PipeWriter {
 public:
  PipeWriter(async::Loop& loop, UniqueFd fd);
  ~PipeWriter();
  awaitable<Result<void>> write(std::string data);
  void close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The shim's program, embedded in this one (runtime/shim): its file as /proc/self/fd/N, made at first use.
Result<std::string> shim_path();

}  // namespace rs::node
