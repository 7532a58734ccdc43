// Worker: does slow things, like reading many values, in a thread of its own, in order. The thread starts with the first
// of them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "async/loop.h"

namespace rs::store::engine {

class Worker {
 public:
  enum class Priority { kNormal, kBackground };  // background work yields the processor to everything else
  Worker(async::Loop& loop, std::string thread_name, Priority priority = Priority::kNormal);
  ~Worker();  // waits for the work under way; what has not begun is dropped, and nothing is answered any more
  // work runs in the thread, then done on the loop. Any number may wait: who calls bounds them.
  void run(std::move_only_function<void()> work, std::move_only_function<void()> done);

 private:
  struct State;
  void loop_of_thread();
  async::Loop& loop_;
  const std::string thread_name_;
  const Priority priority_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<State> state_;
};

}  // namespace rs::store::engine
