#include "store/engine/committer.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include <pthread.h>

#include <boost/asio/post.hpp>

#include "base/assert.h"

namespace rs::store::engine {
namespace {

// What the loop still has to be told; outlives its committer harmlessly.
struct Answer {
  Committer::Done done;
  Result<void> result;
};

class InlineCommitter final : public Committer {
 public:
  InlineCommitter(async::Loop& loop, Engine& engine) : loop_(loop), engine_(engine) {}
  ~InlineCommitter() override { *alive_ = false; }
  void write(Batch batch, bool sync, Done done) override {
    auto answer = std::make_shared<Answer>(Answer{std::move(done), engine_.write(batch, sync)});
    loop_.post([answer, alive = alive_] {
      if (*alive) answer->done(std::move(answer->result));
    });
  }

 private:
  async::Loop& loop_;
  Engine& engine_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class ThreadedCommitter final : public Committer {
 public:
  ThreadedCommitter(async::Loop& loop, Engine& engine, CommitTimes times)
      : loop_(loop), engine_(engine), times_(times), thread_([this] { run(); }) {
    pthread_setname_np(thread_.native_handle(), "store-commit");
  }
  ~ThreadedCommitter() override {
    *alive_ = false;
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  void write(Batch batch, bool sync, Done done) override {
    {
      std::lock_guard lock(mutex_);
      ASSERT(!has_work_, "one write at a time");
      batch_ = std::move(batch);
      sync_ = sync;
      done_ = std::move(done);
      has_work_ = true;
    }
    wake_.notify_one();
  }

 private:
  void run() {
    while (true) {
      Batch batch;
      bool sync;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return stopping_ || has_work_; });
        if (!has_work_) return;
        batch = std::move(batch_);
        sync = sync_;
      }
      MonoTime began = loop_.now();
      Result<void> result = engine_.write(batch, sync);
      const double took_seconds = std::chrono::duration<double>(loop_.now() - began).count();
      if (times_.write_seconds != nullptr) times_.write_seconds->observe(took_seconds);
      if (sync && times_.sync_seconds != nullptr) times_.sync_seconds->observe(took_seconds);
      auto answer = std::make_shared<Answer>();
      answer->result = std::move(result);
      {
        std::lock_guard lock(mutex_);
        answer->done = std::move(done_);
        has_work_ = false;
      }
      loop_.post([answer, alive = alive_] {
        if (*alive) answer->done(std::move(answer->result));
      });
    }
  }

  async::Loop& loop_;
  Engine& engine_;
  const CommitTimes times_;
  std::mutex mutex_;  // once a group, never on a request
  std::condition_variable wake_;
  Batch batch_;
  bool sync_ = false, has_work_ = false, stopping_ = false;
  Done done_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Committer> make_inline_committer(async::Loop& loop, Engine& engine) {
  return std::make_unique<InlineCommitter>(loop, engine);
}
std::unique_ptr<Committer> make_threaded_committer(async::Loop& loop, Engine& engine, CommitTimes times) {
  return std::make_unique<ThreadedCommitter>(loop, engine, times);
}

}  // namespace rs::store::engine
