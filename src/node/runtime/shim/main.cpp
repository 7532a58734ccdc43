// The shim: one small static process beside each container, which outlives Roadstead (see runtime/README.md).
//
//   shim (reads output into the log, keeps the exit code) -> init (pid 1 of the container, reaps) -> the program
//
// fd 3: the configuration. fd 4: a report to the agent: "ok\n", or the reason why the program could not be started.
// Signals to the shim: SIGTERM and others are passed on to the program; SIGUSR1 kills the container; SIGUSR2 closes its
// standard input; SIGWINCH reads the window size from STATE_DIR/winsize.
#include <grp.h>
#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "log_writer.h"
#include "root.h"

namespace shim {
namespace {

constexpr int kConfigFd = 3, kReportFd = 4;

int block_all_signals() {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  return signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
}

int exit_code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

void report(const char* text) {
  if (write(kReportFd, text, strlen(text)) < 0) return;  // the agent is gone: the files tell the next one
}

void join_namespace(const char* path, int type) {
  if (path == nullptr) return;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, type) != 0) die("join namespace %s", path);
  close(fd);
}

void loopback_up() {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  snprintf(request.ifr_name, sizeof request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0) die("loopback");
  close(fd);
}

// ---- the program -------------------------------------------------------------------------------------------------

void restrict_capabilities(const Config& config) {
  if (!config.keep_capabilities || config.privileged) return;
  for (int capability = 0; capability < 64; ++capability)
    if ((config.capabilities >> capability & 1) == 0) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

void set_capabilities(const Config& config) {
  if (!config.keep_capabilities || config.privileged || config.uid > 0) return;  // leaving root has cleared them
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) die("read capabilities");
  for (int half = 0; half < 2; ++half) {
    auto allowed = (__u32)(config.capabilities >> (32 * half));
    data[half].permitted &= allowed;
    data[half].effective = data[half].permitted;
    data[half].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, data) != 0) die("set capabilities");
}

void become_user(const Config& config) {
  restrict_capabilities(config);
  if (config.groups.count > 0 || config.uid >= 0 || config.gid >= 0) {
    gid_t groups[64];
    size_t count = 0;
    for (size_t i = 0; i < config.groups.count && count < 64; ++i) groups[count++] = (gid_t)atol(config.groups.items[i]);
    if (geteuid() == 0 && setgroups(count, groups) != 0) die("set groups");
  }
  if (config.gid >= 0 && setresgid((gid_t)config.gid, (gid_t)config.gid, (gid_t)config.gid) != 0) die("set group");
  if (config.uid >= 0 && setresuid((uid_t)config.uid, (uid_t)config.uid, (uid_t)config.uid) != 0) die("set user");
  set_capabilities(config);
  if (config.no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die("no_new_privs");
}

[[noreturn]] void run_program(Config& config, int in, int out, int err) {
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (config.tty) ioctl(in, TIOCSCTTY, 0);
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) die("standard streams");
  close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  umask(022);
  errno = 0;
  if (config.cwd != nullptr && chdir(config.cwd) != 0) die("working directory %s", config.cwd);
  become_user(config);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // a change of user has cleared it
  environ = config.env.items;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvp(config.args.items[0], config.args.items);
  die("exec: \"%s\"", config.args.items[0]);
}

void copy_some(int from, int to) {
  char buffer[16 << 10];
  ssize_t got = read(from, buffer, sizeof buffer);
  for (ssize_t done = 0; got > 0 && done < got;) {
    ssize_t wrote = write(to, buffer + done, (size_t)(got - done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return;
    done += wrote;
  }
}

// A terminal for the program, allocated in the namespace we are in.
int open_terminal(int* program_side) {
  int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), unlocked = 0, number = 0;
  if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) != 0 || ioctl(master, TIOCGPTN, &number) != 0) die("terminal");
  *program_side = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (*program_side < 0) die("terminal");
  return master;
}

void set_window(int terminal, const char* text) {
  unsigned columns = 0, rows = 0;
  if (sscanf(text, "%u %u", &columns, &rows) != 2) return;
  winsize size{};
  size.ws_col = (unsigned short)columns;
  size.ws_row = (unsigned short)rows;
  ioctl(terminal, TIOCSWINSZ, &size);
}

void window_from_file(int terminal, int state_dir) {
  int fd = openat(state_dir, "winsize", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  char text[64] = {};
  if (read(fd, text, sizeof text - 1) > 0) set_window(terminal, text);
  close(fd);
}

// ---- init: pid 1 of the container ----------------------------------------------------------------------------------

// Without a pid namespace what the program left behind is ours by PR_SET_CHILD_SUBREAPER: nothing survives its container.
void kill_leftovers() {
  for (int round = 0; round < 1000; ++round) {
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (got <= 0) return;
    text[got] = '\0';
    for (char* word = strtok(text, " "); word != nullptr; word = strtok(nullptr, " "))
      kill((pid_t)strtol(word, nullptr, 10), SIGKILL);
    while (waitpid(-1, nullptr, 0) > 0) {
    }
  }
}

struct Init {
  Config& config;
  int signals = -1, state_dir = -1, in = -1, out = -1, terminal = -1;
  pid_t program = -1;
  bool ended = false;
  int status = 0;

  void on_signal() {
    signalfd_siginfo info{};
    while (read(signals, &info, sizeof info) == sizeof info) {
      int number = (int)info.ssi_signo;
      if (number == SIGCHLD) {
        reap();
      } else if (number == SIGUSR1) {
        kill(program, SIGKILL);
      } else if (number == SIGUSR2) {
        if (terminal >= 0 && write(terminal, "\x04", 1) < 0) return;
      } else if (number == SIGWINCH && terminal >= 0) {
        window_from_file(terminal, state_dir);
      } else if (number != SIGWINCH && number != SIGPIPE) {
        kill(program, number);
      }
    }
  }
  void reap() {
    int one = 0;
    for (pid_t pid; (pid = waitpid(-1, &one, WNOHANG)) > 0;)
      if (pid == program) {
        ended = true;
        status = one;
      }
  }
  void drain_terminal() {
    pollfd waiting{terminal, POLLIN, 0};
    while (poll(&waiting, 1, 0) > 0 && (waiting.revents & POLLIN) != 0) copy_some(terminal, out);
  }
  int wait() {
    while (!ended) {
      pollfd waiting[3] = {{signals, POLLIN, 0}, {terminal, POLLIN, 0}, {terminal >= 0 ? in : -1, POLLIN, 0}};
      if (poll(waiting, 3, -1) < 0) continue;
      if ((waiting[1].revents & POLLIN) != 0) copy_some(terminal, out);
      if ((waiting[2].revents & POLLIN) != 0) copy_some(in, terminal);
      if ((waiting[2].revents & POLLHUP) != 0 && (waiting[2].revents & POLLIN) == 0) in = -1;
      if ((waiting[0].revents & POLLIN) != 0) on_signal();
    }
    if (terminal >= 0) drain_terminal();
    if (!config.isolate) kill_leftovers();
    return exit_code_of(status);
  }
};

[[noreturn]] void run_init(Config& config, int signals, int state_dir, int in, int out, int err) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  prctl(PR_SET_NAME, "pod-init", 0, 0, 0);
  if (config.oom_score_adj != 0) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
      dprintf(fd, "%ld", config.oom_score_adj);
      close(fd);
    }
  }
  for (size_t i = 0; i < config.cgroups.count; ++i) {
    int fd = open(config.cgroups.items[i], O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) die("join %s", config.cgroups.items[i]);
    close(fd);
  }
  join_namespace(config.ipc_ns, CLONE_NEWIPC);
  join_namespace(config.uts_ns, CLONE_NEWUTS);
  join_namespace(config.net_ns, CLONE_NEWNET);
  if (config.isolate) {
    if (unshare(CLONE_NEWNS) != 0) die("mount namespace");
    build_root(config);
  } else {
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  }
  Init init{config, signals, state_dir, in, out};
  int program_in = in, program_out = out, program_err = err;
  if (config.tty) {
    init.terminal = open_terminal(&program_in);
    program_out = program_err = program_in;
    window_from_file(init.terminal, state_dir);
  }
  init.program = fork();
  if (init.program < 0) die("fork");
  if (init.program == 0) run_program(config, program_in, program_out, program_err);
  close(g_error_fd);
  g_error_fd = -1;
  if (config.tty) close(program_in);
  if (!config.tty) {
    close(out);
    close(err);
    if (in > 2) close(in);
  }
  _exit(init.wait());
}

// ---- the shim of a container ---------------------------------------------------------------------------------------

struct Shim {
  Config& config;
  LogFile log;
  LineCutter out_lines{"stdout", false, {}}, err_lines{"stderr", false, {}};
  int state_dir = -1, signals = -1, out = -1, err = -1, stdin_write = -1;
  pid_t init = -1;
  bool ended = false;
  int status = 0;

  void on_signal() {
    signalfd_siginfo info{};
    while (read(signals, &info, sizeof info) == sizeof info) {
      int number = (int)info.ssi_signo;
      if (number == SIGCHLD) {
        int one = 0;
        for (pid_t pid; (pid = waitpid(-1, &one, WNOHANG)) > 0;)
          if (pid == init) {
            ended = true;
            status = one;
          }
      } else if (number == SIGUSR1) {
        kill(init, config.isolate ? SIGKILL : SIGUSR1);
      } else if (number == SIGUSR2) {
        if (stdin_write >= 0) close(stdin_write);
        stdin_write = -1;
        kill(init, SIGUSR2);
      } else if (number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT || number == SIGWINCH ||
                 (number >= SIGRTMIN && number <= SIGRTMAX)) {
        kill(init, number);
      }
    }
  }
  // False at the end of the stream.
  bool take(int fd, LineCutter& lines) {
    char buffer[16 << 10];
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got > 0) lines.feed(log, buffer, (size_t)got);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
  }
  void copy_until_end() {
    while (!ended) {
      pollfd waiting[3] = {{signals, POLLIN, 0}, {out, POLLIN, 0}, {err, POLLIN, 0}};
      if (poll(waiting, 3, -1) < 0) continue;
      if (waiting[1].revents != 0 && !take(out, out_lines)) {
        close(out);
        out = -1;
      }
      if (waiting[2].revents != 0 && !take(err, err_lines)) {
        close(err);
        err = -1;
      }
      if ((waiting[0].revents & POLLIN) != 0) on_signal();
    }
    drain(out, out_lines);
    drain(err, err_lines);
  }
  void drain(int fd, LineCutter& lines) {
    pollfd waiting{fd, POLLIN, 0};
    while (fd >= 0 && poll(&waiting, 1, 0) > 0 && (waiting.revents & POLLIN) != 0)
      if (!take(fd, lines)) break;
    lines.finish(log);
  }
  void remember_start() {
    char text[256];
    snprintf(text, sizeof text, "%d %llu %d %llu\n", (int)getpid(), start_time_of_self(), (int)init, wall_nanoseconds());
    write_atomically(state_dir, "started", text);
  }
  void remember_end(int code) {
    char text[128];
    snprintf(text, sizeof text, "%d %llu\n", code, wall_nanoseconds());
    write_atomically(state_dir, "exit", text);
  }
};

void forget_scratch(const Config& config) {
  char path[4200];
  snprintf(path, sizeof path, "%s/root", config.state_dir);
  rmdir(path);
}

int run_container(Config& config) {
  Shim shim{config};
  shim.state_dir = open(config.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (shim.state_dir < 0) die("state directory %s", config.state_dir);
  shim.log.path = config.log;
  shim.log.size_max = config.log_bytes;
  shim.log.files = config.log_files;
  shim.log.open_file();
  shim.out_lines.eager = config.tty;
  int errors[2], out[2], err[2], in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (pipe2(errors, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) die("pipes");
  if (config.stdin_fifo != nullptr) {
    shim.stdin_write = open(config.stdin_fifo, O_RDWR | O_CLOEXEC);
    in = open(config.stdin_fifo, O_RDONLY | O_CLOEXEC);
    if (in < 0) die("standard input");
  }
  g_error_fd = errors[1];
  shim.signals = block_all_signals();
  if (config.isolate && unshare(CLONE_NEWPID) != 0) die("pid namespace");
  shim.init = fork();
  if (shim.init < 0) die("fork");
  if (shim.init == 0) {
    close(out[0]);
    close(err[0]);
    close(errors[0]);
    close(kReportFd);
    if (shim.stdin_write >= 0) close(shim.stdin_write);
    run_init(config, shim.signals, shim.state_dir, in, out[1], err[1]);
  }
  close(out[1]);
  close(err[1]);
  close(errors[1]);
  close(in);
  shim.out = out[0];
  shim.err = err[0];
  shim.remember_start();
  char reason[1024];
  ssize_t length = read(errors[0], reason, sizeof reason - 1);
  close(errors[0]);
  if (length > 0) {
    reason[length] = '\0';
    while (waitpid(shim.init, nullptr, 0) < 0 && errno == EINTR) {
    }
    write_atomically(shim.state_dir, "error", reason);
    shim.remember_end(128);
    report(reason);
    forget_scratch(config);
    return 0;
  }
  report("ok\n");
  close(kReportFd);
  shim.copy_until_end();
  shim.remember_end(exit_code_of(shim.status));
  forget_scratch(config);
  return 0;
}

// ---- the keeper of a pod's namespaces ------------------------------------------------------------------------------

int run_sandbox(const Config& config) {
  int signals = block_all_signals();
  g_error_fd = kReportFd;
  int flags = CLONE_NEWUTS | CLONE_NEWIPC | (config.new_network ? CLONE_NEWNET : 0);
  if (unshare(flags) != 0) die("namespaces");
  if (config.hostname != nullptr && sethostname(config.hostname, strlen(config.hostname)) != 0) die("host name");
  if (config.new_network) loopback_up();
  int state_dir = open(config.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  char text[128];
  snprintf(text, sizeof text, "%d %llu\n", (int)getpid(), start_time_of_self());
  if (state_dir >= 0) write_atomically(state_dir, "sandbox", text);
  report("ok\n");
  close(kReportFd);
  for (;;) {
    pollfd waiting{signals, POLLIN, 0};
    signalfd_siginfo info{};
    if (poll(&waiting, 1, -1) > 0 && read(signals, &info, sizeof info) == sizeof info &&
        (info.ssi_signo == SIGTERM || info.ssi_signo == SIGUSR1))
      return 0;
  }
}

// ---- a command inside a running container --------------------------------------------------------------------------

void enter(const Config& config) {
  static const struct {
    const char* name;
    int type;
  } kinds[] = {{"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS}, {"net", CLONE_NEWNET}, {"pid", CLONE_NEWPID}, {"mnt", CLONE_NEWNS}};
  int fds[5];
  for (int i = 0; i < 5; ++i) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/ns/%s", config.target_pid, kinds[i].name);
    fds[i] = open(path, O_RDONLY | O_CLOEXEC);
    if (fds[i] < 0) die("enter container");
  }
  for (int i = 0; i < 5; ++i)
    if (setns(fds[i], kinds[i].type) != 0) die("enter container");
}

// Copies between the terminal and our standard streams; window sizes come as lines on the control socket.
void copy_terminal(int terminal, int signals, pid_t program, int* status) {
  int in = 0, control = kReportFd;
  for (bool ended = false; !ended;) {
    pollfd waiting[4] = {{signals, POLLIN, 0}, {terminal, POLLIN, 0}, {in, POLLIN, 0}, {control, POLLIN, 0}};
    if (poll(waiting, 4, -1) < 0) continue;
    if ((waiting[1].revents & POLLIN) != 0) copy_some(terminal, 1);
    if ((waiting[2].revents & POLLIN) != 0) {
      copy_some(in, terminal);
    } else if ((waiting[2].revents & POLLHUP) != 0) {
      in = -1;
    }
    if (waiting[3].revents != 0) {
      char text[64] = {};
      ssize_t got = read(control, text, sizeof text - 1);
      if (got > 0)
        set_window(terminal, text);
      else
        control = -1;
    }
    signalfd_siginfo info{};
    while (read(signals, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGHUP) kill(program, SIGKILL);
      if (info.ssi_signo == SIGCHLD) ended = ended || waitpid(program, status, WNOHANG) == program;
    }
  }
  pollfd rest{terminal, POLLIN, 0};
  while (poll(&rest, 1, 0) > 0 && (rest.revents & POLLIN) != 0) copy_some(terminal, 1);
}

int run_exec(Config& config) {
  int errors[2], program_in = 0, program_out = 1, program_err = 2, terminal = -1;
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  g_error_fd = kReportFd;
  int signals = block_all_signals();
  for (size_t i = 0; i < config.cgroups.count; ++i) {
    int fd = open(config.cgroups.items[i], O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "0", 1) == 1) close(fd);
  }
  if (config.isolate) enter(config);
  if (pipe2(errors, O_CLOEXEC) != 0) die("pipe");
  if (config.tty) {
    terminal = open_terminal(&program_in);
    program_out = program_err = program_in;
  }
  pid_t program = fork();
  if (program < 0) die("fork");
  if (program == 0) {
    g_error_fd = errors[1];
    run_program(config, program_in, program_out, program_err);
  }
  close(errors[1]);
  char reason[1024];
  ssize_t length = read(errors[0], reason, sizeof reason - 1);
  int status = 0;
  if (length > 0) {
    reason[length] = '\0';
    waitpid(program, nullptr, 0);
    report(reason);
    return 126;
  }
  report("ok\n");
  if (config.tty) {
    close(program_in);
    copy_terminal(terminal, signals, program, &status);
    return exit_code_of(status);
  }
  // Our copies of the streams are closed, so that the reader sees the end when the program closes its own.
  close(0);
  close(1);
  close(2);
  for (;;) {
    pollfd waiting{signals, POLLIN, 0};
    if (poll(&waiting, 1, -1) < 0) continue;
    signalfd_siginfo info{};
    while (read(signals, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGHUP) kill(program, SIGKILL);
      if (info.ssi_signo == SIGCHLD && waitpid(program, &status, WNOHANG) == program) return exit_code_of(status);
    }
  }
}

}  // namespace
}  // namespace shim

int main() {
  using namespace shim;
  // Whatever the agent had open (its listening sockets!) must not live on in here.
  close_range(kReportFd + 1, ~0u, 0);
  fcntl(kReportFd, F_SETFD, FD_CLOEXEC);
  errno = 0;
  Config config;
  read_config(config, kConfigFd);
  close(kConfigFd);
  g_error_fd = kReportFd;
  if (strcmp(config.mode, "sandbox") == 0) return run_sandbox(config);
  if (config.args.count == 0) {
    errno = 0;
    die("no command given");
  }
  if (strcmp(config.mode, "exec") == 0) return run_exec(config);
  if (config.state_dir == nullptr || config.log == nullptr) die("incomplete configuration");
  return run_container(config);
}
