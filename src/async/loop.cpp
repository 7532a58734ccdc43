#include "async/loop.h"

#include "async/event.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace rs::async {
namespace {
const SystemClock& system_clock() {
  static const SystemClock clock;
  return clock;
}
}  // namespace

void Loop::post(std::function<void()> function) { asio::post(context_, std::move(function)); }

struct SystemLoop::Work {
  asio::executor_work_guard<asio::io_context::executor_type> guard;
};

SystemLoop::SystemLoop() : Loop(system_clock(), secure_seed()), work_(new Work{asio::make_work_guard(context())}) {}
SystemLoop::~SystemLoop() = default;

awaitable<void> SystemLoop::sleep(Duration duration) {
  asio::steady_timer timer(context(), duration);
  co_await timer.async_wait(asio::use_awaitable);
}

void SystemLoop::run() { context().run(); }
void SystemLoop::stop() { context().stop(); }

namespace {
// When the caller is cancelled both sides of || end by an exception, and it throws the pair of them.
[[noreturn]] void rethrow_first(const std::exception_ptr& exceptions) {
  try {
    std::rethrow_exception(exceptions);
  } catch (const asio::multiple_exceptions& both) {
    std::rethrow_exception(both.first_exception());
  }
}
}  // namespace

awaitable<void> sleep_or_event(Loop& loop, Duration duration, Event& event) {
  using namespace asio::experimental::awaitable_operators;
  std::exception_ptr failure;
  try {
    co_await (loop.sleep(duration) || event.wait());
    co_return;
  } catch (...) {
    failure = std::current_exception();
  }
  rethrow_first(failure);
}

namespace detail {

awaitable<void> run_with_timeout(Loop& loop, Duration limit, awaitable<void> operation, bool& timed_out) {
  using namespace asio::experimental::awaitable_operators;
  std::exception_ptr failure;
  try {
    auto first = co_await (std::move(operation) || loop.sleep(limit));
    timed_out = first.index() == 1;
    co_return;
  } catch (...) {
    failure = std::current_exception();
  }
  rethrow_first(failure);
}

}  // namespace detail
}  // namespace rs::async
