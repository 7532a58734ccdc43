#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <iterator>

#include <fmt/format.h>

#include "base/clock.h"

namespace rs::log {
namespace {
std::atomic<Level> g_level{Level::kInfo};
std::vector<int>& outputs() {
  static std::vector<int> descriptors{STDERR_FILENO};
  return descriptors;
}
constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};

void append_value(std::string& line, std::string_view value) {
  bool plain = !value.empty();
  for (char c : value) plain = plain && c > ' ' && c != '"' && c != '\\' && c != 0x7f;
  if (plain) {
    line += value;
    return;
  }
  line += '"';
  for (char c : value) {
    if (c == '"' || c == '\\') (line += '\\') += c;
    else if (c == '\n') line += "\\n";
    else if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) fmt::format_to(std::back_inserter(line), "\\x{:02x}", c);
    else line += c;
  }
  line += '"';
}
}  // namespace

void set_level(Level level) { g_level = level; }
void set_outputs(std::vector<int> descriptors) { outputs() = std::move(descriptors); }
bool enabled(Level level) { return level >= g_level.load(std::memory_order_relaxed); }

bool parse_level(std::string_view text, Level& out) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (text != kNames[i]) continue;
    out = static_cast<Level>(i);
    return true;
  }
  return false;
}

void write(Level level, std::string_view room, std::string_view message, Fields fields) {
  if (!enabled(level)) return;
  std::string line = fmt::format("{} {} {}: {}", rfc3339_micro(SystemClock{}.wall()), kNames[size_t(level)], room, message);
  for (const auto& field : fields) {
    ((line += ' ') += field.key) += '=';
    append_value(line, field.value);
  }
  line += '\n';
  for (const int descriptor : outputs()) {
    [[maybe_unused]] auto written = ::write(descriptor, line.data(), line.size());
  }
}

}  // namespace rs::log
