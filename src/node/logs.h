// Container logs: reads the files that the shim writes (CRI log format, rotated), as `kubectl logs` wants them.
#pragma once

#include <optional>

#include "client/node_api.h"

namespace rs::node {

template <class T>
using awaitable = async::awaitable<T>;

struct LogLine {
  std::string_view time;     // RFC 3339 with nanoseconds
  std::string_view stream;   // stdout, stderr
  bool partial = false;      // more of the same line follows
  std::string_view text;
};
// Nothing for a line that is not in the format.
std::optional<LogLine> parse_log_line(std::string_view line);

struct LogQuery {
  std::optional<WallTime> since;
  std::optional<int64_t> tail_lines, limit_bytes;
  bool timestamps = false, follow = false;
};
// path: ".../containers/NAME/ATTEMPT.log"; the directory ".../ATTEMPT" gets the file "exit" when the container ends,
// which ends a followed stream.
std::unique_ptr<client::LogStream> open_log(async::Loop& loop, std::string path, LogQuery query);
// The last lines as text, for termination messages.
std::string log_tail(const std::string& path, size_t lines, size_t bytes);

}  // namespace rs::node
