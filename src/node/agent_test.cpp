// The agent against the real API server, in process, with real processes. Root's namespaces are tried too where we may;
// networks only in a network namespace of the test's own.
#include "node/agent.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include <boost/asio/co_spawn.hpp>
#include <filesystem>

#include "api/kind.h"
#include "server/api_server.h"
#include "store/embedded.h"

namespace rs::node {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

struct Directory {
  Directory() {
    char name[] = "/tmp/rs-agent-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

class Cluster {
 public:
  explicit Cluster(bool isolated, bool own_network = false) : isolate(isolated), networked(own_network) {}

  void run(awaitable<void> (*body)(Cluster&)) {
    asio::co_spawn(loop.context(), all(body), [](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
    loop.run();
  }

  awaitable<void> start_agent() {
    AgentOptions options;
    options.node_name = "node-a";
    options.zone = "a";
    options.data_dir = directory.path;
    options.node_ip = networked ? "" : "127.0.0.1";
    options.isolate = isolate;
    options.own_network = networked;
    agent = std::make_unique<Agent>(loop, *client, network, options, drain);
    auto started = co_await agent->start();
    EXPECT_TRUE(started.has_value()) << to_string(started.error());
  }
  awaitable<void> stop_agent() {
    co_await agent->stop();
    agent.reset();
  }

  awaitable<void> create(Json pod) {
    auto created = co_await client->create(client::resources::kPods, std::move(pod));
    EXPECT_TRUE(created.has_value()) << to_string(created.error());
  }
  // The pod once the condition holds; what it was last when it never did.
  awaitable<Json> until(std::string name, std::function<bool(const Json&)> condition, Duration limit = 10s) {
    Json last;
    for (MonoTime end = loop.now() + limit; loop.now() < end;) {
      auto pod = co_await client->get(client::resources::kPods, {"default", name});
      last = pod ? *pod : Json();
      if (condition(last)) co_return last;
      co_await loop.sleep(5ms);
    }
    ADD_FAILURE() << "not reached: " << to_pretty_text(last.is_object() ? Json(object(last, "status")) : last);
    co_return last;
  }
  awaitable<void> remove(std::string name) {
    auto removed = co_await client->remove(client::resources::kPods, {"default", name});
    EXPECT_TRUE(removed.has_value());
    co_await until(name, [](const Json& pod) { return pod.is_null(); });
  }
  awaitable<std::string> log_of(std::string pod, bool previous = false) {
    client::LogOptions options;
    options.ns = "default";
    options.pod = pod;
    options.previous = previous;
    auto stream = co_await agent->logs(options);
    if (!stream) co_return to_string(stream.error());
    std::string text;
    for (;;) {
      auto part = co_await (*stream)->read();
      if (!part || part->empty()) co_return text;
      text += *part;
    }
  }

  async::SystemLoop loop;
  net::TcpNetwork network{loop};
  Directory directory;
  bool isolate, networked;
  std::unique_ptr<store::Embedded> store;
  std::unique_ptr<server::ApiServer> api;
  std::unique_ptr<client::Transport> transport;
  std::unique_ptr<client::Client> client;
  std::unique_ptr<Agent> agent;
  client::DrainGate* drain = nullptr;

 private:
  awaitable<Result<void>> as_result(awaitable<void> (*body)(Cluster&)) {
    co_await body(*this);
    co_return Result<void>();
  }
  awaitable<void> all(awaitable<void> (*body)(Cluster&)) {
    auto opened = co_await store::Embedded::open(loop, {});
    EXPECT_TRUE(opened.has_value());
    store = std::move(*opened);
    server::ApiServerOptions options;
    options.authorize = false;
    options.service_account_admission = false;
    api = std::make_unique<server::ApiServer>(loop, *store, api::builtin_kinds(), options);
    EXPECT_TRUE((co_await api->start()).has_value());
    transport = api->in_process({.name = "test", .groups = {server::kMasters, server::kAuthenticated}});
    client = std::make_unique<client::Client>(loop, *transport, "test");
    co_await start_agent();
    auto done = co_await async::with_timeout(loop, 30s, "test", as_result(body));
    EXPECT_TRUE(done.has_value()) << to_string(done.error());
    if (agent) co_await stop_agent();
    co_await api->stop();
    co_await store->close();
    loop.stop();
  }
};

Json shell_pod(std::string_view name, std::string_view script) {
  return JsonObject{{"apiVersion", "v1"}, {"kind", "Pod"},
                    {"metadata", JsonObject{{"name", name}, {"namespace", "default"}}},
                    {"spec", JsonObject{{"nodeName", "node-a"}, {"terminationGracePeriodSeconds", 5}, {"restartPolicy", "Never"},
                                        {"containers", JsonArray{JsonObject{{"name", "app"}, {"image", "host"},
                                                                            {"command", JsonArray{"sh", "-c", script}}}}}}}};
}
Json& app(Json& pod) { return ensure(pod, "spec", "containers").as_array()[0]; }
bool is_ready(const Json& pod) { return api::condition_is_true(pod, "Ready"); }
std::function<bool(const Json&)> in_phase(std::string phase) {
  return [phase](const Json& pod) { return str(pod, "status", "phase") == phase; };
}
const Json& first_status(const Json& pod) {
  static const Json none;
  const JsonArray& all = array(pod, "status", "containerStatuses");
  return all.empty() ? none : all[0];
}

class AgentTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && ::geteuid() != 0) GTEST_SKIP() << "namespaces need root";
  }
};
INSTANTIATE_TEST_SUITE_P(Isolation, AgentTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Namespaces" : "Plain"; });

awaitable<void> registers(Cluster& c) {
  Json node;
  for (int i = 0; i < 1000 && !api::condition_is_true(node, "Ready"); ++i) {
    auto got = co_await c.client->get(client::resources::kNodes, {"", "node-a"});
    node = got ? *got : Json();
    co_await c.loop.sleep(5ms);
  }
  EXPECT_EQ(api::label(node, "kubernetes.io/hostname"), "node-a");
  EXPECT_EQ(api::label(node, "topology.kubernetes.io/zone"), "a");
  EXPECT_FALSE(str(node, "status", "nodeInfo", "kernelVersion").empty());
  EXPECT_FALSE(str(node, "status", "capacity", "memory").empty());
  Result<Json> lease = fail(Code::kNotFound, "");
  for (int i = 0; i < 1000 && !lease; ++i) {
    lease = co_await c.client->get(client::resources::kLeases, {"kube-node-lease", "node-a"});
    co_await c.loop.sleep(5ms);
  }
  EXPECT_TRUE(lease && str(*lease, "spec", "holderIdentity") == "node-a");
}
TEST(Agent, RegistersItsNodeAndKeepsALease) { Cluster(false).run(registers); }

awaitable<void> runs_to_completion(Cluster& c) {
  Json pod = shell_pod("job", "echo hello $WHO from $POD; exit 0");
  set(app(pod), JsonArray{JsonObject{{"name", "WHO"}, {"value", "sailor"}},
                          JsonObject{{"name", "POD"}, {"valueFrom", JsonObject{{"fieldRef", JsonObject{{"fieldPath", "metadata.name"}}}}}}},
      "env");
  co_await c.create(pod);
  Json done = co_await c.until("job", in_phase("Succeeded"));
  EXPECT_EQ(str(first_status(done), "state", "terminated", "reason"), "Completed");
  EXPECT_EQ(co_await c.log_of("job"), "hello sailor from job\n");
  co_await c.remove("job");
  for (int i = 0; i < 1000 && c.agent->pods() > 0; ++i) co_await c.loop.sleep(5ms);
  EXPECT_EQ(c.agent->pods(), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(c.directory.path + "/pods"));
}
TEST_P(AgentTest, RunsAPodToCompletionAndServesItsLog) { Cluster(GetParam()).run(runs_to_completion); }

awaitable<void> becomes_ready(Cluster& c) {
  Json pod = shell_pod("web", "sleep 0.1; touch /tmp/ready-$$ && echo ready > $READY; exec sleep 1000");
  std::string flag = c.directory.path + "-flag";
  std::filesystem::create_directories(flag);
  set(pod, JsonArray{JsonObject{{"name", "v"}, {"hostPath", JsonObject{{"path", flag}}}}}, "spec", "volumes");
  std::string at = c.isolate ? "/flag" : flag;
  set(app(pod), JsonArray{JsonObject{{"name", "v"}, {"mountPath", at}}}, "volumeMounts");
  set(app(pod), JsonArray{JsonObject{{"name", "READY"}, {"value", at + "/r"}}}, "env");
  Json probe = JsonObject{{"exec", JsonObject{{"command", JsonArray{"cat", at + "/r"}}}}};
  set(app(pod), probe, "readinessProbe");
  co_await c.create(pod);
  Json ready = co_await c.until("web", is_ready);
  EXPECT_EQ(str(ready, "status", "phase"), "Running");
  EXPECT_EQ(str(ready, "status", "podIP"), "127.0.0.1");
  EXPECT_TRUE(boolean(first_status(ready), "started"));
  co_await c.remove("web");
  std::error_code ignored;
  std::filesystem::remove_all(flag, ignored);
}
TEST_P(AgentTest, APodIsReadyAsSoonAsItsProbeSaysSo) { Cluster(GetParam()).run(becomes_ready); }

awaitable<void> crash_loops(Cluster& c) {
  Json pod = shell_pod("crash", "echo run; exit 7");
  set(pod, "Always", "spec", "restartPolicy");
  co_await c.create(pod);
  Json looping = co_await c.until("crash", [](const Json& p) {
    return str(first_status(p), "state", "waiting", "reason") == "CrashLoopBackOff";
  });
  EXPECT_EQ(integer(first_status(looping), "restartCount"), 1);
  EXPECT_EQ(integer(first_status(looping), "lastState", "terminated", "exitCode"), 7);
  EXPECT_EQ(str(looping, "status", "phase"), "Running");
  EXPECT_EQ(co_await c.log_of("crash", true), "run\n");
  co_await c.remove("crash");
}
TEST_P(AgentTest, ACrashingProgramIsRestartedOnceAtOnceThenBacksOff) { Cluster(GetParam()).run(crash_loops); }

awaitable<void> survives(Cluster& c) {
  Json pod = shell_pod("stay", "exec sleep 1000");
  co_await c.create(pod);
  Json before = co_await c.until("stay", is_ready);
  co_await c.stop_agent();
  co_await c.start_agent();
  co_await c.until("stay", [&c](const Json&) { return c.agent->pods() == 1; });
  Json after = co_await c.until("stay", is_ready);
  EXPECT_EQ(str(first_status(before), "containerID"), str(first_status(after), "containerID"));
  EXPECT_EQ(integer(first_status(after), "restartCount"), 0);
  EXPECT_EQ(str(first_status(before), "state", "running", "startedAt"), str(first_status(after), "state", "running", "startedAt"));
  co_await c.stop_agent();
  auto removed = co_await c.client->remove(client::resources::kPods, {"default", "stay"}, {.grace_period_seconds = 0});
  co_await c.start_agent();
  for (int i = 0; i < 2000 && !std::filesystem::is_empty(c.directory.path + "/pods"); ++i) co_await c.loop.sleep(5ms);
  EXPECT_TRUE(std::filesystem::is_empty(c.directory.path + "/pods")) << "a pod deleted meanwhile is ended";
}
TEST_P(AgentTest, RunningPodsOutliveTheAgentAndAreAdopted) { Cluster(GetParam()).run(survives); }

awaitable<void> config_volumes(Cluster& c) {
  Json map = JsonObject{{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", JsonObject{{"name", "settings"}, {"namespace", "default"}}},
                        {"data", JsonObject{{"colour", "blue"}}}};
  Json pod = shell_pod("config", "cat /etc/settings/colour; echo; until grep -q red /etc/settings/colour; do sleep 0.05; done; echo $COLOUR now red");
  set(pod, JsonArray{JsonObject{{"name", "s"}, {"configMap", JsonObject{{"name", "settings"}}}}}, "spec", "volumes");
  set(app(pod), JsonArray{JsonObject{{"name", "s"}, {"mountPath", "/etc/settings"}}}, "volumeMounts");
  set(app(pod), JsonArray{JsonObject{{"name", "COLOUR"}, {"valueFrom", JsonObject{{"configMapKeyRef", JsonObject{{"name", "settings"}, {"key", "colour"}}}}}}}, "env");
  co_await c.create(pod);
  co_await c.loop.sleep(50ms);
  auto created = co_await c.client->create(client::resources::kConfigMaps, map);
  EXPECT_TRUE(created.has_value());
  co_await c.until("config", in_phase("Running"));
  // Running is not yet having read.
  for (int i = 0; i < 2000 && co_await c.log_of("config") != "blue\n"; ++i) co_await c.loop.sleep(5ms);
  set(map, "red", "data", "colour");
  EXPECT_TRUE((co_await c.client->update(client::resources::kConfigMaps, map)).has_value());
  co_await c.until("config", in_phase("Succeeded"));
  EXPECT_EQ(co_await c.log_of("config"), "blue\nblue now red\n");
}
TEST(AgentIsolated, ConfigMapsAreWaitedForAndTheirChangesSeen) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts need root";
  Cluster(true).run(config_volumes);
}

struct Gate final : client::DrainGate {
  awaitable<void> drain(std::string, std::vector<std::string> addresses, Duration) override {
    drained = addresses;
    running_then = cluster != nullptr && (co_await cluster->log_of("web")) == "up\n";
  }
  Cluster* cluster = nullptr;
  std::vector<std::string> drained;
  bool running_then = false;
};
Gate* gate = nullptr;
awaitable<void> drains(Cluster& c) {
  Json pod = shell_pod("web", "trap 'echo term; exit 0' TERM; echo up; while :; do sleep 0.05; done");
  set(app(pod), JsonObject{{"exec", JsonObject{{"command", JsonArray{"sh", "-c", "echo hook > /proc/1/fd/1 || true"}}}}}, "lifecycle", "preStop");
  co_await c.create(pod);
  co_await c.until("web", is_ready);
  while (co_await c.log_of("web") != "up\n") co_await c.loop.sleep(5ms);
  gate->cluster = &c;
  auto removed = co_await c.client->remove(client::resources::kPods, {"default", "web"});
  co_await c.until("web", [](const Json& p) { return p.is_null(); });
  EXPECT_EQ(gate->drained, std::vector<std::string>{"127.0.0.1"});
  EXPECT_TRUE(gate->running_then) << "the data plane is told before the program is";
}
TEST_P(AgentTest, TheDataPlaneIsToldBeforeAPodIsEnded) {
  Gate here;
  gate = &here;
  Cluster cluster(GetParam());
  cluster.drain = &here;
  cluster.run(drains);
}

awaitable<void> refuses_images(Cluster& c) {
  Json pod = shell_pod("nginx", "true");
  set(app(pod), "nginx:1.27", "image");
  co_await c.create(pod);
  co_await c.until("nginx", [](const Json& p) { return str(first_status(p), "state", "waiting", "reason") == "ImagePullBackOff"; });
  client::LogOptions options;
  options.ns = "default";
  options.pod = "nginx";
  auto logs = co_await c.agent->logs(options);
  EXPECT_FALSE(logs.has_value());
  if (!logs) {
    EXPECT_EQ(logs.error().message, "container \"app\" in pod \"nginx\" is waiting to start: ImagePullBackOff");
  }
  co_await c.remove("nginx");
}
TEST(Agent, AnImageThatIsNotTheMachineIsRefusedAsAPullFailure) { Cluster(false).run(refuses_images); }

awaitable<void> own_address(Cluster& c) {
  EXPECT_TRUE(c.agent->own_network()) << c.agent->describe();
  Json pod = shell_pod("net", "exec python3 -m http.server 8080 --bind 0.0.0.0 --directory /usr/share/doc");
  set(app(pod), JsonObject{{"httpGet", JsonObject{{"port", 8080}, {"path", "/"}}}}, "readinessProbe");
  MonoTime begun = c.loop.now();
  co_await c.create(pod);
  co_await c.until("net", in_phase("Running"));
  auto started = std::chrono::duration_cast<std::chrono::milliseconds>(c.loop.now() - begun).count();
  std::cout << "bound to running: " << started << " ms\n";
  Json ready = co_await c.until("net", is_ready);
  EXPECT_TRUE(str(ready, "status", "podIP").starts_with("10.42.0.")) << str(ready, "status", "podIP");
  EXPECT_TRUE((co_await c.agent->port_forward("default", "net", 8080)).has_value());
  Json other = shell_pod("client", "ip route; python3 -c \"import urllib.request as u; print(u.urlopen('http://" +
                                       std::string(str(ready, "status", "podIP")) + ":8080/').status)\"");
  co_await c.create(other);
  co_await c.until("client", in_phase("Succeeded"));
  std::string log = co_await c.log_of("client");
  EXPECT_NE(log.find("\n200\n"), std::string::npos) << log;
  EXPECT_EQ(log.find("default"), std::string::npos) << "no way out: " << log;
  co_await c.remove("client");
  co_await c.remove("net");
}
void in_own_network_namespace() {
  ::dup2(2, 1);  // what fails is shown
  if (::unshare(CLONE_NEWNET) != 0 || std::system("ip link set lo up") != 0) ::_exit(2);
  Cluster(true, true).run(own_address);
  std::fflush(nullptr);
  ::_exit(::testing::Test::HasFailure() ? 1 : 0);
}
TEST(AgentIsolated, PodsHaveAddressesThatReachEachOtherAndNothingElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
  if (::access("/usr/lib/cni/bridge", X_OK) != 0) GTEST_SKIP() << "no CNI plugins (containernetworking-plugins)";
  EXPECT_EXIT(in_own_network_namespace(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace rs::node
