#include <gtest/gtest.h>

#include <map>

#include "mesh/balance/balancer.h"
#include "mesh/balance/budget.h"

namespace rs::mesh {
namespace {
using namespace std::chrono_literals;

Set endpoints(int count) {
  Set set;
  for (int i = 0; i < count; ++i)
    set.endpoints.push_back({.ip = fmt::format("10.42.0.{}", i + 1), .port = 80, .pod_uid = fmt::format("u{}", i)});
  return set;
}

struct Fixture : testing::Test {
  Random random{1};
  MonoTime now{1h};
  Balancer balancer;
  void request(Balancer::Node& node, Outcome outcome, Duration rtt, bool stale = false) {
    balancer.started(node, now);
    balancer.finished(node, outcome, rtt, now, random, stale);
  }
  std::map<std::string, int> picks(int count) {
    std::map<std::string, int> result;
    for (int i = 0; i < count; ++i)
      if (auto node = balancer.pick(now, random)) ++result[node->endpoint.ip];
    return result;
  }
};
using BalancerTest = Fixture;

TEST_F(BalancerTest, NoEndpointNoPick) {
  EXPECT_EQ(balancer.pick(now, random), nullptr);
  balancer.update(Empty{}, now);
  EXPECT_EQ(balancer.pick(now, random), nullptr);
}

TEST_F(BalancerTest, PrefersTheFastAndTheLessLoaded) {
  balancer.update(endpoints(3), now);
  for (int i = 0; i < 50; ++i) {
    now = now + 1s;
    for (const auto& node : balancer.nodes())
      request(*node, Outcome::kSuccess, node->endpoint.ip == "10.42.0.1" ? 500ms : 1ms);
  }
  // Of two drawn the slow one is chosen only when both are it, which cannot be.
  EXPECT_EQ(picks(300).count("10.42.0.1"), 0u);
  for (int i = 0; i < 5; ++i) balancer.started(*balancer.nodes()[1], now);
  // Two thirds of the draws contain the third, which wins all of them.
  EXPECT_GT(picks(300)["10.42.0.3"], 170);
}

TEST_F(BalancerTest, ConnectFailuresEjectAfterTwoOrAfterOneWhenStale) {
  balancer.update(endpoints(3), now);
  auto& first = *balancer.nodes()[0];
  request(first, Outcome::kConnectFailure, 1ms);
  EXPECT_FALSE(first.ejected);
  request(first, Outcome::kConnectFailure, 1ms);
  EXPECT_TRUE(first.ejected);
  EXPECT_EQ(picks(200).count("10.42.0.1"), 0u);
  auto& second = *balancer.nodes()[1];
  request(second, Outcome::kConnectFailure, 1ms, true);
  EXPECT_TRUE(second.ejected);
}

TEST_F(BalancerTest, ProbationIsOneRequestAndItsFailureDoublesThePause) {
  balancer.update(endpoints(2), now);
  auto& node = *balancer.nodes()[0];
  for (int i = 0; i < BalancerLimits::kGatewayErrors; ++i) request(node, Outcome::kGatewayError, 1ms);
  ASSERT_TRUE(node.ejected);
  auto pause = node.ejected_until - now;
  EXPECT_GE(pause, 1s);
  EXPECT_LE(pause, 1500ms);
  now = node.ejected_until;
  balancer.started(node, now);
  EXPECT_TRUE(node.probing);
  EXPECT_EQ(balancer.ejected(now), 1u);
  balancer.finished(node, Outcome::kServerError, 1ms, now, random);
  EXPECT_TRUE(node.ejected);
  EXPECT_GE(node.ejected_until - now, 2s);
  now = node.ejected_until;
  request(node, Outcome::kSuccess, 1ms);
  EXPECT_FALSE(node.ejected);
}

TEST_F(BalancerTest, PanicUsesEjectedOnesButNotThoseThatJustRefused) {
  balancer.update(endpoints(4), now);
  for (int i = 0; i < 2; ++i) request(*balancer.nodes()[0], Outcome::kConnectFailure, 1ms);
  for (int n : {1, 2})
    for (int i = 0; i < BalancerLimits::kServerErrors; ++i) request(*balancer.nodes()[n], Outcome::kServerError, 1ms);
  EXPECT_EQ(balancer.ejected(now), 3u);
  std::vector<Balancer::NodePtr> tried{balancer.nodes()[3]};
  auto node = balancer.pick(now, random, tried);
  ASSERT_NE(node, nullptr);
  EXPECT_TRUE(node->endpoint.ip == "10.42.0.2" || node->endpoint.ip == "10.42.0.3");
  // A lone endpoint is used whatever is thought of it.
  Balancer lone;
  lone.update(endpoints(1), now);
  for (int i = 0; i < 5; ++i) {
    lone.started(*lone.nodes()[0], now);
    lone.finished(*lone.nodes()[0], Outcome::kConnectFailure, 1ms, now, random);
  }
  EXPECT_NE(lone.pick(now, random), nullptr);
}

TEST_F(BalancerTest, DrainingGetsNothingAndTerminatingOnlyWhenAlone) {
  auto set = endpoints(2);
  set.endpoints[0].terminating = true;
  set.endpoints[0].ready = false;
  balancer.update(set, now);
  EXPECT_EQ(picks(50).count("10.42.0.1"), 0u);
  set.endpoints.erase(set.endpoints.begin() + 1);
  balancer.update(set, now);
  EXPECT_EQ(picks(5)["10.42.0.1"], 5);
  set.endpoints[0].draining = true;
  balancer.update(set, now);
  EXPECT_EQ(balancer.pick(now, random), nullptr);
}

TEST_F(BalancerTest, UpdateKeepsWhatIsKnownButNotOfAnotherPodAtTheSameAddress) {
  auto set = endpoints(2);
  balancer.update(set, now);
  auto kept = balancer.nodes()[0], replaced = balancer.nodes()[1];
  set.endpoints[1].pod_uid = "new";
  balancer.update(set, now);
  EXPECT_EQ(balancer.nodes()[0], kept);
  EXPECT_NE(balancer.nodes()[1], replaced);
  EXPECT_FALSE(replaced->present);
}

TEST_F(BalancerTest, AHostFarBelowTheOthersIsEjected) {
  balancer.update(endpoints(6), now);
  balancer.tick(now, random);
  for (int i = 0; i < 120; ++i)
    for (const auto& node : balancer.nodes())
      request(*node, node->endpoint.ip == "10.42.0.6" && i % 3 == 0 ? Outcome::kServerError : Outcome::kSuccess, 1ms);
  EXPECT_EQ(balancer.ejected(now), 0u);
  now = now + 11s;
  balancer.tick(now, random);
  EXPECT_TRUE(balancer.nodes()[5]->ejected);
  EXPECT_EQ(balancer.ejected(now), 1u);
}

TEST(RetryBudget, ReserveThenAFifthOfTheRequests) {
  RetryBudget budget;
  MonoTime now{1h};
  int retries = 0;
  while (budget.try_withdraw(now)) ++retries;
  EXPECT_EQ(retries, 100);  // 10 a second for 10 s
  for (int i = 0; i < 50; ++i) budget.deposit(now);
  retries = 0;
  while (budget.try_withdraw(now)) ++retries;
  EXPECT_EQ(retries, 10);
  now = now + 11s;
  retries = 0;
  while (budget.try_withdraw(now)) ++retries;
  EXPECT_EQ(retries, 100) << "everything fades";
}

}  // namespace
}  // namespace rs::mesh
