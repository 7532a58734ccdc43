// PasswordWorker: bcrypt in threads of its own, so that the loop goes on meanwhile. A few at once
// and a bounded queue: beyond it kResourceExhausted. The threads start with the first password. One
// loop; answers come on it, and none after the worker is gone (it waits for what is being
// computed).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "async/loop.h"
#include "base/result.h"

namespace rs::store::auth {

class PasswordWorker {
 public:
  static constexpr size_t kMaxQueued = 256;
  template <class T>
  using Done = std::move_only_function<void(Result<T>)>;

  explicit PasswordWorker(async::Loop& loop);
  ~PasswordWorker();
  void hash(std::string password, int cost, Done<std::string> done);
  void check(std::string password, std::string hash, Done<bool> done);

 private:
  struct Pool;
  void run(std::function<Result<std::string>()> compute, Done<std::string> done);

  async::Loop& loop_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<uint64_t, Done<std::string>>
      waiting_;  // only the loop touches them; the threads know their numbers
  uint64_t next_ = 0;
  std::unique_ptr<Pool> pool_;  // last: its threads end first
};

}  // namespace rs::store::auth
