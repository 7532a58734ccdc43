// Deadlines for many connections at the cost of a list link each: a hashed timer wheel (Varghese, Lauck 1987).
//
// A Deadline is a member of what it guards; setting and clearing it is O(1), without a system call. When it passes,
// expired() is called on the loop, up to kTick late. One loop; every Deadline is destroyed before its wheel, or cleared.
#pragma once

#include <array>
#include <functional>

#include "async/event.h"
#include "async/loop.h"

namespace rs::mesh {

class DeadlineWheel;

class Deadline {
 public:
  Deadline() = default;
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  virtual ~Deadline() { clear(); }
  void set(DeadlineWheel& wheel, MonoTime when);
  void clear();
  bool is_set() const { return previous_ != nullptr; }

 protected:
  virtual void expired() = 0;

 private:
  friend class DeadlineWheel;
  Deadline** previous_ = nullptr;  // what points at this one
  Deadline* next_ = nullptr;
  MonoTime when_{};
};

class DeadlineWheel {
 public:
  static constexpr Duration kTick = std::chrono::milliseconds(20);
  static constexpr size_t kSlots = 512;  // one turn: 10.24 s; later ones go round again

  explicit DeadlineWheel(async::Loop& loop) : loop_(loop), start_(loop.now()), earlier_(loop) {}
  async::awaitable<void> run();   // until cancelled
  void advance(MonoTime now);     // fires what has passed

 private:
  friend class Deadline;
  uint64_t tick_of(MonoTime when) const {
    auto elapsed = when - start_;
    return elapsed.count() <= 0 ? 0 : static_cast<uint64_t>(elapsed / kTick);
  }
  void insert(Deadline& deadline);
  std::optional<uint64_t> next_tick() const;

  async::Loop& loop_;
  MonoTime start_;
  uint64_t current_ = 0;          // all slots before it have fired
  uint64_t waking_at_ = 0;
  std::array<Deadline*, kSlots> slots_{};
  async::Event earlier_;
};

}  // namespace rs::mesh
