// WorkQueue: keys to reconcile (client-go util/workqueue): fair (first in, first out), stingy (a key queued many times
// is handled once), never two workers on one key, and a failed key comes back after a growing delay.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>

#include "api/meta.h"
#include "async/backoff.h"
#include "async/event.h"
#include "async/task_group.h"

namespace rs::client {

template <class T>
using awaitable = async::awaitable<T>;
using api::ObjectKey;

// What a reconcile wants next.
struct Next {
  std::optional<Duration> again_after;   // nothing: only when something changes
  static Next done() { return {}; }
  static Next after(Duration delay) { return {delay}; }
};

class WorkQueue {
 public:
  using Reconcile = std::function<awaitable<Result<Next>>(ObjectKey key)>;
  static constexpr Duration kFirstRetry = std::chrono::milliseconds(5);
  static constexpr Duration kMaxRetry = std::chrono::seconds(30);

  WorkQueue(async::Loop& loop, std::string name, Reconcile reconcile);
  ~WorkQueue();
  void add(ObjectKey key);
  void add_after(ObjectKey key, Duration delay);
  void start(size_t workers);
  awaitable<void> stop();
  size_t depth() const { return queue_.size(); }
  uint64_t failures() const { return failures_; }

 private:
  awaitable<void> work();
  awaitable<void> timer();
  async::Loop& loop_;
  std::string name_;
  Reconcile reconcile_;
  std::deque<ObjectKey> queue_;
  std::set<ObjectKey> queued_, running_, again_;
  std::map<ObjectKey, int> retries_;
  std::set<std::pair<MonoTime, ObjectKey>> delayed_;
  uint64_t failures_ = 0;
  async::Event work_added_, delay_added_;
  async::TaskGroup tasks_;
};

}  // namespace rs::client
