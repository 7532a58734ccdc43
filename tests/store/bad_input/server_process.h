// A store server in a process of its own, so that its memory and descriptors can be looked at from
// outside.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "raw_client.h"

namespace rs::store::bad_input {

class ServerProcess {
 public:
  // `roadstead store` alone, of this build. Null: it did not start.
  static std::unique_ptr<ServerProcess> ours(std::vector<std::string> more_flags = {});
  // Debian's etcd; null when it is not installed.
  static std::unique_ptr<ServerProcess> etcd();
  ~ServerProcess();  // kills it

  uint16_t port() const { return port_; }
  pid_t pid() const { return pid_; }
  bool alive() const;
  size_t rss_bytes() const;
  size_t descriptors() const;

 private:
  ServerProcess() = default;
  static std::unique_ptr<ServerProcess> start(const std::string& program,
                                              std::vector<std::string> flags, bool peers);

  pid_t pid_ = -1;
  uint16_t port_ = 0;
  std::filesystem::path directory_;
};

// A put and a range by a client that has just come.
bool serves(const ServerProcess& server);

}  // namespace rs::store::bad_input
