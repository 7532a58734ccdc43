#include "api/meta.h"

namespace rs::api {

std::string human_duration(Duration duration) {
  // Clocks of two machines differ a little: up to two seconds in the future is now.
  int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
  auto pair = [](int64_t major, std::string_view unit, int64_t minor, std::string_view minor_unit) {
    return minor == 0 ? fmt::format("{}{}", major, unit) : fmt::format("{}{}{}{}", major, unit, minor, minor_unit);
  };
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (minutes < 10) return pair(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return fmt::format("{}m", minutes);
  if (hours < 8) return pair(hours, "h", minutes % 60, "m");
  if (hours < 48) return fmt::format("{}h", hours);
  if (days < 8) return pair(days, "d", hours % 24, "h");
  if (days < 730) return fmt::format("{}d", days);
  if (days < 365 * 8) return pair(days / 365, "y", days % 365, "d");
  return fmt::format("{}y", days / 365);
}

}  // namespace rs::api
