// Loop: one thread's event loop with its clock, timers and random numbers.
//
// Every object lives on one loop and is touched only from that loop's thread; other threads use post(). In production
// a Loop runs on the machine's clock; sim/sim_loop.h runs the same code on virtual time. Rooms take a Loop& and never
// ask the operating system for time or randomness themselves.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"

namespace rs::async {

namespace asio = boost::asio;
template <class T>
using awaitable = asio::awaitable<T>;
using namespace std::chrono_literals;

class Loop {
 public:
  virtual ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  asio::io_context& context() { return context_; }
  asio::any_io_executor executor() { return context_.get_executor(); }
  const Clock& clock() const { return clock_; }
  MonoTime now() const { return clock_.now(); }
  WallTime wall() const { return clock_.wall(); }
  Random& random() { return random_; }

  // Resumes the caller after the duration; cancellation (TaskGroup::cancel, a timeout) throws through it.
  virtual awaitable<void> sleep(Duration duration) = 0;

  // Runs function on the loop's thread, soon, in the order of the posts of one thread. Any thread.
  void post(std::function<void()> function);

 protected:
  Loop(const Clock& clock, uint64_t seed) : clock_(clock), random_(seed) {}

 private:
  asio::io_context context_{1};
  const Clock& clock_;
  Random random_;
};

// The loop of a real thread. run() returns after stop().
class SystemLoop final : public Loop {
 public:
  SystemLoop();
  ~SystemLoop() override;
  awaitable<void> sleep(Duration duration) override;
  void run();
  void stop();  // any thread

 private:
  struct Work;
  std::unique_ptr<Work> work_;
};

namespace detail {
awaitable<void> run_with_timeout(Loop& loop, Duration limit, awaitable<void> operation, bool& timed_out);
template <class T>
awaitable<void> store_result(awaitable<Result<T>> operation, std::optional<Result<T>>& out) {
  out.emplace(co_await std::move(operation));
}
}  // namespace detail

// The operation's result, or kTimeout "what: no answer within …" once limit has passed (the operation is cancelled and
// awaited first, so it must end promptly when cancelled).
template <class T>
awaitable<Result<T>> with_timeout(Loop& loop, Duration limit, std::string_view what, awaitable<Result<T>> operation) {
  std::optional<Result<T>> result;
  bool timed_out = false;
  co_await detail::run_with_timeout(loop, limit, detail::store_result<T>(std::move(operation), result), timed_out);
  if (result.has_value() && !timed_out) co_return std::move(*result);
  co_return fail(Code::kTimeout, "{}: no answer within {} ms", what,
                 std::chrono::duration_cast<std::chrono::milliseconds>(limit).count());
}

}  // namespace rs::async
