// Structured log lines, on stderr unless told otherwise: one line an event, "time level room: message key=value …".
//
// log::info("mesh", "endpoint ejected", {{"service", name}, {"failures", 5}});
// Any thread. A line is written with one write(2), so lines of several threads do not mix.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace rs::log {

enum class Level { kDebug, kInfo, kWarning, kError };

struct Field {
  std::string_view key;
  std::string value;
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  template <class T>
    requires(std::integral<T> || std::floating_point<T>)
  Field(std::string_view k, T v) : key(k), value(std::to_string(v)) {}
};
using Fields = std::initializer_list<Field>;

void set_level(Level level);           // lines below it are dropped; default kInfo
bool parse_level(std::string_view text, Level& out);  // debug, info, warning, error
bool enabled(Level level);
// Where lines go instead of stderr: descriptors that stay open. Before other threads write.
void set_outputs(std::vector<int> descriptors);

void write(Level level, std::string_view room, std::string_view message, Fields fields = {});
inline void debug(std::string_view room, std::string_view message, Fields fields = {}) {
  if (enabled(Level::kDebug)) write(Level::kDebug, room, message, fields);
}
inline void info(std::string_view room, std::string_view message, Fields fields = {}) {
  write(Level::kInfo, room, message, fields);
}
inline void warning(std::string_view room, std::string_view message, Fields fields = {}) {
  write(Level::kWarning, room, message, fields);
}
inline void error(std::string_view room, std::string_view message, Fields fields = {}) {
  write(Level::kError, room, message, fields);
}

}  // namespace rs::log
