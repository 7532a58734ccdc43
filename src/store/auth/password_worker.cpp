#include "store/auth/password_worker.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <pthread.h>

#include "base/random.h"
#include "store/auth/password.h"

namespace rs::store::auth {

struct PasswordWorker::Pool {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::function<void()>> queue;
  bool stopping = false;
  std::vector<std::thread> threads;

  Pool() {
    // Half of the machine at most: the rest serves.
    size_t count = std::clamp<size_t>(std::thread::hardware_concurrency() / 2, 1, 4);
    for (size_t i = 0; i < count; ++i) {
      threads.emplace_back([this] { work(); });
      pthread_setname_np(threads.back().native_handle(), "store-password");
    }
  }
  ~Pool() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
      queue.clear();
    }
    wake.notify_all();
    for (std::thread& thread : threads) thread.join();
  }
  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      wake.wait(lock, [this] { return stopping || !queue.empty(); });
      if (stopping) return;
      auto job = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      job();
      job = nullptr;
      lock.lock();
    }
  }
  bool add(std::function<void()> job) {
    {
      std::lock_guard lock(mutex);
      if (queue.size() >= kMaxQueued) return false;
      queue.push_back(std::move(job));
    }
    wake.notify_one();
    return true;
  }
};

PasswordWorker::PasswordWorker(async::Loop& loop) : loop_(loop) {}

PasswordWorker::~PasswordWorker() {
  *alive_ = false;
}

void PasswordWorker::run(std::function<Result<std::string>()> compute, Done<std::string> done) {
  if (pool_ == nullptr) pool_ = std::make_unique<Pool>();
  uint64_t number = next_++;
  bool taken =
      pool_->add([this, number, compute = std::move(compute), alive = alive_, &loop = loop_] {
        auto result = std::make_shared<Result<std::string>>(compute());
        loop.post([this, number, result, alive] {
          if (!*alive) return;
          auto entry = waiting_.extract(number);
          entry.mapped()(std::move(*result));
        });
      });
  if (!taken) return done(fail(Code::kResourceExhausted, "etcdserver: too many requests"));
  // The answer is posted, so it cannot come before this.
  waiting_.emplace(number, std::move(done));
}

void PasswordWorker::hash(std::string password, int cost, Done<std::string> done) {
  Salt salt;
  secure_bytes(salt);
  run([password = std::move(password), cost, salt] { return hash_password(password, cost, salt); },
      std::move(done));
}

void PasswordWorker::check(std::string password, std::string hash, Done<bool> done) {
  auto compare = [password = std::move(password), hash = std::move(hash)]() -> Result<std::string> {
    return is_password(password, hash) ? "yes" : "";
  };
  run(std::move(compare), [done = std::move(done)](Result<std::string> yes) mutable {
    if (!yes) return done(fail(yes.error()));
    done(!yes->empty());
  });
}

}  // namespace rs::store::auth
