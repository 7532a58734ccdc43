// Container output as Kubernetes keeps it (CRI log format: "TIME stdout|stderr F|P line"), with rotation.
#pragma once

#include "support.h"

namespace shim {

struct LogFile {
  const char* path = nullptr;
  int fd = -1;
  long size = 0, size_max = 0, files = 0;

  void open_file() {
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat info {};
    size = fd >= 0 && fstat(fd, &info) == 0 ? (long)info.st_size : 0;
  }
  // x.log.3 becomes x.log.4, … x.log becomes x.log.1; the oldest goes.
  void rotate() {
    char from[4200], to[4200];
    for (long i = files - 1; i >= 1; --i) {
      if (i == 1)
        snprintf(from, sizeof from, "%s", path);
      else
        snprintf(from, sizeof from, "%s.%ld", path, i - 1);
      snprintf(to, sizeof to, "%s.%ld", path, i);
      rename(from, to);
    }
    close(fd);
    open_file();
  }
  void append(const char* head, size_t head_size, const char* text, size_t text_size, bool last = true) {
    if (fd < 0) return;
    if (size >= size_max && files > 1) rotate();
    char line[17 << 10];
    memcpy(line, head, head_size);
    memcpy(line + head_size, text, text_size);
    line[head_size + text_size] = '\n';
    size_t total = head_size + text_size + (last ? 1 : 0);
    // A full disk loses log lines, never the container.
    if (write(fd, line, total) > 0) size += (long)total;
  }
};

// Cuts one stream into lines; a line longer than 16 KiB is written in parts (P … P F), as containerd does.
struct LineCutter {
  static constexpr size_t kPart = 16 << 10;
  const char* stream;
  bool eager;            // terminals: write what is there at once, so that prompts are seen
  char part[kPart];
  size_t used = 0;

  void emit(LogFile& log, char tag) {
    char head[64];
    unsigned long long now = wall_nanoseconds();
    time_t seconds = (time_t)(now / 1000000000ull);
    tm utc{};
    gmtime_r(&seconds, &utc);
    int length = snprintf(head, sizeof head, "%04d-%02d-%02dT%02d:%02d:%02d.%09lluZ %s %c ", utc.tm_year + 1900,
                          utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now % 1000000000ull,
                          stream, tag);
    log.append(head, (size_t)length, part, used);
    used = 0;
  }
  void feed(LogFile& log, const char* data, size_t size) {
    for (size_t i = 0; i < size; ++i) {
      if (data[i] == '\n') {
        emit(log, 'F');
      } else {
        part[used++] = data[i];
        if (used == kPart - 128) emit(log, 'P');
      }
    }
    if (eager && used > 0) emit(log, 'P');
  }
  void finish(LogFile& log) {
    if (used > 0) emit(log, 'F');
  }
};

}  // namespace shim
