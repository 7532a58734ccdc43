// Preloaded into the server: counts every step that a program takes on files below one directory,
// keeps account of what a power failure would leave of them (disk_state.h), and does the one fault
// of the plan. Raw system calls only: no allocation, nothing that could come back here. One lock
// around a step and its bookkeeping.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "disk_state.h"

namespace {

using namespace rs::store::crash;

constexpr int kDescriptorsMax = 4096;
DiskState* g_disk = nullptr;
char g_directory[PATH_MAX], g_trash[PATH_MAX];
size_t g_directory_length = 0;
int16_t g_file_of[kDescriptorsMax];  // index in files + 1
pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;

struct Locked {
  Locked() { pthread_mutex_lock(&g_lock); }
  ~Locked() { pthread_mutex_unlock(&g_lock); }
};

__attribute__((constructor)) void start() {
  const char* state = getenv(kStateVariable);
  const char* directory = getenv(kDirectoryVariable);
  const char* trash = getenv(kTrashVariable);
  if (state == nullptr || directory == nullptr || trash == nullptr) return;
  g_directory_length = strlen(directory);
  if (g_directory_length + 1 >= sizeof g_directory || strlen(trash) + 16 >= sizeof g_trash) return;
  strcpy(g_directory, directory);
  strcpy(g_trash, trash);
  const int fd = int(syscall(SYS_openat, AT_FDCWD, state, O_RDWR | O_CLOEXEC));
  if (fd < 0) return;
  void* mapped = mmap(nullptr, sizeof(DiskState), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  syscall(SYS_close, fd);
  if (mapped != MAP_FAILED) g_disk = static_cast<DiskState*>(mapped);
}

// The part of the path below the directory; null: not below it.
const char* below(const char* path) {
  if (g_disk == nullptr || path == nullptr || strncmp(path, g_directory, g_directory_length) != 0)
    return nullptr;
  path += g_directory_length;
  if (*path != '/') return nullptr;
  while (*path == '/') ++path;
  return *path != 0 && strlen(path) < kPathMax ? path : nullptr;
}

int find_file(const char* path) {
  for (uint32_t i = 0; i < kFilesMax; ++i) {
    if (strcmp(g_disk->files[i].path, path) == 0) return int(i);
  }
  return -1;
}

int add_file(const char* path, int64_t synced) {
  int i = find_file(path);
  if (i < 0) i = find_file("");
  if (i < 0) {
    g_disk->overflowed = 1;
    return -1;
  }
  FileState& file = g_disk->files[i];
  file.synced = synced;
  file.poisoned = 0;
  strcpy(file.path, path);
  return i;
}

FileState* file_of(int fd) {
  if (g_disk == nullptr || fd < 0 || fd >= kDescriptorsMax || g_file_of[fd] == 0) return nullptr;
  return &g_disk->files[g_file_of[fd] - 1];
}

void add_name(StepKind kind, const char* path, const char* to, uint32_t saved) {
  if (g_disk->name_count == kNamesMax) {
    g_disk->overflowed = 1;
    return;
  }
  NameState& name = g_disk->names[g_disk->name_count];
  name.kind = kind;
  name.saved = saved;
  strcpy(name.path, path);
  strcpy(name.to, to);
  ++g_disk->name_count;
}

bool trash_path(char* out, uint32_t number) {
  return snprintf(out, PATH_MAX, "%s/%u", g_trash, number) > 0;
}

// Keeps what path names before the name goes; 0: there is nothing.
uint32_t save(const char* path) {
  char saved[PATH_MAX];
  if (!trash_path(saved, g_disk->saved + 1)) return 0;
  if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, saved, 0) != 0) return 0;
  return ++g_disk->saved;
}

[[noreturn]] void die() {
  syscall(SYS_kill, getpid(), SIGKILL);
  while (true) pause();
}

uint64_t mix(uint64_t x) {  // splitmix64's
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// What is to happen at this step. kKillBefore does not return.
FaultKind enter(StepKind kind, const char* name) {
  ++g_disk->steps[uint32_t(kind)];
  const FaultPlan& plan = g_disk->plan;
  if (plan.fault == FaultKind::kNone || (plan.kinds >> uint32_t(kind) & 1) == 0)
    return FaultKind::kNone;
  if (plan.file[0] != 0 && strstr(name, plan.file) == nullptr) return FaultKind::kNone;
  const uint64_t n = ++g_disk->matched;
  const bool fails = plan.fault == FaultKind::kNoSpace || plan.fault == FaultKind::kIoError;
  if (fails ? n < plan.step || n - plan.step >= plan.count : n != plan.step)
    return FaultKind::kNone;
  ++g_disk->injected;
  if (plan.fault == FaultKind::kKillBefore) die();
  if (plan.fault == FaultKind::kTorn && kind != StepKind::kWrite) die();
  return plan.fault;
}

int error_of(FaultKind fault) {
  return fault == FaultKind::kNoSpace ? ENOSPC : fault == FaultKind::kIoError ? EIO : 0;
}

int finish(FaultKind fault, int result) {
  if (fault == FaultKind::kKillAfter) die();
  return result;
}

// A write of size bytes by write_some, which takes how many of them.
template <class Write>
ssize_t write_step(int fd, size_t size, Write write_some) {
  FileState* file = file_of(fd);
  if (file == nullptr) return write_some(size);
  Locked locked;
  const FaultKind fault = enter(StepKind::kWrite, file->path);
  if (fault == FaultKind::kNone) return write_some(size);
  const size_t part = size == 0 ? 0 : size_t(mix(g_disk->plan.seed + g_disk->injected) % size);
  if (fault == FaultKind::kTorn) {
    if (part > 0) write_some(part);
    die();
  }
  if (fault == FaultKind::kNoSpace && g_disk->injected == 1 && part > 0) return write_some(part);
  if (const int error = error_of(fault)) {
    errno = error;
    return -1;
  }
  write_some(size);
  die();
}

void durable_names(const char* directory) {  // below the watched one; "": itself
  const size_t length = strlen(directory);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < g_disk->name_count; ++i) {
    const NameState name = g_disk->names[i];
    const char* slash = strrchr(name.path, '/');
    const size_t parent = slash == nullptr ? 0 : size_t(slash - name.path);
    if (parent == length && strncmp(name.path, directory, length) == 0) {
      char saved[PATH_MAX];
      if (name.saved != 0 && trash_path(saved, name.saved)) syscall(SYS_unlink, saved);
      continue;
    }
    g_disk->names[kept++] = name;
  }
  g_disk->name_count = kept;
}

// An fsync of something that was not opened for writing: a directory?
void sync_directory(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = syscall(SYS_readlink, link, path, sizeof path - 1);
  if (length <= 0) return;
  path[length] = 0;
  if (strcmp(path, g_directory) == 0) return durable_names("");
  if (const char* name = below(path)) durable_names(name);
}

int sync_step(int fd, long number) {
  if (g_disk == nullptr) return int(syscall(number, fd));
  FileState* file = file_of(fd);
  const timespec slow = {.tv_sec = 0, .tv_nsec = long(g_disk->plan.sync_us * 1000)};
  if (slow.tv_nsec > 0) syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &slow, nullptr);
  Locked locked;
  const FaultKind fault = enter(StepKind::kSync, file != nullptr ? file->path : "directory");
  if (const int error = error_of(fault)) {
    if (file != nullptr) file->poisoned = 1;
    errno = error;
    return -1;
  }
  const int result = int(syscall(number, fd));
  struct stat status;
  if (result == 0 && file == nullptr) sync_directory(fd);
  if (result == 0 && file != nullptr && file->poisoned == 0 && syscall(SYS_fstat, fd, &status) == 0)
    file->synced = status.st_size;
  return finish(fault, result);
}

int open_step(const char* path, int flags, mode_t mode) {
  const bool writes = (flags & (O_WRONLY | O_RDWR)) != 0;
  const char* name = writes ? below(path) : nullptr;
  if (name == nullptr) return int(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
  Locked locked;
  struct stat status;
  const bool existed = syscall(SYS_stat, path, &status) == 0;
  const bool creates = !existed && (flags & O_CREAT) != 0;
  const FaultKind fault = creates ? enter(StepKind::kCreate, name) : FaultKind::kNone;
  if (const int error = error_of(fault)) {
    errno = error;
    return -1;
  }
  const int fd = int(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
  if (fd >= 0) {
    int file = existed && (flags & O_TRUNC) == 0 ? find_file(name) : -1;
    if (file < 0) file = add_file(name, existed && (flags & O_TRUNC) == 0 ? status.st_size : 0);
    if (creates) add_name(StepKind::kCreate, name, "", 0);
    if (fd < kDescriptorsMax) g_file_of[fd] = int16_t(file + 1);
  }
  return finish(fault, fd);
}

int rename_step(const char* from, const char* to) {
  const char* name = below(from);
  const char* new_name = below(to);
  if (name == nullptr || new_name == nullptr) return int(syscall(SYS_rename, from, to));
  Locked locked;
  const FaultKind fault = enter(StepKind::kRename, new_name);
  if (const int error = error_of(fault)) {
    errno = error;
    return -1;
  }
  const uint32_t saved = save(to);
  const int result = int(syscall(SYS_rename, from, to));
  if (result == 0) {
    // What it replaces is as good as synced: nobody writes to it again.
    if (const int replaced = find_file(new_name); replaced >= 0)
      g_disk->files[replaced].path[0] = 0;
    if (const int file = find_file(name); file >= 0) strcpy(g_disk->files[file].path, new_name);
    add_name(StepKind::kRename, name, new_name, saved);
  }
  return finish(fault, result);
}

int unlink_step(const char* path) {
  const char* name = below(path);
  if (name == nullptr) return int(syscall(SYS_unlink, path));
  Locked locked;
  const FaultKind fault = enter(StepKind::kUnlink, name);
  if (const int error = error_of(fault)) {
    errno = error;
    return -1;
  }
  const uint32_t saved = save(path);
  const int result = int(syscall(SYS_unlink, path));
  if (result == 0) add_name(StepKind::kUnlink, name, "", saved);
  return finish(fault, result);
}

template <class Change>
int truncate_step(FileState* file, int64_t length, Change change) {
  if (file == nullptr) return change();
  Locked locked;
  const FaultKind fault = enter(StepKind::kTruncate, file->path);
  if (const int error = error_of(fault)) {
    errno = error;
    return -1;
  }
  const int result = change();
  if (result == 0 && length >= 0 && file->synced > length) file->synced = length;
  return finish(fault, result);
}

}  // namespace

#define HOOK extern "C" __attribute__((visibility("default")))

HOOK ssize_t write(int fd, const void* data, size_t size) {
  return write_step(fd, size, [&](size_t n) { return ssize_t(syscall(SYS_write, fd, data, n)); });
}
HOOK ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  return write_step(fd, size,
                    [&](size_t n) { return ssize_t(syscall(SYS_pwrite64, fd, data, n, at)); });
}
HOOK ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  return pwrite64(fd, data, size, at);
}
HOOK ssize_t writev(int fd, const iovec* parts, int count) {
  size_t size = 0;
  for (int i = 0; i < count; ++i) size += parts[i].iov_len;
  return write_step(fd, size, [&](size_t n) {
    if (n == size) return ssize_t(syscall(SYS_writev, fd, parts, count));
    const size_t first = parts[0].iov_len < n ? parts[0].iov_len : n;
    return ssize_t(syscall(SYS_write, fd, parts[0].iov_base, first));
  });
}
HOOK int fsync(int fd) {
  return sync_step(fd, SYS_fsync);
}
HOOK int fdatasync(int fd) {
  return sync_step(fd, SYS_fdatasync);
}

static int open_any(const char* path, int flags, va_list arguments) {
  const mode_t mode =
      (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
  return open_step(path, flags, mode);
}
HOOK int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const int fd = open_any(path, flags, arguments);
  va_end(arguments);
  return fd;
}
HOOK int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const int fd = open_any(path, flags | O_LARGEFILE, arguments);
  va_end(arguments);
  return fd;
}
HOOK int close(int fd) {
  if (g_disk != nullptr && fd >= 0 && fd < kDescriptorsMax) g_file_of[fd] = 0;
  return int(syscall(SYS_close, fd));
}
HOOK int rename(const char* from, const char* to) {
  return rename_step(from, to);
}
HOOK int unlink(const char* path) {
  return unlink_step(path);
}
HOOK int ftruncate64(int fd, off64_t length) {
  return truncate_step(file_of(fd), length,
                       [&] { return int(syscall(SYS_ftruncate, fd, length)); });
}
HOOK int ftruncate(int fd, off_t length) {
  return ftruncate64(fd, length);
}
HOOK int truncate64(const char* path, off64_t length) {
  const char* name = below(path);
  const int file = name != nullptr ? find_file(name) : -1;
  return truncate_step(file >= 0 ? &g_disk->files[file] : nullptr, length,
                       [&] { return int(syscall(SYS_truncate, path, length)); });
}
HOOK int truncate(const char* path, off_t length) {
  return truncate64(path, length);
}
HOOK int fallocate64(int fd, int mode, off64_t at, off64_t length) {
  return truncate_step(file_of(fd), -1,
                       [&] { return int(syscall(SYS_fallocate, fd, mode, at, length)); });
}
HOOK int fallocate(int fd, int mode, off_t at, off_t length) {
  return fallocate64(fd, mode, at, length);
}
// Starts writing out and promises nothing: no step, and nothing becomes durable by it.
HOOK int sync_file_range(int fd, off64_t at, off64_t length, unsigned flags) {
  return int(syscall(SYS_sync_file_range, fd, at, length, flags));
}
