// Time is injected: code that decides takes times as values; code that acts asks a Clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace rs {

using Duration = std::chrono::nanoseconds;

// A point on a clock that never goes back (CLOCK_MONOTONIC, or simulated time).
struct MonoTime {
  Duration since_epoch{};
  friend auto operator<=>(const MonoTime&, const MonoTime&) = default;
  friend MonoTime operator+(MonoTime a, Duration d) { return {a.since_epoch + d}; }
  friend MonoTime operator-(MonoTime a, Duration d) { return {a.since_epoch - d}; }
  friend Duration operator-(MonoTime a, MonoTime b) { return a.since_epoch - b.since_epoch; }
};

// A point in calendar time, UTC.
struct WallTime {
  Duration since_unix{};
  friend auto operator<=>(const WallTime&, const WallTime&) = default;
  friend WallTime operator+(WallTime a, Duration d) { return {a.since_unix + d}; }
  friend WallTime operator-(WallTime a, Duration d) { return {a.since_unix - d}; }
  friend Duration operator-(WallTime a, WallTime b) { return a.since_unix - b.since_unix; }
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime now() const = 0;
  virtual WallTime wall() const = 0;
};

// The machine's clocks. Stateless, usable from any thread.
class SystemClock final : public Clock {
 public:
  MonoTime now() const override;
  WallTime wall() const override;
};

// RFC 3339 as Kubernetes writes metav1.Time ("2026-01-02T15:04:05Z"), MicroTime (6 decimals) and log lines (9 decimals).
std::string rfc3339(WallTime time);
std::string rfc3339_micro(WallTime time);
std::string rfc3339_nano(WallTime time);
// Any RFC 3339 time with optional fraction and offset; false when text is not one.
bool parse_rfc3339(std::string_view text, WallTime& out);

}  // namespace rs
