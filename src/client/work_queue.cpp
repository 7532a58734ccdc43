#include "client/work_queue.h"

#include "base/log.h"

namespace rs::client {

WorkQueue::WorkQueue(async::Loop& loop, std::string name, Reconcile reconcile)
    : loop_(loop),
      name_(std::move(name)),
      reconcile_(std::move(reconcile)),
      work_added_(loop),
      delay_added_(loop),
      tasks_(loop) {}

WorkQueue::~WorkQueue() = default;

void WorkQueue::add(ObjectKey key) {
  if (running_.contains(key)) {
    again_.insert(std::move(key));
    return;
  }
  if (!queued_.insert(key).second) return;
  queue_.push_back(std::move(key));
  work_added_.notify();
}

void WorkQueue::add_after(ObjectKey key, Duration delay) {
  if (delay <= Duration::zero()) return add(std::move(key));
  delayed_.emplace(loop_.now() + delay, std::move(key));
  delay_added_.notify();
}

void WorkQueue::start(size_t workers) {
  tasks_.spawn(name_ + " timer", timer());
  for (size_t i = 0; i < workers; ++i) tasks_.spawn(name_ + " worker", work());
}

awaitable<void> WorkQueue::stop() { return tasks_.stop(); }

awaitable<void> WorkQueue::work() {
  for (;;) {
    while (queue_.empty()) co_await work_added_.wait();
    ObjectKey key = std::move(queue_.front());
    queue_.pop_front();
    queued_.erase(key);
    running_.insert(key);
    auto outcome = co_await reconcile_(key);
    running_.erase(key);
    if (!outcome) {
      ++failures_;
      int attempt = std::min(retries_[key]++, 13);
      // Conflicts are the normal way to learn that the copy was old: not worth a line.
      if (outcome.error().code != Code::kConflict)
        log::warning(name_, "reconcile failed, will be tried again",
                     {{"key", api::to_string(key)}, {"error", to_string(outcome.error())}, {"attempt", attempt + 1}});
      add_after(key, std::min(kMaxRetry, kFirstRetry * (1 << attempt)));
    } else {
      retries_.erase(key);
      if (outcome->again_after) add_after(key, *outcome->again_after);
    }
    if (again_.erase(key) > 0) add(std::move(key));
  }
}

awaitable<void> WorkQueue::timer() {
  for (;;) {
    while (!delayed_.empty() && delayed_.begin()->first <= loop_.now()) {
      ObjectKey key = delayed_.begin()->second;
      delayed_.erase(delayed_.begin());
      add(std::move(key));
    }
    if (delayed_.empty()) {
      co_await delay_added_.wait();
      continue;
    }
    // An earlier deadline may be added while waiting, hence a bounded wait.
    Duration wait = delayed_.begin()->first - loop_.now();
    co_await async::sleep_or_event(loop_, std::max(wait, Duration(0)), delay_added_);
  }
}

}  // namespace rs::client
