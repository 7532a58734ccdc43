// Event, Channel: how coroutines of one loop wait for each other.
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "async/loop.h"
#include "base/assert.h"

namespace rs::async {

// Wakes waiting coroutines. notify() wakes all that wait now; a wait() that begins later waits for the next notify().
// Use as a condition variable: while (!condition) co_await event.wait();
class Event {
 public:
  explicit Event(Loop& loop) : timer_(loop.context(), asio::steady_timer::time_point::max()) {}
  void notify() { timer_.cancel(); }
  awaitable<void> wait() {
    boost::system::error_code ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    // A cancelled task must not mistake its own cancellation for a notification.
    auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none)
      throw boost::system::system_error(asio::error::operation_aborted);
  }

 private:
  asio::steady_timer timer_;
};

// Resumes after the duration or at the next notify(), whichever is first.
awaitable<void> sleep_or_event(Loop& loop, Duration duration, Event& event);

// Bounded queue between coroutines of one loop. push() waits while it is full (back-pressure); try_push() refuses.
template <class T>
class Channel {
 public:
  Channel(Loop& loop, size_t limit) : limit_(limit), changed_(loop) { ASSERT(limit > 0); }

  bool try_push(T value) {
    if (closed_ || queue_.size() >= limit_) return false;
    queue_.push_back(std::move(value));
    changed_.notify();
    return true;
  }
  // False when the channel was closed.
  awaitable<bool> push(T value) {
    while (!closed_ && queue_.size() >= limit_) co_await changed_.wait();
    co_return try_push(std::move(value));
  }
  // Nothing once the channel is closed and empty.
  awaitable<std::optional<T>> pop() {
    while (queue_.empty() && !closed_) co_await changed_.wait();
    if (queue_.empty()) co_return std::nullopt;
    T value = std::move(queue_.front());
    queue_.pop_front();
    changed_.notify();
    co_return value;
  }
  void close() {
    closed_ = true;
    changed_.notify();
  }
  size_t size() const { return queue_.size(); }
  bool closed() const { return closed_; }

 private:
  const size_t limit_;
  std::deque<T> queue_;
  Event changed_;
  bool closed_ = false;
};

}  // namespace rs::async
