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

TEST(StoreDifferential, RandomOperationsAreAnsweredAsEtcdDoes) {
  async::SystemLoop loop;
  auto etcd = make_etcd(loop);
  if (etcd == nullptr) GTEST_SKIP() << "no etcd on this machine (Debian: etcd-server)";
  log::set_level(log::Level::kError);
  auto ours = make_ours(loop, OurEngine::kRocks);
  RunOptions options;
  options.seed = uint64_t(setting("RS_DIFFERENTIAL_SEED", int64_t(secure_seed() >> 1)));
  options.operations = size_t(setting("RS_DIFFERENTIAL_OPERATIONS", 100'000));
  std::cout << "seed " << options.seed << ", " << options.operations << " operations" << std::endl;
  RunReport report;
  run(loop, compare_servers(loop, *etcd, *ours, options, report));
  std::cout << summary(report) << std::endl;
  for (const std::string& text : report.differences) ADD_FAILURE() << text;
  if (!report.differences.empty())
    std::cout << "the end of etcd's log:\n" << etcd->log_tail() << std::endl;
}

}  // namespace
}  // namespace rs::store::differential
