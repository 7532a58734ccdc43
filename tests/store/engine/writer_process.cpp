#include "writer_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

namespace rs::store::engine {
namespace {

constexpr const char* kWriterMode = "--write-until-killed";

int write_until_killed(Kind kind, const char* directory) {
  Place place(kind, directory);
  auto engine = place.open();
  if (!engine) return 2;
  auto head = (*engine)->get("m head");
  if (!head) return 3;
  for (uint64_t n = head->has_value() ? std::stoull(**head) + 1 : 1;; ++n) {
    Batch batch;
    const std::string text = std::to_string(n);
    batch.put("m head", text);
    batch.put(numbered('i', n), text);
    batch.put(numbered('v', n), text + std::string(n % 700, 'x'));
    if (n > kKeptBatches) batch.erase(numbered('v', n - kKeptBatches));
    if (!(*engine)->write(batch, true)) return 4;
    if (::write(STDOUT_FILENO, &n, sizeof n) != sizeof n) return 5;
  }
}

}  // namespace

std::string numbered(char kind, uint64_t number) {
  return fmt::format("{} {:08}", kind, number);
}

uint64_t write_and_kill(Kind kind, const std::filesystem::path& directory, size_t count) {
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return 0;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
  std::string mode = kWriterMode, name = to_string(kind), path = directory.string(), self = "self";
  char* arguments[] = {self.data(), mode.data(), name.data(), path.data(), nullptr};
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);
  uint64_t last = 0, told = 0;
  size_t seen = 0;
  // After the kill, to the end of what it had still told.
  while (failed == 0 && ::read(pipe[0], &told, sizeof told) == sizeof told) {
    last = told;
    if (++seen == count) ::kill(child, SIGKILL);
  }
  ::close(pipe[0]);
  if (failed != 0) return 0;
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) && seen >= count ? last : 0;
}

std::optional<int> run_as_writer(int argc, char** argv) {
  if (argc != 4 || std::strcmp(argv[1], kWriterMode) != 0) return std::nullopt;
  auto kind = parse_kind(argv[2]);
  return kind ? write_until_killed(*kind, argv[3]) : 1;
}

}  // namespace rs::store::engine
