#include "mesh/proxy/deadline.h"

#include <limits>

namespace rs::mesh {
namespace {
async::awaitable<Result<void>> wait(async::Event& event) {
  co_await event.wait();
  co_return Result<void>();
}
}  // namespace

void Deadline::set(DeadlineWheel& wheel, MonoTime when) {
  clear();
  when_ = when;
  wheel.insert(*this);
}

void Deadline::clear() {
  if (previous_ == nullptr) return;
  *previous_ = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  previous_ = nullptr;
  next_ = nullptr;
}

void DeadlineWheel::insert(Deadline& deadline) {
  uint64_t tick = std::clamp(tick_of(deadline.when_) + 1, current_ + 1, current_ + kSlots - 1);
  Deadline*& slot = slots_[tick % kSlots];
  deadline.next_ = slot;
  deadline.previous_ = &slot;
  if (slot != nullptr) slot->previous_ = &deadline.next_;
  slot = &deadline;
  if (tick < waking_at_) {
    waking_at_ = tick;
    earlier_.notify();
  }
}

void DeadlineWheel::advance(MonoTime now) {
  uint64_t target = tick_of(now);
  if (target > current_ + kSlots) current_ = target - kSlots;
  while (current_ < target) {
    ++current_;
    // Firing may set and clear others, also in this slot: take the list out first.
    Deadline* list = std::exchange(slots_[current_ % kSlots], nullptr);
    if (list != nullptr) list->previous_ = &list;
    while (list != nullptr) {
      Deadline* deadline = list;
      deadline->clear();
      if (deadline->when_ <= now) deadline->expired();
      else insert(*deadline);
    }
  }
}

std::optional<uint64_t> DeadlineWheel::next_tick() const {
  for (uint64_t tick = current_ + 1; tick < current_ + kSlots; ++tick)
    if (slots_[tick % kSlots] != nullptr) return tick;
  return std::nullopt;
}

async::awaitable<void> DeadlineWheel::run() {
  for (;;) {
    advance(loop_.now());
    auto next = next_tick();
    if (!next) {
      // An idle proxy does not wake up at all.
      waking_at_ = std::numeric_limits<uint64_t>::max();
      co_await earlier_.wait();
      continue;
    }
    waking_at_ = *next;
    auto until = start_ + kTick * static_cast<int64_t>(*next) - loop_.now();
    if (until.count() <= 0) continue;
    (void)co_await async::with_timeout(loop_, until, "deadline", wait(earlier_));
  }
}

}  // namespace rs::mesh
