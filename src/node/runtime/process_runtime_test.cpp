// The runtime with real processes; the tests that need namespaces say so and are skipped without root.
#include "node/runtime/process_runtime.h"

#include "async/event.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>

#include <boost/asio/co_spawn.hpp>
#include <filesystem>

namespace rs::node {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

struct Directory {
  Directory() {
    char name[] = "/tmp/rs-node-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

struct Bench {
  explicit Bench(bool isolated) : isolate(isolated) { make(); }
  void make() {
    runtime = std::make_unique<ProcessRuntime>(
        loop, nullptr, ProcessRuntimeOptions{directory.path, "test" + std::to_string(::getpid()), "127.0.0.1", isolate});
    runtime->on_exit([this](const ContainerInfo& info) {
      exits.push_back(info);
      changed.notify();
    });
  }
  awaitable<void> until_exits(size_t count) {
    while (exits.size() < count) co_await changed.wait();
  }
  void run(std::function<awaitable<void>()> body) {
    asio::co_spawn(loop.context(), wrap(std::move(body)), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
    loop.run();
  }
  awaitable<void> wrap(std::function<awaitable<void>()> body) {
    auto limited = co_await async::with_timeout(loop, 30s, "test", as_result(body));
    EXPECT_TRUE(limited.has_value()) << to_string(limited.error());
    co_await runtime->stop();
    loop.stop();
  }
  static awaitable<Result<void>> as_result(std::function<awaitable<void>()> body) {
    co_await body();
    co_return Result<void>();
  }
  async::SystemLoop loop;
  async::Event changed{loop};
  Directory directory;
  bool isolate;
  std::unique_ptr<ProcessRuntime> runtime;
  std::vector<ContainerInfo> exits;
};

ContainerSpec shell(std::string script, int attempt = 0) {
  ContainerSpec spec;
  spec.uid = "u1";
  spec.name = "app";
  spec.attempt = attempt;
  spec.args = {"sh", "-c", std::move(script)};
  spec.env = {"PATH=/usr/bin:/bin", "COLOUR=blue"};
  return spec;
}

class ProcessRuntimeTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && (::geteuid() != 0 || ::access("/proc/self/ns/mnt", R_OK) != 0))
      GTEST_SKIP() << "namespaces need root";
  }
};
INSTANTIATE_TEST_SUITE_P(Isolation, ProcessRuntimeTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Namespaces" : "Plain"; });

std::string log_texts(const std::string& path) {
  auto text = read_file(path);
  std::string result;
  std::istringstream in(text ? *text : "");
  for (std::string line; std::getline(in, line);) result += line.substr(line.find(' ') + 1) + "\n";
  return result;
}

awaitable<void> runs_and_tells(Bench& b) {
  EXPECT_TRUE((co_await b.runtime->start_sandbox({"u1", "bank", "p", "p"})).has_value());
  auto started = co_await b.runtime->start(shell("echo $COLOUR; echo bad >&2; exit 3"));
  EXPECT_TRUE(started.has_value() && !started->exit);
  co_await b.until_exits(1);
  EXPECT_EQ(b.exits[0].exit->code, 3);
  EXPECT_FALSE(b.exits[0].exit->start_failed);
  std::string log = log_texts(b.runtime->log_path("u1", "app", 0));
  EXPECT_NE(log.find("stdout F blue\n"), std::string::npos) << log;
  EXPECT_NE(log.find("stderr F bad\n"), std::string::npos) << log;
  co_await b.runtime->remove_pod("u1");
  EXPECT_FALSE(std::filesystem::exists(b.runtime->pod_dir("u1")));
}
TEST_P(ProcessRuntimeTest, RunsAProgramKeepsItsOutputAndTellsItsExitCode) {
  Bench b(GetParam());
  b.run([&b] { return runs_and_tells(b); });
}

awaitable<void> missing_program(Bench& b) {
  EXPECT_TRUE((co_await b.runtime->start_sandbox({"u1", "bank", "p", "p"})).has_value());
  ContainerSpec spec = shell("");
  spec.args = {"/no/such/program"};
  auto started = co_await b.runtime->start(spec);
  EXPECT_TRUE(started.has_value() && started->exit);
  if (started && started->exit) {
    EXPECT_TRUE(started->exit->start_failed);
    EXPECT_EQ(started->exit->code, 128);
    EXPECT_EQ(started->exit->message, "exec: \"/no/such/program\": No such file or directory");
  }
  co_await b.runtime->remove_pod("u1");
}
TEST_P(ProcessRuntimeTest, AMissingProgramIsSaidWithItsReason) {
  Bench b(GetParam());
  b.run([&b] { return missing_program(b); });
}

awaitable<void> stops(Bench& b) {
  EXPECT_TRUE((co_await b.runtime->start_sandbox({"u1", "bank", "p", "p"})).has_value());
  EXPECT_TRUE((co_await b.runtime->start(shell("sleep 1000"))).has_value());
  b.runtime->stop("u1", "app", Runtime::Stop::kTerminate);
  co_await b.until_exits(1);
  EXPECT_EQ(b.exits[0].exit->code, 143);
  EXPECT_TRUE((co_await b.runtime->start(shell("trap '' TERM; echo up; while :; do sleep 1; done", 1))).has_value());
  b.runtime->stop("u1", "app", Runtime::Stop::kKill);
  co_await b.until_exits(2);
  EXPECT_EQ(b.exits[1].exit->code, 137);
  co_await b.runtime->remove_pod("u1");
}
TEST_P(ProcessRuntimeTest, TerminatesAndKills) {
  Bench b(GetParam());
  b.run([&b] { return stops(b); });
}

awaitable<void> first_life(Bench& b) {
  EXPECT_TRUE((co_await b.runtime->start_sandbox({"u1", "bank", "p", "p"})).has_value());
  EXPECT_TRUE((co_await b.runtime->start(shell("sleep 1000"))).has_value());
  ContainerSpec other = shell("exit 7");
  other.name = "short";
  EXPECT_TRUE((co_await b.runtime->start(other)).has_value());
  co_await b.until_exits(1);
}
awaitable<void> second_life(Bench& b) {
  auto pods = b.runtime->recover();
  EXPECT_TRUE(pods.has_value());
  EXPECT_EQ(pods->size(), 1u);
  const RecoveredPod& pod = pods->at(0);
  EXPECT_EQ(pod.ns + "/" + pod.name, "bank/p");
  EXPECT_TRUE(pod.sandbox.has_value());
  EXPECT_EQ(pod.containers.size(), 2u);
  for (const ContainerInfo& c : pod.containers) {
    EXPECT_EQ(c.exit.has_value(), c.name == "short");
    if (c.exit) {
      EXPECT_EQ(c.exit->code, 7);
    }
  }
  b.runtime->stop("u1", "app", Runtime::Stop::kTerminate);
  co_await b.until_exits(2);
  EXPECT_EQ(b.exits[1].exit->code, 143) << "an adopted container's end is seen as any other's";
  co_await b.runtime->remove_pod("u1");
}
TEST_P(ProcessRuntimeTest, AdoptsWhatStillRunsAndReadsWhatHasEnded) {
  Bench b(GetParam());
  b.run([&b] { return first_life(b); });
  b.make();
  b.loop.context().restart();
  b.run([&b] { return second_life(b); });
}

awaitable<void> executes(Bench& b) {
  EXPECT_TRUE((co_await b.runtime->start_sandbox({"u1", "bank", "p", "p"})).has_value());
  EXPECT_TRUE((co_await b.runtime->start(shell("sleep 1000"))).has_value());
  client::ExecOptions options;
  options.container = "app";
  options.in = true;
  options.command = {"sh", "-c", "read x; echo $COLOUR $x; echo e >&2; exit 5"};
  auto session = co_await b.runtime->exec("u1", options);
  EXPECT_TRUE(session.has_value());
  if (!session) co_return;
  EXPECT_TRUE((co_await (*session)->write_stdin("sea\n")).has_value());
  (*session)->close_stdin();
  std::string out, err;
  int code = -1;
  while (code < 0) {
    auto output = co_await (*session)->read();
    EXPECT_TRUE(output.has_value());
    if (!output) break;
    using Channel = client::ExecSession::Output::Channel;
    if (output->channel == Channel::kExit) code = output->exit_code;
    (output->channel == Channel::kStdout ? out : err) += output->data;
  }
  EXPECT_EQ(out, "blue sea\n");
  EXPECT_EQ(err, "e\n");
  EXPECT_EQ(code, 5);
  options.in = false;
  options.tty = true;
  options.command = {"tty"};
  auto terminal = co_await b.runtime->exec("u1", options);
  EXPECT_TRUE(terminal.has_value());
  if (terminal) {
    auto output = co_await (*terminal)->read();
    EXPECT_TRUE(output && output->data.starts_with("/dev/pts/")) << output->data;
  }
  options.command = {"/no/such"};
  auto none = co_await b.runtime->exec("u1", options);
  EXPECT_FALSE(none.has_value());
  terminal->reset();
  co_await b.runtime->remove_pod("u1");
}
TEST_P(ProcessRuntimeTest, ExecRunsInTheContainerWithStreamsAndExitCode) {
  Bench b(GetParam());
  b.run([&b] { return executes(b); });
}

awaitable<void> isolated_files(Bench& b) {
  std::filesystem::create_directories(b.directory.path + "/volume");
  EXPECT_TRUE((co_await b.runtime->start_sandbox({"u1", "bank", "p", "pod-name"})).has_value());
  ContainerSpec spec = shell(
      "hostname; touch /x 2>/dev/null || echo read-only; echo data > /mnt/new/place/f; touch /tmp/y && echo tmp; "
      "test -e " + b.directory.path + "/volume && echo seen || echo hidden; ps ax | wc -l; test -w /ro/f || echo ro; id -u");
  spec.mounts = {{b.directory.path + "/volume", "/mnt/new/place", "", false, false},
                 {b.directory.path + "/volume", "/ro", "", true, false}};
  spec.limits.memory_bytes = 64 << 20;
  spec.user = 1000;
  std::filesystem::permissions(b.directory.path + "/volume", std::filesystem::perms::all);
  EXPECT_TRUE((co_await b.runtime->start(spec)).has_value());
  co_await b.until_exits(1);
  std::string log = log_texts(b.runtime->log_path("u1", "app", 0));
  for (std::string_view line : {"pod-name", "read-only", "tmp", "hidden", "ro", "1000"})
    EXPECT_NE(log.find(fmt::format(" F {}\n", line)), std::string::npos) << line << " in\n" << log;
  EXPECT_TRUE(std::filesystem::exists(b.directory.path + "/volume/f"));
  co_await b.runtime->remove_pod("u1");
}
TEST(IsolatedProcess, SeesItsVolumesAReadOnlyMachineAndNothingOfThePlatform) {
  if (::geteuid() != 0) GTEST_SKIP() << "namespaces need root";
  Bench b(true);
  b.run([&b] { return isolated_files(b); });
}

awaitable<void> eats_memory(Bench& b, bool& limited) {
  limited = b.runtime->describe().find("memory") != std::string::npos;
  if (!limited) co_return;
  EXPECT_TRUE((co_await b.runtime->start_sandbox({"u1", "bank", "p", "p"})).has_value());
  ContainerSpec spec = shell("exec tail /dev/zero");
  spec.limits.memory_bytes = 16 << 20;
  EXPECT_TRUE((co_await b.runtime->start(spec)).has_value());
  co_await b.until_exits(1);
  EXPECT_EQ(b.exits[0].exit->code, 137);
  EXPECT_TRUE(b.exits[0].exit->out_of_memory);
  co_await b.runtime->remove_pod("u1");
}
TEST(IsolatedProcess, MemoryBeyondTheLimitIsOutOfMemory) {
  if (::geteuid() != 0) GTEST_SKIP() << "cgroups need root";
  Bench b(true);
  bool limited = false;
  b.run([&] { return eats_memory(b, limited); });
  if (!limited) GTEST_SKIP() << "no writable cgroup hierarchy with a memory controller";
}

}  // namespace
}  // namespace rs::node
