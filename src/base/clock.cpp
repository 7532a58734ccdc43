#include "base/clock.h"

#include <cctype>
#include <string_view>

#include <fmt/format.h>

namespace rs {
namespace {

using namespace std::chrono;

struct Civil {
  int year, month, day, hour, minute, second;
  int64_t nanos;
};

Civil civil(WallTime time) {
  auto point = sys_time<nanoseconds>(time.since_unix);
  auto day_point = floor<days>(point);
  year_month_day ymd{day_point};
  auto rest = point - day_point;
  hh_mm_ss<nanoseconds> hms{rest};
  return {int(ymd.year()), int(unsigned(ymd.month())), int(unsigned(ymd.day())), int(hms.hours().count()),
          int(hms.minutes().count()), int(hms.seconds().count()), hms.subseconds().count()};
}

bool digits(std::string_view& text, int count, int& out) {
  if (text.size() < size_t(count)) return false;
  out = 0;
  for (int i = 0; i < count; ++i) {
    if (!std::isdigit(static_cast<unsigned char>(text[i]))) return false;
    out = out * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return true;
}

bool literal(std::string_view& text, std::string_view accepted) {
  if (text.empty() || accepted.find(text[0]) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

MonoTime SystemClock::now() const { return {steady_clock::now().time_since_epoch()}; }
WallTime SystemClock::wall() const { return {system_clock::now().time_since_epoch()}; }

std::string rfc3339(WallTime time) {
  auto c = civil(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second);
}

std::string rfc3339_micro(WallTime time) {
  auto c = civil(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", c.year, c.month, c.day, c.hour, c.minute, c.second,
                     c.nanos / 1000);
}

std::string rfc3339_nano(WallTime time) {
  auto c = civil(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", c.year, c.month, c.day, c.hour, c.minute, c.second,
                     c.nanos);
}

bool parse_rfc3339(std::string_view text, WallTime& out) {
  int y, mo, d, h, mi, s;
  if (!digits(text, 4, y) || !literal(text, "-") || !digits(text, 2, mo) || !literal(text, "-") || !digits(text, 2, d) ||
      !literal(text, "Tt ") || !digits(text, 2, h) || !literal(text, ":") || !digits(text, 2, mi) ||
      !literal(text, ":") || !digits(text, 2, s))
    return false;
  year_month_day ymd{year{y}, month{unsigned(mo)}, day{unsigned(d)}};
  if (y < 1678 || y > 2261) return false;  // what nanoseconds in 64 bits can hold
  if (!ymd.ok() || h > 23 || mi > 59 || s > 60) return false;
  int64_t nanos = 0;
  if (literal(text, ".")) {
    int64_t scale = 100'000'000;
    size_t count = 0;
    while (!text.empty() && std::isdigit(static_cast<unsigned char>(text[0]))) {
      nanos += (text[0] - '0') * scale;
      scale /= 10;
      text.remove_prefix(1);
      ++count;
    }
    if (count == 0) return false;
  }
  minutes offset{0};
  if (!literal(text, "Zz")) {
    if (text.empty()) return false;
    int sign = text[0] == '-' ? -1 : 1;
    int oh, om;
    if (!literal(text, "+-") || !digits(text, 2, oh) || !literal(text, ":") || !digits(text, 2, om) || oh > 23 || om > 59)
      return false;
    offset = minutes{sign * (oh * 60 + om)};
  }
  if (!text.empty()) return false;
  out = {sys_days{ymd}.time_since_epoch() + hours{h} + minutes{mi} - offset + seconds{s} + nanoseconds{nanos}};
  return true;
}

}  // namespace rs
