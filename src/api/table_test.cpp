#include "api/table.h"

#include <gtest/gtest.h>

namespace rs::api {
namespace {

constexpr WallTime kNow{std::chrono::hours(24 * 365 * 50)};

std::string row(std::string_view group_version, std::string_view kind_name, std::string_view text) {
  size_t slash = group_version.find('/');
  std::string_view group = slash == std::string_view::npos ? "" : group_version.substr(0, slash);
  std::string_view version = slash == std::string_view::npos ? group_version : group_version.substr(slash + 1);
  const Kind* kind = builtin_kinds().by_kind(group, version, kind_name);
  if (kind == nullptr) return "no such kind";
  Json object = parse_json(text).value();
  set(object, Json(rfc3339(kNow - std::chrono::minutes(5)).c_str()), "metadata", "creationTimestamp");
  JsonObject out = table_row(*kind, object, kNow);
  EXPECT_EQ(out["cells"].get_array().size(), table_columns(*kind).size()) << kind_name;
  return to_text(out["cells"]);
}
std::string pod(std::string_view text) { return row("v1", "Pod", text); }

// The rules are printPod's (pkg/printers/internalversion/printers.go) and its test table.
TEST(Table, PodStatusFollowsTheContainers) {
  EXPECT_EQ(pod(R"({"metadata":{"name":"a"},"spec":{"containers":[{},{}]},"status":{"phase":"Pending"}})"),
            R"(["a","0/2","Pending","0","5m","<none>","<none>","<none>","<none>"])");
  EXPECT_EQ(pod(R"({"metadata":{"name":"a"},"spec":{"nodeName":"n","containers":[{"name":"c"}]},"status":{"phase":"Running",
      "podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"}],
      "containerStatuses":[{"name":"c","ready":true,"restartCount":3,"state":{"running":{}},
                            "lastState":{"terminated":{"finishedAt":"2019-12-19T23:00:00Z"}}}]}})"),
            R"x(["a","1/1","Running","3 (60m ago)","5m","10.0.0.1","n","<none>","<none>"])x");
  EXPECT_EQ(pod(R"({"metadata":{"name":"a"},"spec":{"containers":[{}]},"status":{"phase":"Running","containerStatuses":[
      {"restartCount":1,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}})"),
            R"(["a","0/1","CrashLoopBackOff","1","5m","<none>","<none>","<none>","<none>"])");
  EXPECT_EQ(pod(R"({"metadata":{"name":"a"},"spec":{"containers":[{}]},"status":{"phase":"Failed","containerStatuses":[
      {"state":{"terminated":{"exitCode":2}}}]}})"),
            R"(["a","0/1","ExitCode:2","0","5m","<none>","<none>","<none>","<none>"])");
}

TEST(Table, PodStatusOfInitContainers) {
  auto status = [](std::string_view init, std::string_view rest = "") {
    std::string cells = pod(fmt::format(
        R"({{"metadata":{{"name":"a"}},"spec":{{"initContainers":[{{"name":"i1"}},{{"name":"i2","restartPolicy":"Always"}}],
            "containers":[{{}}]}},"status":{{"phase":"Pending","initContainerStatuses":[{}]{}}}}})", init, rest));
    return cells.substr(1, cells.size() - 2);
  };
  constexpr std::string_view kTail = R"(,"5m","<none>","<none>","<none>","<none>")";
  EXPECT_EQ(status(R"({"name":"i1","state":{"running":{}}})"), fmt::format(R"("a","0/2","Init:0/2","0"{})", kTail));
  EXPECT_EQ(status(R"({"name":"i1","restartCount":2,"state":{"terminated":{"exitCode":1,"reason":"Error"}}})"),
            fmt::format(R"("a","0/2","Init:Error","2"{})", kTail));
  EXPECT_EQ(status(R"({"name":"i1","state":{"terminated":{"signal":9,"exitCode":137}}})"),
            fmt::format(R"("a","0/2","Init:Signal:9","0"{})", kTail));
  EXPECT_EQ(status(R"({"name":"i1","restartCount":4,"state":{"terminated":{"exitCode":0}}},
                      {"name":"i2","started":true,"ready":true,"restartCount":1,"state":{"running":{}}})",
                   R"(,"containerStatuses":[{"ready":true,"state":{"running":{}}}])"),
            fmt::format(R"("a","2/2","Pending","1"{})", kTail));
}

TEST(Table, PodThatEnds) {
  constexpr std::string_view kTwo =
      R"("spec":{"containers":[{},{}]},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"False"}],
         "containerStatuses":[{"state":{"terminated":{"reason":"Completed","exitCode":0}}},{"ready":true,"state":{"running":{}}}]}})";
  EXPECT_EQ(pod(fmt::format(R"({{"metadata":{{"name":"a"}},{})", kTwo)).substr(0, 21), R"(["a","1/2","NotReady")");
  EXPECT_EQ(pod(fmt::format(R"({{"metadata":{{"name":"a","deletionTimestamp":"2020-01-01T00:00:00Z"}},{})", kTwo)).substr(0, 24),
            R"(["a","1/2","Terminating")");
  Json failed = parse_json(R"({"status":{"phase":"Failed"}})").value();
  JsonObject out = table_row(*builtin_kinds().by_kind("", "v1", "Pod"), failed, kNow);
  EXPECT_EQ(to_text(out["conditions"]),
            R"([{"type":"Completed","status":"True","reason":"Failed","message":"The pod failed."}])");
}

TEST(Table, Workloads) {
  EXPECT_EQ(row("apps/v1", "Deployment", R"({"metadata":{"name":"web"},"spec":{"replicas":3,"selector":{"matchLabels":{"app":"web"}},
      "template":{"spec":{"containers":[{"name":"c","image":"i:1"},{"name":"d","image":"j"}]}}},
      "status":{"readyReplicas":2,"updatedReplicas":3,"availableReplicas":2}})"),
            R"(["web","2/3",3,2,"5m","c,d","i:1,j","app=web"])");
  EXPECT_EQ(row("apps/v1", "ReplicaSet", R"({"metadata":{"name":"web-1"},"spec":{"replicas":3},"status":{"replicas":1}})"),
            R"(["web-1",3,1,0,"5m","","","<none>"])");
  EXPECT_EQ(row("batch/v1", "Job", R"({"metadata":{"name":"j"},"spec":{"completions":2,"parallelism":1},"status":{"succeeded":2,
      "startTime":"2019-01-01T00:00:00Z","completionTime":"2019-01-01T00:01:10Z","conditions":[{"type":"Complete","status":"True"}]}})"),
            R"(["j","Complete","2/2","70s","5m","","","<none>"])");
  EXPECT_EQ(row("policy/v1", "PodDisruptionBudget", R"({"metadata":{"name":"b"},"spec":{"minAvailable":"50%"},"status":{"disruptionsAllowed":1}})"),
            R"(["b","50%","N/A",1,"5m"])");
}

TEST(Table, ServicesAndEndpoints) {
  EXPECT_EQ(row("v1", "Service", R"({"metadata":{"name":"s"},"spec":{"type":"NodePort","clusterIP":"10.0.0.9","selector":{"b":"2","a":"1"},
      "ports":[{"port":80,"nodePort":30080,"protocol":"TCP"},{"port":53,"protocol":"UDP"}]}})"),
            R"(["s","NodePort","10.0.0.9","<none>","80:30080/TCP,53/UDP","5m","a=1,b=2"])");
  EXPECT_EQ(row("v1", "Service", R"({"metadata":{"name":"s"},"spec":{"type":"LoadBalancer"}})"),
            R"(["s","LoadBalancer","<none>","<pending>","<none>","5m","<none>"])");
  EXPECT_EQ(row("v1", "Endpoints", R"({"metadata":{"name":"s"},"subsets":[{"addresses":[{"ip":"1.1.1.1"},{"ip":"1.1.1.2"}],
      "ports":[{"port":80},{"port":81}]}]})"),
            R"(["s","1.1.1.1:80,1.1.1.2:80,1.1.1.1:81 + 1 more...","5m"])");
  for (const char* empty : {R"({"metadata":{"name":"s"}})", R"({"metadata":{"name":"s"},"subsets":null})"})
    EXPECT_EQ(row("v1", "Endpoints", empty), R"(["s","<none>","5m"])");
  EXPECT_EQ(row("discovery.k8s.io/v1", "EndpointSlice", R"({"metadata":{"name":"s"},"addressType":"IPv4","endpoints":null})"),
            R"(["s","IPv4","<unset>","<unset>","5m"])");
}

TEST(Table, NodesEventsAndTheRest) {
  EXPECT_EQ(row("v1", "Node", R"({"metadata":{"name":"n","labels":{"node-role.kubernetes.io/worker":"","node-role.kubernetes.io/a":""}},
      "spec":{"unschedulable":true},"status":{"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"kubeletVersion":"v1"},
      "addresses":[{"type":"InternalIP","address":"10.1.1.1"}]}})"),
            R"(["n","Ready,SchedulingDisabled","a,worker","5m","v1","10.1.1.1","<none>","<unknown>","<unknown>","<unknown>"])");
  EXPECT_EQ(row("v1", "Event", R"({"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","name":"p"},"type":"Normal","reason":"R",
      "message":" hello\n","source":{"component":"c","host":"h"},"count":7,"lastTimestamp":"2019-12-20T00:00:00Z"})").find(R"("pod/p","","c, h","hello","<unknown>",7,"e"])") != std::string::npos, true);
  EXPECT_EQ(row("v1", "Secret", R"({"metadata":{"name":"x"},"type":"Opaque","data":{"a":"","b":""}})"), R"(["x","Opaque",2,"5m"])");
  EXPECT_EQ(row("v1", "Namespace", R"({"metadata":{"name":"x"},"status":{"phase":"Active"}})"), R"(["x","Active","5m"])");
  EXPECT_EQ(row("v1", "ServiceAccount", R"({"metadata":{"name":"x"}})"), R"(["x",0,"5m"])");
  EXPECT_EQ(row("coordination.k8s.io/v1", "Lease", R"({"metadata":{"name":"x"},"spec":{"holderIdentity":"me"}})"), R"(["x","me","5m"])");
}

TEST(Table, EveryKindPrintsAnObjectOfNothing) {
  for (const auto& kind : builtin_kinds().all())
    for (const char* text : {"{}", R"({"metadata":null,"spec":[],"status":7})"}) {
      JsonObject out = table_row(*kind, parse_json(text).value(), kNow);
      EXPECT_EQ(out["cells"].get_array().size(), table_columns(*kind).size()) << kind->kind;
    }
}

}  // namespace
}  // namespace rs::api
