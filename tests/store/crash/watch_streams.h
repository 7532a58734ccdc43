// WatchStreams: several streams with several watchers each, recorded; resumed on the next life of
// the server.
#pragma once

#include "async/event.h"
#include "async/task_group.h"
#include "net/grpc.h"
#include "recorder.h"
#include "watch_check.h"

namespace rs::store::crash {

class WatchStreams {
 public:
  WatchStreams(async::Loop& loop, Recorder& recorder, uint64_t seed);
  ~WatchStreams();
  // Opens the streams on a server that has just started, and resumes what was live on the one
  // before.
  awaitable<void> open(const net::Address& address);
  // Something at random: another watcher, or a request for a progress mark.
  awaitable<void> act();
  // Asks for progress marks until every live watcher was told everything up to revision. False: not
  // within patience.
  awaitable<bool> settle(Revision revision);
  // kRead: the server is gone; everything it had told is read first.
  enum class Rest { kRead, kDrop };
  awaitable<void> close(Rest rest);

  // The latest revision that a watcher asked to start with.
  Revision latest_start() const { return latest_start_; }
  std::vector<const WatcherRecord*> all() const;
  std::vector<const WatcherRecord*> of_all_keys() const;
  size_t answers() const { return answers_; }

 private:
  struct Stream;
  struct Entry {
    WatcherRecord record;
    bool all_keys = false, resumes = false;
  };
  awaitable<void> create(Stream& stream, etcd::WatchCreate create, bool all_keys);
  awaitable<void> read_all(Stream& stream);
  void handle(Stream& stream, const etcd::WatchResponse& response);
  void tell(Entry& entry, const etcd::WatchResponse& response, bool progress);
  etcd::WatchCreate any_create();
  size_t live() const;

  async::Loop& loop_;
  Recorder& recorder_;
  Random random_;
  net::TcpNetwork network_;
  async::Event changed_;
  std::unique_ptr<net::grpc::Client> client_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::deque<Entry> entries_;
  Revision latest_start_ = 0;
  size_t answers_ = 0;
  async::TaskGroup tasks_;
};

}  // namespace rs::store::crash
