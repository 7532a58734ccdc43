// Seeded runs of the campaign (README.md). RS_CRASH_SEED: the first seed; RS_CRASH_RUNS: how many.
#include <gtest/gtest.h>

#include <cinttypes>

#include "campaign.h"

namespace rs::store::crash {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(CrashCampaignTest, EveryPromiseIsKeptOverEveryCrash) {
  const uint64_t first = from_environment("RS_CRASH_SEED", 1),
                 runs = from_environment("RS_CRASH_RUNS", 100);
  const bool tells = std::getenv("RS_CRASH_STORY") != nullptr;
  constexpr int kFailuresMax = 3;  // more say no more
  RunResult sum;
  int failures = 0;
  for (uint64_t seed = first; seed < first + runs && failures < kFailuresMax; ++seed) {
    RunResult run = run_seed(seed);
    failures += !run.failure.empty();
    if (tells) std::printf("seed %" PRIu64 ":%s\n", seed, run.story.c_str());
    EXPECT_EQ(run.failure, "") << "seed " << seed << run.story;
    sum.calls += run.calls;
    sum.unknown += run.unknown;
    sum.watch_answers += run.watch_answers;
    sum.injected += run.injected;
    sum.planned += run.planned;
    sum.power_failures += run.power_failures;
    sum.asserted += run.asserted;
    for (uint32_t i = 0; i < kStepKinds; ++i) sum.steps[i] += run.steps[i];
  }
  std::printf("seeds %" PRIu64 " to %" PRIu64
              ": %zu calls (%zu unknown), %zu watch answers, %zu of %zu planned faults, "
              "%zu power failures; steps: %" PRIu64 " writes, %" PRIu64 " syncs, %" PRIu64
              " renames, %" PRIu64 " unlinks, %" PRIu64 " creates, %" PRIu64 " truncates\n",
              first, first + runs - 1, sum.calls, sum.unknown, sum.watch_answers, sum.injected,
              sum.planned, sum.power_failures, sum.steps[0], sum.steps[1], sum.steps[2],
              sum.steps[3], sum.steps[4], sum.steps[5]);
  // Faults that never happen prove nothing.
  if (runs >= 10 && failures == 0) EXPECT_GE(sum.injected * 3, sum.planned);
  EXPECT_LE(sum.asserted, 1 + runs / 50) << "a store that serves is to outlive what its disk does";
  EXPECT_GT(sum.steps[uint32_t(StepKind::kSync)], runs);
}

}  // namespace
}  // namespace rs::store::crash
