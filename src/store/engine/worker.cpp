#include "store/engine/worker.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/memory.h"

namespace rs::store::engine {
namespace {
constexpr int kBackgroundNice = 10;
constexpr auto kIdleMin = std::chrono::seconds(1), kIdleMax = std::chrono::seconds(16);
}

struct Worker::State {
  struct Job {
    std::move_only_function<void()> work, done;
  };
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::shared_ptr<Job>> jobs;
  bool stopping = false;
  std::thread thread;
};

Worker::Worker(async::Loop& loop, std::string thread_name, Priority priority)
    : loop_(loop), thread_name_(std::move(thread_name)), priority_(priority), state_(std::make_unique<State>()) {}

Worker::~Worker() {
  *alive_ = false;
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    state_->jobs.clear();
  }
  state_->wake.notify_one();
  if (state_->thread.joinable()) state_->thread.join();
}

void Worker::run(std::move_only_function<void()> work, std::move_only_function<void()> done) {
  auto job = std::make_shared<State::Job>(std::move(work), std::move(done));
  {
    std::lock_guard lock(state_->mutex);
    state_->jobs.push_back(std::move(job));
  }
  if (!state_->thread.joinable()) {
    state_->thread = std::thread([this] { loop_of_thread(); });
    pthread_setname_np(state_->thread.native_handle(), thread_name_.c_str());
  }
  state_->wake.notify_one();
}

void Worker::loop_of_thread() {
  // On Linux a nice value is a thread's own (setpriority(2)).
  if (priority_ == Priority::kBackground) (void)::setpriority(PRIO_PROCESS, id_t(::gettid()), kBackgroundNice);
  for (bool worked = false;;) {
    std::shared_ptr<State::Job> job;
    {
      std::unique_lock lock(state_->mutex);
      const auto wanted = [this] { return state_->stopping || !state_->jobs.empty(); };
      // What the work made is freed on the loop, whenever that gets to it: this thread looks a few times.
      for (auto idle = kIdleMin; worked && idle <= kIdleMax && !state_->wake.wait_for(lock, idle, wanted); idle *= 2) {
        lock.unlock();
        give_back_idle_memory();
        lock.lock();
      }
      state_->wake.wait(lock, wanted);
      if (state_->stopping) return;
      job = std::move(state_->jobs.front());
      state_->jobs.pop_front();
    }
    job->work();
    worked = true;
    loop_.post([job, alive = alive_] {
      if (*alive) job->done();
    });
  }
}

}  // namespace rs::store::engine
