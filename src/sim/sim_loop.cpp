#include "sim/sim_loop.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/assert.h"

namespace rs::sim {

namespace asio = boost::asio;

// A sleeping coroutine: a timer that never fires by itself, woken when virtual time reaches its deadline.
class SimLoop::Sleeper {
 public:
  Sleeper(SimLoop& loop, MonoTime deadline)
      : timer(loop.context(), asio::steady_timer::time_point::max()),
        loop_(loop),
        position_(loop.sleepers_.emplace(deadline, this)) {}
  ~Sleeper() { leave(); }
  Sleeper(const Sleeper&) = delete;
  void wake() {
    leave();
    woken = true;
    timer.cancel();
  }
  asio::steady_timer timer;
  bool woken = false;

 private:
  void leave() {
    if (position_ == loop_.sleepers_.end()) return;
    loop_.sleepers_.erase(position_);
    position_ = loop_.sleepers_.end();
  }
  SimLoop& loop_;
  std::multimap<MonoTime, Sleeper*>::iterator position_;
};

SimLoop::~SimLoop() = default;

async::awaitable<void> SimLoop::sleep(Duration duration) {
  Sleeper sleeper(*this, now() + std::max(duration, Duration::zero()));
  boost::system::error_code error;
  co_await sleeper.timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  if (!sleeper.woken) throw boost::system::system_error(asio::error::operation_aborted);
}

bool SimLoop::turn(MonoTime end) {
  context().restart();
  if (context().poll() > 0) return true;
  if (sleepers_.empty() || sleepers_.begin()->first > end) return false;
  auto [deadline, sleeper] = *sleepers_.begin();
  clock_.advance_to(deadline);
  sleeper->wake();
  return true;
}

bool SimLoop::run_until(const std::function<bool()>& done, Duration limit) {
  MonoTime end = now() + limit;
  while (!done()) {
    if (turn(end)) continue;
    clock_.advance_to(end);
    return done();
  }
  return true;
}

void SimLoop::run_for(Duration duration) {
  run_until([] { return false; }, duration);
}

bool SimLoop::run(async::awaitable<void> task, Duration limit) {
  bool ended = false;
  asio::co_spawn(context(), std::move(task), [&ended](std::exception_ptr exception) {
    ended = true;
    if (exception) std::rethrow_exception(exception);
  });
  return run_until([&ended] { return ended; }, limit);
}

}  // namespace rs::sim
