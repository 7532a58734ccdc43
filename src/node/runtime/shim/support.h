// Small helpers of the shim: plain C library, no allocation after start beyond the configuration.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace shim {

// Where the reason of a failure goes: a pipe that closes by itself when the container's program is executed.
inline int g_error_fd = -1;

[[noreturn]] inline void die(const char* format, ...) {
  char text[1024];
  int saved = errno;
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text - 1, format, arguments);
  va_end(arguments);
  if (length < 0) length = 0;
  if (length > (int)sizeof text - 1) length = sizeof text - 1;
  if (saved != 0) {
    int more = snprintf(text + length, sizeof text - (size_t)length, ": %s", strerror(saved));
    if (more > 0) length += more;
    if (length > (int)sizeof text - 1) length = sizeof text - 1;
  }
  if (g_error_fd >= 0 && write(g_error_fd, text, (size_t)length) < 0) _exit(126);
  _exit(128);
}

struct List {
  char** items = nullptr;
  size_t count = 0, room = 0;
  void add(char* item) {
    if (count + 2 > room) {
      room = room == 0 ? 16 : room * 2;
      items = (char**)realloc(items, room * sizeof(char*));
      if (items == nullptr) _exit(125);
    }
    items[count++] = item;
    items[count] = nullptr;  // always usable as argv and envp
  }
};

// What the agent wrote: "key=value" strings, each ended by a NUL.
struct Config {
  List args, env, mounts, cgroups, masks, groups;
  const char *mode = "container", *state_dir = nullptr, *log = nullptr, *cwd = nullptr, *hostname = nullptr;
  const char *net_ns = nullptr, *uts_ns = nullptr, *ipc_ns = nullptr, *stdin_fifo = nullptr;
  long uid = -1, gid = -1, target_pid = 0, log_bytes = 10 << 20, log_files = 5, oom_score_adj = 0;
  bool isolate = false, privileged = false, no_new_privileges = false, tty = false, read_only_root = false;
  bool new_network = false, keep_capabilities = false;
  unsigned long long capabilities = 0;
};

inline char* read_all(int fd, size_t* size) {
  size_t room = 64 << 10, used = 0;
  char* data = (char*)malloc(room);
  while (data != nullptr) {
    ssize_t got = read(fd, data + used, room - used - 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    used += (size_t)got;
    if (used + 1 >= room) data = (char*)realloc(data, room *= 2);
  }
  if (data == nullptr) _exit(125);
  data[used] = '\0';
  *size = used;
  return data;
}

inline const char* value_of(const char* entry, const char* key) {
  size_t length = strlen(key);
  return strncmp(entry, key, length) == 0 && entry[length] == '=' ? entry + length + 1 : nullptr;
}

inline void read_entry(Config& config, char* entry) {
  struct {
    const char* key;
    List* list;
  } lists[] = {{"arg", &config.args},     {"env", &config.env},     {"mount", &config.mounts},
               {"cgroup", &config.cgroups}, {"mask", &config.masks}, {"group", &config.groups}};
  for (auto& [key, list] : lists)
    if (const char* value = value_of(entry, key)) return list->add(const_cast<char*>(value));
  struct {
    const char* key;
    const char** text;
  } texts[] = {{"mode", &config.mode},     {"state_dir", &config.state_dir}, {"log", &config.log},
               {"cwd", &config.cwd},       {"hostname", &config.hostname},   {"net_ns", &config.net_ns},
               {"uts_ns", &config.uts_ns}, {"ipc_ns", &config.ipc_ns},       {"stdin", &config.stdin_fifo}};
  for (auto& [key, text] : texts)
    if (const char* value = value_of(entry, key)) return (void)(*text = value);
  struct {
    const char* key;
    long* number;
  } numbers[] = {{"uid", &config.uid},           {"gid", &config.gid},
                 {"target_pid", &config.target_pid}, {"log_bytes", &config.log_bytes},
                 {"log_files", &config.log_files}, {"oom_score_adj", &config.oom_score_adj}};
  for (auto& [key, number] : numbers)
    if (const char* value = value_of(entry, key)) return (void)(*number = strtol(value, nullptr, 10));
  struct {
    const char* key;
    bool* flag;
  } flags[] = {{"isolate", &config.isolate}, {"privileged", &config.privileged},
               {"no_new_privileges", &config.no_new_privileges}, {"tty", &config.tty},
               {"read_only_root", &config.read_only_root}, {"new_network", &config.new_network}};
  for (auto& [key, flag] : flags)
    if (const char* value = value_of(entry, key)) return (void)(*flag = value[0] == '1');
  if (const char* value = value_of(entry, "capabilities")) {
    config.capabilities = strtoull(value, nullptr, 16);
    config.keep_capabilities = true;
  }
}

inline void read_config(Config& config, int fd) {
  size_t size = 0;
  char* data = read_all(fd, &size);
  for (size_t at = 0; at < size; at += strlen(data + at) + 1) read_entry(config, data + at);
  if (config.env.items == nullptr) config.env.items = (char**)calloc(1, sizeof(char*));
}

// Start time of a process in clock ticks since boot (/proc/PID/stat field 22): with the pid it names one process for ever.
inline unsigned long long start_time_of_self() {
  int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[1024];
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0) return 0;
  text[got] = '\0';
  char* at = strrchr(text, ')');
  if (at == nullptr) return 0;
  unsigned long long start = 0;
  int field = 2;
  for (char* word = strtok(at + 1, " "); word != nullptr; word = strtok(nullptr, " "))
    if (++field == 22) start = strtoull(word, nullptr, 10);
  return start;
}

inline unsigned long long wall_nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return (unsigned long long)now.tv_sec * 1000000000ull + (unsigned long long)now.tv_nsec;
}

// Replaces name in the directory at once: a reader sees the old file, the new one or none, never half of one.
inline void write_atomically(int dir, const char* name, const char* text) {
  char temporary[64];
  snprintf(temporary, sizeof temporary, ".%s.new", name);
  int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  bool whole = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  close(fd);
  if (whole) renameat(dir, temporary, dir, name);
}

}  // namespace shim
