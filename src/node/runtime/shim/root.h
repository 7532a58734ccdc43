// The container's view of the files: the machine's own root, read-only, with a private writable layer for mount points
// and /tmp, its own /proc, /dev, /run, and the pod's volumes. Runs in a fresh mount namespace; nothing of it is seen outside.
#pragma once

#include <linux/openat2.h>
#include <initializer_list>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "support.h"

namespace shim {

constexpr char kSeparator = '\x1f';  // between the parts of a "mount" entry

// source, target, options ("ro,file"), sub path (may be empty)
struct MountEntry {
  char* parts[4] = {nullptr, nullptr, nullptr, nullptr};
  int source_fd = -1;
  bool has(const char* option) const { return parts[2] != nullptr && strstr(parts[2], option) != nullptr; }
};

inline void split_mount(MountEntry& entry, char* text) {
  for (auto& part : entry.parts) {
    part = text;
    char* end = strchr(text, kSeparator);
    if (end == nullptr) {
      text += strlen(text);
    } else {
      *end = '\0';
      text = end + 1;
    }
  }
}

inline void make_directories(const char* path) {
  char copy[4200];
  snprintf(copy, sizeof copy, "%s", path);
  for (char* at = copy + 1; *at != '\0'; ++at) {
    if (*at != '/') continue;
    *at = '\0';
    mkdir(copy, 0755);
    *at = '/';
  }
  mkdir(copy, 0755);
}

inline bool starts_with(const char* text, const char* prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

// File systems of the kernel itself, and those that we give the container fresh.
inline bool is_own_or_pseudo(const char* target, const char* type) {
  static const char* const kTypes[] = {"proc",    "sysfs",  "devtmpfs",   "devpts",     "cgroup",  "cgroup2", "mqueue",
                                       "tracefs", "bpf",    "hugetlbfs",  "debugfs",    "pstore",  "configfs", "fusectl",
                                       "nsfs",    "autofs", "securityfs", "binfmt_misc", "rpc_pipefs", "ramfs"};
  for (const char* pseudo : kTypes)
    if (strcmp(type, pseudo) == 0) return true;
  static const char* const kTrees[] = {"/proc", "/sys", "/dev", "/run"};
  for (const char* tree : kTrees)
    if (starts_with(target, tree) && (target[strlen(tree)] == '/' || target[strlen(tree)] == '\0')) return true;
  return strcmp(target, "/") == 0;
}

// mountinfo writes blanks as \040 and the like.
inline void unescape(char* text) {
  char* out = text;
  for (char* in = text; *in != '\0'; ++out) {
    if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] != '\0' && in[3] != '\0') {
      *out = (char)(((in[1] - '0') << 6) | ((in[2] - '0') << 3) | (in[3] - '0'));
      in += 4;
    } else {
      *out = *in++;
    }
  }
  *out = '\0';
}

// Overlays see one file system: the machine's other real mounts (/home, /usr, …) are bound in one by one, read-only.
inline void bind_other_mounts(const char* root, const char* scratch, const Config& config) {
  FILE* file = fopen("/proc/self/mountinfo", "re");
  if (file == nullptr) return;
  char line[8192], target[4200];
  while (fgets(line, sizeof line, file) != nullptr) {
    char *fields[5] = {}, *type = strstr(line, " - ");
    if (type == nullptr) continue;
    *type = '\0';
    type = strtok(type + 3, " ");
    char* save = nullptr;
    int count = 0;
    for (char* word = strtok_r(line, " ", &save); word != nullptr && count < 5; word = strtok_r(nullptr, " ", &save))
      fields[count++] = word;
    if (count < 5 || type == nullptr) continue;
    unescape(fields[4]);
    const char* at = fields[4];
    if (is_own_or_pseudo(at, type) || starts_with(at, scratch) || strcmp(at, "/tmp") == 0) continue;
    bool masked = false;
    for (size_t i = 0; i < config.masks.count; ++i) masked = masked || starts_with(at, config.masks.items[i]);
    if (masked) continue;
    snprintf(target, sizeof target, "%s%s", root, at);
    if (mount(at, target, nullptr, MS_BIND, nullptr) == 0)
      mount(nullptr, target, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV, nullptr);
  }
  fclose(file);
}

inline int overlay(const char* lower, const char* scratch, const char* name, const char* target) {
  char upper[4200], work[4200], options[13000];
  snprintf(upper, sizeof upper, "%s/%s-upper", scratch, name);
  snprintf(work, sizeof work, "%s/%s-work", scratch, name);
  mkdir(upper, 0755);
  mkdir(work, 0755);
  struct stat info {};
  if (stat(lower, &info) == 0) chmod(upper, info.st_mode & 07777);
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
  return mount("overlay", target, "overlay", 0, options);
}

inline void bind_device(const char* name) {
  char from[64], to[64];
  snprintf(from, sizeof from, "/.old/dev/%s", name);
  snprintf(to, sizeof to, "/dev/%s", name);
  int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd >= 0) close(fd);
  mount(from, to, nullptr, MS_BIND, nullptr);
}

inline void make_dev(const Config& config) {
  if (config.privileged) {
    if (mount("/.old/dev", "/dev", nullptr, MS_BIND | MS_REC, nullptr) != 0) die("bind /dev");
    return;
  }
  if (mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k") != 0) die("mount /dev");
  for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"}) bind_device(name);
  mkdir("/dev/pts", 0755);
  if (mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5") != 0)
    mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620");
  bool linked = symlink("pts/ptmx", "/dev/ptmx") == 0 && symlink("/proc/self/fd", "/dev/fd") == 0 &&
                symlink("/proc/self/fd/0", "/dev/stdin") == 0 && symlink("/proc/self/fd/1", "/dev/stdout") == 0 &&
                symlink("/proc/self/fd/2", "/dev/stderr") == 0;
  if (!linked) die("links in /dev");
  mkdir("/dev/shm", 01777);
  mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k");
  mkdir("/dev/mqueue", 0755);
  mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
}

inline void make_proc_and_sys(const Config& config) {
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) die("mount /proc");
  unsigned long read_only = config.privileged ? 0 : MS_RDONLY;
  mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | read_only, nullptr);
  if (config.privileged) return;
  // As every OCI runtime does: settings of the machine are read-only, doors into the kernel are shut.
  for (const char* path : {"/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger"})
    if (mount(path, path, nullptr, MS_BIND | MS_REC, nullptr) == 0)
      mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  for (const char* path : {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/latency_stats"})
    mount("/dev/null", path, nullptr, MS_BIND, nullptr);
  for (const char* path : {"/sys/firmware", "/proc/acpi", "/proc/scsi"})
    mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0");
}

inline void open_sources(MountEntry* entries, const Config& config) {
  for (size_t i = 0; i < config.mounts.count; ++i) {
    MountEntry& entry = entries[i];
    split_mount(entry, config.mounts.items[i]);
    entry.source_fd = open(entry.parts[0], O_PATH | O_CLOEXEC);
    if (entry.source_fd < 0) die("volume source %s", entry.parts[0]);
    if (entry.parts[3][0] == '\0') continue;
    // A sub path must stay inside its volume, whatever links a container has put there (CVE-2017-1002101).
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    int inside = (int)syscall(SYS_openat2, entry.source_fd, entry.parts[3], &how, sizeof how);
    if (inside < 0) die("sub path %s of %s", entry.parts[3], entry.parts[0]);
    close(entry.source_fd);
    entry.source_fd = inside;
  }
}

inline void mount_volume(const MountEntry& entry) {
  char source[64];
  const char* target = entry.parts[1];
  struct stat info {}, there {};
  if (fstat(entry.source_fd, &info) != 0) die("volume for %s", target);
  if (S_ISDIR(info.st_mode)) {
    make_directories(target);
  } else {
    char parent[4200];
    snprintf(parent, sizeof parent, "%s", target);
    if (char* slash = strrchr(parent, '/'); slash != nullptr && slash != parent) {
      *slash = '\0';
      make_directories(parent);
    }
    // /etc/resolv.conf is often a link to somewhere that the container does not have.
    if (lstat(target, &there) == 0 && S_ISLNK(there.st_mode)) unlink(target);
    int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0) close(fd);
  }
  snprintf(source, sizeof source, "/proc/self/fd/%d", entry.source_fd);
  if (mount(source, target, nullptr, MS_BIND | MS_REC, nullptr) != 0) die("mount at %s", target);
  unsigned long flags = MS_REMOUNT | MS_BIND | MS_NODEV | (entry.has("ro") ? MS_RDONLY : 0);
  if (entry.has("dev")) flags &= ~(unsigned long)MS_NODEV;
  if (mount(nullptr, target, nullptr, flags, nullptr) != 0 && entry.has("ro")) die("mount at %s read-only", target);
}

inline void build_root(const Config& config) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) die("private mounts");
  auto* entries = (MountEntry*)calloc(config.mounts.count + 1, sizeof(MountEntry));
  if (entries == nullptr) _exit(125);
  open_sources(entries, config);

  char scratch[4000], root[4100], path[4200];
  snprintf(scratch, sizeof scratch, "%s/root", config.state_dir);
  snprintf(root, sizeof root, "%s/merged", scratch);
  mkdir(scratch, 0700);
  if (mount("tmpfs", scratch, "tmpfs", MS_NODEV, "mode=755") != 0) die("mount scratch space");
  mkdir(root, 0755);
  // Without overlayfs the root is bound as it is: mount points must then exist on the machine.
  if (overlay("/", scratch, "root", root) != 0 && mount("/", root, nullptr, MS_BIND, nullptr) != 0) die("mount root");
  bind_other_mounts(root, scratch, config);

  // /tmp: what the machine has, with private writes.
  snprintf(path, sizeof path, "%s/tmp", root);
  if (overlay("/tmp", scratch, "tmp", path) != 0) mount("tmpfs", path, "tmpfs", MS_NODEV | MS_NOSUID, "mode=1777");
  // Hidden: the platform's own keys and the other pods' secrets.
  for (size_t i = 0; i < config.masks.count; ++i) {
    snprintf(path, sizeof path, "%s%s", root, config.masks.items[i]);
    mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NODEV, "mode=700,size=4k");
  }
  snprintf(path, sizeof path, "%s/.old", root);
  mkdir(path, 0700);
  if (syscall(SYS_pivot_root, root, path) != 0) die("pivot_root");
  if (chdir("/") != 0) die("chdir /");
  make_dev(config);
  make_proc_and_sys(config);
  mount("tmpfs", "/run", "tmpfs", MS_NODEV | MS_NOSUID, "mode=755,size=65536k");
  mkdir("/run/lock", 01777);
  for (size_t i = 0; i < config.mounts.count; ++i) mount_volume(entries[i]);
  if (umount2("/.old", MNT_DETACH) != 0) die("leave the old root");
  rmdir("/.old");
  if (mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) die("read-only root");
  if (config.read_only_root) mount(nullptr, "/tmp", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr);
}

}  // namespace shim
