// Scale, binding, eviction. Expected values: reference A14.
#include "server/server_fixture.h"

namespace rs::server {
namespace {
using testing::Server;

constexpr const char* kPods = "/api/v1/namespaces/default/pods";
const std::string kPod = R"({"metadata":{"name":"p","labels":{"app":"a"}},"spec":{"containers":[{"name":"c","image":"host"}]}})";

awaitable<void> binding(Server& it) {
  Json pod = co_await it.ask(201, "POST", kPods, kPod);
  EXPECT_EQ(str(pod, "status", "phase"), "Pending");
  EXPECT_EQ(str(pod, "status", "qosClass"), "BestEffort");
  std::string body = R"({"metadata":{"name":"p"},"target":{"kind":"Node","name":"n1"}})";
  Json bound = co_await it.ask(201, "POST", std::string(kPods) + "/p/binding", body);
  EXPECT_EQ(str(bound, "status"), "Success");
  Json now = co_await it.ask(200, "GET", std::string(kPods) + "/p");
  EXPECT_EQ(str(now, "spec", "nodeName"), "n1");
  EXPECT_EQ(str(array(now, "status", "conditions").at(0), "type"), "PodScheduled");
  Json again = co_await it.ask(409, "POST", std::string(kPods) + "/p/binding", body);
  EXPECT_EQ(str(again, "message"),
            "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n1\"");
  EXPECT_EQ(array(co_await it.ask(200, "GET", std::string(kPods) + "?fieldSelector=spec.nodeName=n1"), "items").size(), 1u);
  EXPECT_EQ(array(co_await it.ask(200, "GET", std::string(kPods) + "?fieldSelector=spec.nodeName=n2"), "items").size(), 0u);
  // A scheduled pod is deleted gracefully: it stays until its node lets it go.
  Json leaving = co_await it.ask(200, "DELETE", std::string(kPods) + "/p");
  EXPECT_EQ(integer(leaving, "metadata", "deletionGracePeriodSeconds"), 30);
  co_await it.ask(200, "DELETE", std::string(kPods) + "/p?gracePeriodSeconds=0");
  co_await it.ask(404, "GET", std::string(kPods) + "/p");
}
TEST(Subresources, BindingSchedulesAPodOnce) { Server().run(binding); }

awaitable<void> scaling(Server& it) {
  const char* all = "/apis/apps/v1/namespaces/default/deployments";
  std::string item = std::string(all) + "/d";
  Json made = co_await it.ask(201, "POST", all,
                              R"({"metadata":{"name":"d"},"spec":{"replicas":1,"selector":{"matchLabels":{"a":"b"}},)"
                              R"("template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})");
  EXPECT_EQ(integer(made, "metadata", "generation"), 1);
  Json scale = co_await it.ask(200, "GET", item + "/scale");
  EXPECT_EQ(str(scale, "kind"), "Scale");
  EXPECT_EQ(str(scale, "status", "selector"), "a=b");
  Json scaled = co_await it.ask(200, "PATCH", item + "/scale", R"({"spec":{"replicas":3}})",
                                {{"Content-Type", "application/merge-patch+json"}});
  EXPECT_EQ(integer(scaled, "spec", "replicas"), 3);
  Json now = co_await it.ask(200, "GET", item);
  EXPECT_EQ(integer(now, "spec", "replicas"), 3);
  EXPECT_EQ(integer(now, "metadata", "generation"), 2);
  // Status and spec are apart.
  set(now, Json(7), "spec", "replicas");
  set(now, Json(3), "status", "replicas");
  Json status = co_await it.ask(200, "PUT", item + "/status", to_text(now));
  EXPECT_EQ(integer(status, "spec", "replicas"), 3);
  EXPECT_EQ(integer(status, "status", "replicas"), 3);
  EXPECT_EQ(integer(status, "metadata", "generation"), 2);
}
TEST(Subresources, ScaleIsAViewOfReplicas) { Server().run(scaling); }

awaitable<void> evicting(Server& it) {
  co_await it.ask(201, "POST", kPods, kPod);
  co_await it.ask(201, "POST", std::string(kPods) + "/p/binding", R"({"target":{"kind":"Node","name":"n1"}})");
  co_await it.ask(200, "PATCH", std::string(kPods) + "/p/status",
                  R"({"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}})",
                  {{"Content-Type", "application/merge-patch+json"}});
  const char* budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
  co_await it.ask(201, "POST", budgets,
                  R"({"metadata":{"name":"b"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"a"}}}})");
  std::string eviction = R"({"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"p"}})";
  auto patch = [&](std::string status) {
    return it.ask(200, "PATCH", std::string(budgets) + "/b/status", std::move(status),
                  {{"Content-Type", "application/merge-patch+json"}});
  };
  co_await patch(R"({"status":{"observedGeneration":1,"disruptionsAllowed":0,"currentHealthy":1,"desiredHealthy":1,"expectedPods":1}})");
  Json refused = co_await it.ask(429, "POST", std::string(kPods) + "/p/eviction", eviction);
  EXPECT_EQ(str(array(refused, "details", "causes").at(0), "reason"), "DisruptionBudget");
  EXPECT_EQ(str(array(refused, "details", "causes").at(0), "message"),
            "The disruption budget b needs 1 healthy pods and has 1 currently");
  co_await patch(R"({"status":{"disruptionsAllowed":1}})");
  co_await it.ask(201, "POST", std::string(kPods) + "/p/eviction", eviction);
  Json budget = co_await it.ask(200, "GET", std::string(budgets) + "/b");
  EXPECT_EQ(integer(budget, "status", "disruptionsAllowed"), 0);
  EXPECT_EQ(object(budget, "status", "disruptedPods").size(), 1u);
  EXPECT_FALSE(str(co_await it.ask(200, "GET", std::string(kPods) + "/p"), "metadata", "deletionTimestamp").empty());
}
TEST(Subresources, EvictionRespectsBudgets) { Server().run(evicting); }

}  // namespace
}  // namespace rs::server
