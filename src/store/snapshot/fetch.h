// Fetching a snapshot from a running server, etcd or ours (reference etcd-api.md A.8). One loop.
#pragma once

#include <functional>
#include <string>

#include "net/grpc.h"

namespace rs::store::snapshot {

struct FetchOptions {
  std::string endpoint = "127.0.0.1:2379";   // host:port, http://… or https://…
  std::string ca, certificate, key;          // files (PEM); https only
  bool insecure_skip_verify = false;
  std::string user;                          // name:password; empty: nobody
  Duration idle_timeout = std::chrono::seconds(60);  // between two parts
  std::function<void(uint64_t done, uint64_t total)> progress;
};

// Writes the whole file, checksum included, to fd, and verifies the checksum; how many bytes.
net::awaitable<Result<uint64_t>> fetch(async::Loop& loop, const FetchOptions& options, int fd);

}  // namespace rs::store::snapshot
