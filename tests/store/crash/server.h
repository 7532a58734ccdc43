// Server: `roadstead store` alone, as a process on a Disk, from one start to one end.
#pragma once

#include <sys/types.h>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "async/event.h"
#include "async/task_group.h"
#include "disk.h"
#include "net/http.h"
#include "store/store.h"

namespace rs::store::crash {

class Server {
 public:
  Server(async::Loop& loop, const Disk& disk, std::vector<std::string> flags = {});
  ~Server();  // kills it; after ended()
  // Until it serves, or has ended. False: it has ended.
  awaitable<bool> start();
  void kill(int signal);
  awaitable<void> ended();
  bool alive() const { return alive_; }
  // Of waitpid(2), once it has ended.
  int status() const { return status_; }
  const net::Address& address() const { return address_; }
  const std::string& log() const { return log_; }
  async::Event& changed() { return changed_; }

 private:
  awaitable<void> read_log();
  void find_address();

  async::Event changed_;
  boost::asio::posix::stream_descriptor pipe_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool alive_ = false;
  net::Address address_;
  std::string log_;
  async::TaskGroup tasks_;
};

}  // namespace rs::store::crash
