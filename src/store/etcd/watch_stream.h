// WatchStream: one Watch call with its many watchers (reference etcd-api.md A.6).
//
// Everything the client reads (created, events, progress, canceled) goes through one queue in the order it became true,
// so a progress mark never overtakes an event. The queue is bounded by bytes: beyond kQueueBytes the hub is refused, and
// the watchers read on from history once the client has taken half of it.
#pragma once

#include <deque>
#include <map>
#include <set>

#include "async/event.h"
#include "store/etcd/service.h"
#include "store/mvcc/watch_hub.h"

namespace rs::store::etcd {

class WatchStream final : public mvcc::WatchSink {
 public:
  static constexpr size_t kQueueBytes = 4 << 20;

  WatchStream(EtcdService& service, net::grpc::ServerStream& stream);
  ~WatchStream() override;
  awaitable<net::grpc::Status> run();

  bool deliver(mvcc::Watcher& watcher, Revision revision, std::span<mvcc::EventSlot* const> slots) override;
  void ended(mvcc::Watcher& watcher, const Error& error) override;
  // To every synced watcher that asked for it and heard nothing since the last call.
  void notify_progress();

 private:
  struct Entry {
    mvcc::Watcher* watcher;
    bool progress_notify, fragment, quiet;
  };
  awaitable<void> read_all(std::optional<net::grpc::Status>& status);
  awaitable<void> write_all();
  void handle(WatchMessage message);
  void create(WatchMessage message);
  void cancel(int64_t id);
  void request_progress();
  void push(const WatchAnswer& answer);
  // A message with these events. Small ones are gathered in open_, large events shared by all streams that tell them.
  void push(const WatchAnswer& answer, std::span<mvcc::EventSlot* const> slots, bool prev_kv);
  void push_fragments(const WatchAnswer& answer, std::span<mvcc::EventSlot* const> slots, bool prev_kv);
  void seal();  // open_ to the end of queue_
  void resume_blocked();

  EtcdService& service_;
  net::grpc::ServerStream& stream_;
  std::map<int64_t, Entry> watchers_;
  int64_t next_id_ = 0;
  // Ids of watchers that a compaction ended: as in etcd, taken until the client cancels them too.
  static constexpr size_t kCompactedIdsMax = 10'000;
  std::set<int64_t> compacted_;
  bool taken(int64_t id) const { return watchers_.contains(id) || compacted_.contains(id); }
  struct Piece {
    std::shared_ptr<const std::string> bytes;  // framed, cut anywhere
    size_t messages = 0;                       // that begin in it
  };
  std::deque<Piece> queue_;
  std::string open_;                                      // what follows it
  size_t open_messages_ = 0;
  size_t queued_bytes_ = 0;                               // of both
  size_t unsent_events_ = 0;                              // in them, until all of them are written
  bool blocked_ = false, closed_ = false, writer_ended_ = false;
  async::Event queued_, taken_;
  async::TaskGroup tasks_;
};

}  // namespace rs::store::etcd
