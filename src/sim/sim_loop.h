// SimLoop: an event loop on virtual time. Time stands still while anything can run and jumps to the next timer when
// nothing can; an hour passes in hundredths of a second, the same twice for one seed. Tests only; one thread.
#pragma once

#include <functional>
#include <map>

#include "async/loop.h"

namespace rs::sim {

class SimClock final : public Clock {
 public:
  // Every simulation begins at this moment of calendar time: 2030-01-01T00:00:00Z.
  static constexpr WallTime kBegin{std::chrono::seconds(1893456000)};
  MonoTime now() const override { return now_; }
  WallTime wall() const override { return kBegin + now_.since_epoch + wall_offset_; }
  void advance_to(MonoTime time) { now_ = std::max(now_, time); }
  void jump_wall(Duration offset) { wall_offset_ += offset; }   // a fault: the machine's calendar clock is set

 private:
  MonoTime now_{std::chrono::hours(1)};
  Duration wall_offset_{};
};

class SimLoop final : public async::Loop {
 public:
  SimLoop(SimClock& clock, uint64_t seed) : Loop(clock, seed), clock_(clock) {}
  ~SimLoop() override;
  async::awaitable<void> sleep(Duration duration) override;

  // Runs until done() or until virtual time has advanced by limit; true when done() was reached. Fails fast (false) when
  // nothing can ever run again.
  bool run_until(const std::function<bool()>& done, Duration limit);
  void run_for(Duration duration);
  // Runs one coroutine to its end.
  bool run(async::awaitable<void> task, Duration limit);

 private:
  class Sleeper;
  bool turn(MonoTime end);   // runs what can run, else moves time; false: nothing before end
  SimClock& clock_;
  std::multimap<MonoTime, Sleeper*> sleepers_;
};

}  // namespace rs::sim
