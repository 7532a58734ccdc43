// Load: clients that call one server at once, at random, each one call after the other; what comes
// of it is recorded.
#pragma once

#include "recorder.h"
#include "server.h"
#include "watch_streams.h"

namespace rs::store::crash {

struct LoadOptions {
  int clients = 6;
  size_t value_bytes = 16;  // at most
};

class Load {
 public:
  Load(async::Loop& loop, Recorder& recorder, WatchStreams& watches, LoadOptions options,
       uint64_t seed);
  // calls in all, or as many as are answered before the server is gone. With at_end, which ends the
  // server, the clients go on until it is gone.
  awaitable<void> run(const net::Address& address, size_t calls, std::function<void()> at_end = {});
  // One call. False: the connection is gone, and nobody knows whether it was done.
  awaitable<bool> call(net::grpc::Client& client, int who, Request request);
  // Everything: all keys now and at old revisions, and every lease.
  awaitable<bool> read_all(const net::Address& address);
  size_t refused_for_space() const { return refused_for_space_; }
  size_t refused_as_corrupt() const { return refused_as_corrupt_; }

 private:
  awaitable<void> run_client(const net::Address& address, int who, size_t& left,
                             const std::function<void()>& at_end);
  Request any();
  Request any_range();
  TxnRequest any_txn();
  PutRequest any_put(const std::string& key);
  std::string any_key();
  std::string any_value();
  LeaseId any_lease();

  async::Loop& loop_;
  Recorder& recorder_;
  WatchStreams& watches_;
  const LoadOptions options_;
  Random random_;
  net::TcpNetwork network_;
  uint64_t values_ = 0;
  LeaseId next_lease_ = 1000;
  size_t refused_for_space_ = 0, refused_as_corrupt_ = 0;
};

// Asks to take the alarm NOSPACE back. True: it is.
awaitable<bool> disarm_no_space(net::grpc::Client& client);

}  // namespace rs::store::crash
