#include "async/task_group.h"

#include <list>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "base/assert.h"
#include "base/log.h"

namespace rs::async {

struct TaskGroup::State {
  struct Task {
    std::string name;
    asio::cancellation_signal signal;
  };
  explicit State(Loop& l) : loop(l), idle(l.context(), asio::steady_timer::time_point::max()) {}
  Loop& loop;
  std::list<Task> tasks;
  asio::steady_timer idle;  // never fires: cancelled to wake who waits for the end of all tasks
  bool cancelled = false;
};

TaskGroup::TaskGroup(Loop& loop) : state_(std::make_shared<State>(loop)) {}

TaskGroup::~TaskGroup() {
  // Frames left on a loop that will not run again are destroyed with it; cancelling is then harmless.
  cancel();
}

namespace {
void rethrow_unless_cancelled(std::string_view name, const std::exception_ptr& exception) {
  if (!exception) return;
  try {
    std::rethrow_exception(exception);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) return;
    log::error("async", "task ended by an exception", {{"task", name}, {"what", error.what()}});
  } catch (const std::exception& error) {
    log::error("async", "task ended by an exception", {{"task", name}, {"what", error.what()}});
  }
  ASSERT(false, "an exception escaped a task (see the log line above)");
}

awaitable<void> call_and_keep(std::function<awaitable<void>()> function) { co_await function(); }

awaitable<void> totally_cancellable(awaitable<void> task) {
  co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
  co_await std::move(task);
}
}  // namespace

void TaskGroup::spawn(std::string_view name, awaitable<void> task) {
  auto& entry = state_->tasks.emplace_back();
  entry.name = name;
  auto position = std::prev(state_->tasks.end());
  asio::co_spawn(state_->loop.context(), totally_cancellable(std::move(task)),
                 asio::bind_cancellation_slot(entry.signal.slot(), [state = state_, position](std::exception_ptr exception) {
                   rethrow_unless_cancelled(position->name, exception);
                   state->tasks.erase(position);
                   if (state->tasks.empty()) state->idle.cancel();
                 }));
  if (state_->cancelled) {
    // The task has not started yet: let it start, so that the signal finds it at its first wait.
    state_->loop.post([state = state_] {
      for (auto it = state->tasks.begin(); it != state->tasks.end();) (it++)->signal.emit(asio::cancellation_type::all);
    });
  }
}

void TaskGroup::spawn_fn(std::string_view name, std::function<awaitable<void>()> function) {
  spawn(name, call_and_keep(std::move(function)));
}

void TaskGroup::cancel() {
  state_->cancelled = true;
  // Emitting may end a task at once, which erases its entry: step before emitting.
  for (auto it = state_->tasks.begin(); it != state_->tasks.end();) (it++)->signal.emit(asio::cancellation_type::all);
}

awaitable<void> TaskGroup::stop() {
  cancel();
  co_await join();
}

awaitable<void> TaskGroup::join() {
  auto state = state_;
  while (!state->tasks.empty()) {
    boost::system::error_code ignored;
    co_await state->idle.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_await asio::this_coro::throw_if_cancelled();
    if (!state->tasks.empty()) {
      auto cancellation = co_await asio::this_coro::cancellation_state;
      if (cancellation.cancelled() != asio::cancellation_type::none) co_return;
    }
  }
}

size_t TaskGroup::size() const { return state_->tasks.size(); }
bool TaskGroup::cancelled() const { return state_->cancelled; }

}  // namespace rs::async
