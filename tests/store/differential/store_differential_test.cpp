// Random operations against Debian's etcd and our store: every answer, status and field, must be
// the same (README.md).
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include <boost/asio/co_spawn.hpp>

#include "base/log.h"
#include "generator_run.h"
#include "session.h"

namespace rs::store::differential {
namespace {

constexpr const char* kNoEtcd = "no etcd on this machine (Debian: etcd-server)";

int64_t setting(const char* name, int64_t otherwise) {
  const char* text = ::getenv(name);
  return text == nullptr ? otherwise : std::atoll(text);
}

void run(async::SystemLoop& loop, awaitable<void> body) {
  async::asio::co_spawn(loop.context(), std::move(body), [&loop](std::exception_ptr error) {
    loop.stop();
    if (error) std::rethrow_exception(error);
  });
  loop.run();
}

// Compares two servers by the options' operations, and says what it found.
void compare(async::SystemLoop& loop, Server& expected, Server& ours, RunOptions options) {
  log::set_level(log::Level::kError);
  // The same in every run, so that a run that fails tells of a change; 0: another each time, to
  // find more.
  options.seed = uint64_t(setting("RS_DIFFERENTIAL_SEED", 20261124));
  if (options.seed == 0) options.seed = secure_seed() >> 1;
  std::cout << ours.name() << " against " << expected.name() << ": seed " << options.seed << ", "
            << options.operations << " operations" << std::endl;
  RunReport report;
  run(loop, compare_servers(loop, expected, ours, options, report));
  std::cout << summary(report) << std::endl;
  for (const std::string& text : report.differences) ADD_FAILURE() << text;
  if (!report.differences.empty() && !expected.log_tail().empty())
    std::cout << "the end of its log:\n" << expected.log_tail() << std::endl;
}

TEST(StoreDifferential, RandomOperationsAreAnsweredAsEtcdDoes) {
  async::SystemLoop loop;
  auto etcd = make_etcd(loop);
  if (etcd == nullptr) GTEST_SKIP() << kNoEtcd;
  auto ours = make_ours(loop, OurEngine::kRocks);
  compare(loop, *etcd, *ours,
          {.operations = size_t(setting("RS_DIFFERENTIAL_OPERATIONS", 100'000)), .restart = true});
}

// Limits, counts and the deeper index; without sorts, which are unstable in etcd.
TEST(StoreDifferential, SoAreThoseOnManyKeys) {
  async::SystemLoop loop;
  auto etcd = make_etcd(loop);
  if (etcd == nullptr) GTEST_SKIP() << kNoEtcd;
  auto ours = make_ours(loop, OurEngine::kMemory);
  compare(loop, *etcd, *ours, {.operations = 10'000, .generator = {.keys = 500, .sorts = false}});
}

// Each engine against the one on disk: answers, events and HashKV.
TEST(StoreDifferential, MemoryAnswersAsRocksDbDoes) {
  async::SystemLoop loop;
  auto memory = make_ours(loop, OurEngine::kMemory);
  auto rocks = make_ours(loop, OurEngine::kRocks);
  compare(loop, *rocks, *memory, {.operations = 20'000});
}

TEST(StoreDifferential, SqliteAnswersAsRocksDbDoes) {
  async::SystemLoop loop;
  auto sqlite = make_ours(loop, OurEngine::kSqlite);
  auto rocks = make_ours(loop, OurEngine::kRocks);
  compare(loop, *rocks, *sqlite, {.operations = 20'000, .restart = true});
}

TEST(StoreDifferential, SoDoesSqliteOnManyKeys) {
  async::SystemLoop loop;
  auto sqlite = make_ours(loop, OurEngine::kSqlite);
  auto rocks = make_ours(loop, OurEngine::kRocks);
  compare(loop, *rocks, *sqlite,
          {.operations = 20'000, .generator = {.keys = 500}, .restart = true});
}

}  // namespace
}  // namespace rs::store::differential
