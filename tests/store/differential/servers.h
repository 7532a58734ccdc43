// The two servers that are compared: Debian's etcd as a process, and ours inside this one.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>

#include "net/grpc.h"
#include "store/embedded_store.h"
#include "store/etcd/service.h"

namespace rs::store::differential {

// A directory of its own, in memory where the machine has that (fsyncs are then free); removed at
// the end.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Something that answers etcd's API at an address. start() after stop() finds the same data.
class Server {
 public:
  virtual ~Server() = default;
  virtual std::string name() const = 0;
  virtual awaitable<Result<void>> start() = 0;
  virtual awaitable<void> stop() = 0;
  virtual net::Address address() const = 0;
  virtual bool ours() const { return false; }
  virtual std::string log_tail() const { return {}; }
};

// nullptr: there is no etcd on this machine.
std::unique_ptr<Server> make_etcd(async::Loop& loop);

enum class OurEngine { kRocks, kMemory, kSqlite };
std::unique_ptr<Server> make_ours(async::Loop& loop, OurEngine engine);

}  // namespace rs::store::differential
