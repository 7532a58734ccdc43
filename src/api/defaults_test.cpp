// Expected values: reference section A17; what `kubectl get -o yaml` shows of the same objects on a 1.32 server.
#include "api/defaults.h"

#include <gtest/gtest.h>

#include "api/codec.h"
#include "api/meta.h"

namespace rs::api {
namespace {

// Decoded and defaulted twice, which must be the same.
Json defaulted(std::string_view group, std::string_view version, std::string_view name, std::string_view body) {
  const Kind* kind = known_kinds().by_kind(group, version, name);
  EXPECT_NE(kind, nullptr);
  auto decoded = decode_object(MediaType::kJson, body, kind, FieldValidation::kStrict);
  EXPECT_TRUE(decoded) << to_string(decoded.error());
  Json object = std::move(decoded->object);
  apply_defaults(*kind, object);
  Json again = object;
  apply_defaults(*kind, again);
  EXPECT_EQ(again, object) << name;
  auto normal = normalise(object, *kind, FieldValidation::kStrict);
  EXPECT_TRUE(normal) << to_string(normal.error());
  EXPECT_EQ(encode_canonical(normal->object), encode_canonical(object)) << "defaults must be in normal form";
  return object;
}

TEST(Defaults, Pod) {
  Json pod = defaulted("", "v1", "Pod", R"({"metadata":{"name":"a"},"spec":{"hostNetwork":true,"serviceAccountName":"s",
      "volumes":[{"name":"e"},{"name":"s","secret":{"secretName":"x"}},{"name":"h","hostPath":{"path":"/"}},
                 {"name":"p","projected":{"sources":[{"serviceAccountToken":{"path":"t"}}]}}],
      "containers":[{"name":"c","image":"a/b:5000/c","resources":{"limits":{"cpu":"1"}},"ports":[{"containerPort":80}],
        "env":[{"name":"N","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],
        "readinessProbe":{"httpGet":{"port":80}},"livenessProbe":{"grpc":{"port":1}}},
        {"name":"d","image":"x:1.2"},{"name":"e","image":"x@sha256:0"}]}})");
  EXPECT_EQ(str(pod, "spec", "restartPolicy"), "Always");
  EXPECT_EQ(str(pod, "spec", "dnsPolicy"), "ClusterFirst");
  EXPECT_EQ(str(pod, "spec", "serviceAccount"), "s");
  EXPECT_EQ(integer(pod, "spec", "terminationGracePeriodSeconds"), 30);
  EXPECT_TRUE(boolean(pod, "spec", "enableServiceLinks"));
  EXPECT_EQ(encode_canonical(Json(JsonObject{{"x", array(pod, "spec", "containers")[0]}})).substr(41),
            R"("x":{"env":[{"name":"N","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}}],)"
            R"("image":"a/b:5000/c","imagePullPolicy":"Always","livenessProbe":{"failureThreshold":3,"grpc":{"port":1,"service":""},)"
            R"("periodSeconds":10,"successThreshold":1,"timeoutSeconds":1},"name":"c","ports":[{"containerPort":80,)"
            R"("hostPort":80,"protocol":"TCP"}],"readinessProbe":{"failureThreshold":3,"httpGet":{"path":"/","port":80,)"
            R"("scheme":"HTTP"},"periodSeconds":10,"successThreshold":1,"timeoutSeconds":1},"resources":{"limits":{"cpu":"1"},)"
            R"("requests":{"cpu":"1"}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}})");
  EXPECT_EQ(str(array(pod, "spec", "containers")[1], "imagePullPolicy"), "IfNotPresent");
  EXPECT_EQ(str(array(pod, "spec", "containers")[2], "imagePullPolicy"), "IfNotPresent");
  EXPECT_EQ(to_text(pod.at("spec").at("volumes")),
            R"([{"name":"e","emptyDir":{}},{"name":"s","secret":{"secretName":"x","defaultMode":420}},)"
            R"({"name":"h","hostPath":{"path":"/","type":""}},)"
            R"({"name":"p","projected":{"sources":[{"serviceAccountToken":{"path":"t","expirationSeconds":3600}}],"defaultMode":420}}])");
}

TEST(Defaults, TemplatesGetNoneOfThePodsOwn) {
  Json deployment = defaulted("apps", "v1", "Deployment", R"({"spec":{"selector":{"matchLabels":{"a":"b"}},
      "template":{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"1"}}}]}}}})");
  EXPECT_EQ(integer(deployment, "spec", "replicas"), 1);
  EXPECT_EQ(to_text(deployment.at("spec").at("strategy")),
            R"({"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}})");
  EXPECT_EQ(integer(deployment, "spec", "revisionHistoryLimit"), 10);
  EXPECT_EQ(integer(deployment, "spec", "progressDeadlineSeconds"), 600);
  EXPECT_EQ(str(deployment, "spec", "template", "spec", "schedulerName"), "default-scheduler");
  EXPECT_EQ(find(deployment, "spec", "template", "spec", "enableServiceLinks"), nullptr);
  const Json& container = array(deployment, "spec", "template", "spec", "containers")[0];
  EXPECT_EQ(find(container, "resources", "requests"), nullptr);
  Json zero = defaulted("apps", "v1", "Deployment", R"({"spec":{"replicas":0,"strategy":{"type":"Recreate"}}})");
  EXPECT_EQ(integer_or(zero, 7, "spec", "replicas"), 0);
  EXPECT_EQ(find(zero, "spec", "strategy", "rollingUpdate"), nullptr);
}

TEST(Defaults, Services) {
  Json service = defaulted("", "v1", "Service", R"({"spec":{"ports":[{"port":80},{"port":81,"targetPort":"web"}]}})");
  EXPECT_EQ(to_text(service.at("spec").at("ports")),
            R"([{"port":80,"protocol":"TCP","targetPort":80},{"port":81,"targetPort":"web","protocol":"TCP"}])");
  EXPECT_EQ(str(service, "spec", "type"), "ClusterIP");
  EXPECT_EQ(str(service, "spec", "sessionAffinity"), "None");
  EXPECT_EQ(str(service, "spec", "internalTrafficPolicy"), "Cluster");
  EXPECT_EQ(find(service, "spec", "externalTrafficPolicy"), nullptr);
  Json balanced = defaulted("", "v1", "Service", R"({"spec":{"type":"LoadBalancer","sessionAffinity":"ClientIP"}})");
  EXPECT_EQ(str(balanced, "spec", "externalTrafficPolicy"), "Cluster");
  EXPECT_TRUE(boolean(balanced, "spec", "allocateLoadBalancerNodePorts"));
  EXPECT_EQ(integer(balanced, "spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"), 10800);
  Json external = defaulted("", "v1", "Service", R"({"spec":{"type":"ExternalName","externalName":"x.y"}})");
  EXPECT_EQ(find(external, "spec", "internalTrafficPolicy"), nullptr);
  EXPECT_EQ(find(external, "spec", "ipFamilies"), nullptr);
}

TEST(Defaults, OtherKinds) {
  Json job = defaulted("batch", "v1", "Job", R"({"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}})");
  EXPECT_EQ(integer(job, "spec", "completions"), 1);
  EXPECT_EQ(integer(job, "spec", "backoffLimit"), 6);
  EXPECT_EQ(str(job, "metadata", "labels", "a"), "b");
  Json queue = defaulted("batch", "v1", "Job", R"({"spec":{"parallelism":3}})");
  EXPECT_EQ(find(queue, "spec", "completions"), nullptr);
  Json secret = defaulted("", "v1", "Secret", R"({"stringData":{"a":"hello"},"data":{"b":"Yg=="}})");
  EXPECT_EQ(str(secret, "type"), "Opaque");
  EXPECT_EQ(str(secret, "data", "a"), "aGVsbG8=");
  EXPECT_EQ(find(secret, "stringData"), nullptr);
  Json ns = defaulted("", "v1", "Namespace", R"({"metadata":{"name":"n"}})");
  EXPECT_EQ(str(ns, "status", "phase"), "Active");
  EXPECT_EQ(str(ns, "metadata", "labels", "kubernetes.io/metadata.name"), "n");
  Json binding = defaulted("rbac.authorization.k8s.io", "v1", "RoleBinding",
                           R"({"roleRef":{"kind":"Role","name":"r"},"subjects":[{"kind":"User","name":"u"},{"kind":"ServiceAccount","name":"s"}]})");
  EXPECT_EQ(str(binding, "roleRef", "apiGroup"), "rbac.authorization.k8s.io");
  EXPECT_EQ(find(array(binding, "subjects")[1], "apiGroup"), nullptr);
  for (const auto& kind : known_kinds().all()) defaulted(kind->group, kind->version, kind->kind, "{}");
}

TEST(Meta, Quantities) {
  EXPECT_EQ(quantity_milli("100m").value(), 100);
  EXPECT_EQ(quantity_milli("1.5").value(), 1500);
  EXPECT_EQ(quantity_milli("1u").value(), 1);
  EXPECT_EQ(quantity_value("1.5Gi").value(), 1610612736);
  EXPECT_EQ(quantity_value("100m").value(), 1);
  EXPECT_EQ(quantity_milli("9Ei").value(), INT64_MAX);
  EXPECT_EQ(quantity_value("one").error().code, Code::kInvalid);
  EXPECT_EQ(format_bytes_quantity(64 << 20), "64Mi");
  EXPECT_EQ(format_bytes_quantity(1000), "1k");
  EXPECT_EQ(format_milli_quantity(2000), "2");
  EXPECT_EQ(format_milli_quantity(250), "250m");
}

TEST(Meta, SemanticEquality) {
  auto equal = [](std::string_view a, std::string_view b) {
    return semantically_equal(parse_json(a).value(), parse_json(b).value());
  };
  EXPECT_TRUE(equal(R"({"a":null,"b":[],"c":{"d":""}})", "{}"));
  EXPECT_TRUE(equal(R"({"requests":{"cpu":"1"}})", R"({"requests":{"cpu":"1000m"}})"));
  EXPECT_FALSE(equal(R"({"labels":{"cpu":"1"}})", R"({"labels":{"cpu":"1000m"}})"));
  EXPECT_FALSE(equal(R"({"a":0})", "{}"));
  EXPECT_FALSE(equal(R"({"a":[1]})", R"({"a":[1,2]})"));
}

TEST(Meta, IntOrPercent) {
  Json quarter = "25%", three = 3, bad = "3", worse = "x%";
  EXPECT_EQ(scaled_int_or_percent(&quarter, 10, true).value(), 3);
  EXPECT_EQ(scaled_int_or_percent(&quarter, 10, false).value(), 2);
  EXPECT_EQ(scaled_int_or_percent(&three, 10, false).value(), 3);
  EXPECT_FALSE(scaled_int_or_percent(&bad, 10, false));
  EXPECT_FALSE(scaled_int_or_percent(&worse, 10, false));
  EXPECT_FALSE(scaled_int_or_percent(nullptr, 10, false));
}

// apimachinery pkg/util/duration/duration_test.go
TEST(Meta, HumanDuration) {
  using namespace std::chrono;
  for (auto [duration, expected] : std::vector<std::pair<Duration, std::string_view>>{
           {seconds(-2), "<invalid>"}, {milliseconds(-500), "0s"}, {seconds(1), "1s"}, {seconds(119), "119s"},
           {seconds(120), "2m"}, {seconds(130), "2m10s"}, {minutes(10) + seconds(5), "10m"}, {minutes(179), "179m"},
           {hours(3), "3h"}, {hours(3) + minutes(12), "3h12m"}, {hours(8) + minutes(1), "8h"}, {hours(47), "47h"},
           {hours(48), "2d"}, {hours(50), "2d2h"}, {hours(24 * 8), "8d"}, {hours(24 * 729), "729d"},
           {hours(24 * 731), "2y1d"}, {hours(24 * 365 * 9), "9y"}})
    EXPECT_EQ(human_duration(duration), expected);
}

TEST(Meta, Conditions) {
  Json object = JsonObject{};
  WallTime now{std::chrono::seconds(1'700'000'000)};
  EXPECT_TRUE(set_condition(object, "Ready", "True", "Up", "", now));
  EXPECT_FALSE(set_condition(object, "Ready", "True", "Up", "", now + std::chrono::seconds(5)));
  EXPECT_TRUE(set_condition(object, "Ready", "True", "Other", "m", now + std::chrono::seconds(5)));
  EXPECT_EQ(str(*condition(object, "Ready"), "lastTransitionTime"), "2023-11-14T22:13:20Z");
  EXPECT_TRUE(set_condition(object, "Ready", "False", "Down", "", now + std::chrono::seconds(5)));
  EXPECT_EQ(str(*condition(object, "Ready"), "lastTransitionTime"), "2023-11-14T22:13:25Z");
  EXPECT_FALSE(condition_is_true(object, "Ready"));
  EXPECT_TRUE(remove_condition(object, "Ready"));
  EXPECT_FALSE(remove_condition(object, "Ready"));
}

}  // namespace
}  // namespace rs::api
