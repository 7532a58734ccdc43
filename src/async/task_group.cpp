#include "async/task_group.h"

#include <list>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "base/assert.h"
#include "base/log.h"

namespace rs::async {

struct TaskEntry {
  std::string name;
  asio::cancellation_signal signal;
  bool started = false;    // a signal sent before the task runs is lost: it is remembered in cancelled
  bool cancelled = false;
};

namespace {
void cancel_entry(TaskEntry& entry) {
  entry.cancelled = true;
  if (entry.started) entry.signal.emit(asio::cancellation_type::all);
}
}  // namespace

void TaskHandle::cancel() {
  if (auto entry = entry_.lock()) cancel_entry(*entry);
}

struct TaskGroup::State {
  explicit State(Loop& l) : loop(l), idle(l.context(), asio::steady_timer::time_point::max()) {}
  Loop& loop;
  std::list<std::shared_ptr<TaskEntry>> tasks;
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

awaitable<void> totally_cancellable(std::shared_ptr<TaskEntry> entry, awaitable<void> task) {
  co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
  entry->started = true;
  // A task cancelled before it ran still runs up to its first wait, as one cancelled right after.
  if (entry->cancelled) asio::post(co_await asio::this_coro::executor, [entry] { cancel_entry(*entry); });
  co_await std::move(task);
}
}  // namespace

TaskHandle TaskGroup::spawn(std::string_view name, awaitable<void> task) {
  auto entry = std::make_shared<TaskEntry>();
  entry->name = name;
  entry->cancelled = state_->cancelled;
  state_->tasks.push_back(entry);
  auto position = std::prev(state_->tasks.end());
  TaskHandle handle;
  handle.entry_ = entry;
  asio::co_spawn(state_->loop.context(), totally_cancellable(entry, std::move(task)),
                 asio::bind_cancellation_slot(entry->signal.slot(), [state = state_, position](std::exception_ptr exception) {
                   rethrow_unless_cancelled((*position)->name, exception);
                   state->tasks.erase(position);
                   if (state->tasks.empty()) state->idle.cancel();
                 }));
  return handle;
}

void TaskGroup::spawn_fn(std::string_view name, std::function<awaitable<void>()> function) {
  spawn(name, call_and_keep(std::move(function)));
}

void TaskGroup::cancel() {
  state_->cancelled = true;
  const auto tasks = state_->tasks;  // a copy: a signal may end tasks at once, which erases them from the list
  for (const auto& entry : tasks) cancel_entry(*entry);
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
