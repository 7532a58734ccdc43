// TaskGroup: owner of coroutines.
//
// Every coroutine of Roadstead that nobody awaits belongs to a TaskGroup, a member of the object it serves. An exception
// that escapes a task (other than cancellation) ends the process with its text: expected failures are Results.
//
//   tasks_.spawn("watch pods", watch_pods());     // started soon, on the loop
//   co_await tasks_.stop();                       // cancel all, wait until all have ended
//
// Never spawn a capturing lambda coroutine: captures die with the lambda. Spawn member functions or free functions with
// arguments by value; spawn_fn keeps a callable alive as long as its task for the rare other case.
// The owner must co_await stop() before the group is destroyed, or the group's loop must not run again.
// Lives on one loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "async/loop.h"

namespace rs::async {

struct TaskEntry;

// Cancels one task of a group. A value; harmless once the task has ended, or when empty.
class TaskHandle {
 public:
  TaskHandle() = default;
  void cancel();

 private:
  friend class TaskGroup;
  std::weak_ptr<TaskEntry> entry_;
};

class TaskGroup {
 public:
  explicit TaskGroup(Loop& loop);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Starts task; cancel() and stop() cancel it. A task spawned after cancel() is cancelled at once.
  TaskHandle spawn(std::string_view name, awaitable<void> task);
  // The same for a callable returning awaitable<void>, kept alive until its task has ended.
  void spawn_fn(std::string_view name, std::function<awaitable<void>()> function);

  void cancel();               // ask every task to end; idempotent
  awaitable<void> stop();      // cancel, then wait for all
  awaitable<void> join();      // wait for all, without cancelling
  size_t size() const;         // tasks still running
  bool cancelled() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace rs::async
