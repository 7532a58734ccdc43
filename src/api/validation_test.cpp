#include "api/validation.h"

#include <gtest/gtest.h>

#include "api/defaults.h"

namespace rs::api {
namespace {

const Kind& kind_of(std::string_view group_version, std::string_view name) {
  size_t slash = group_version.find('/');
  std::string_view group = slash == std::string_view::npos ? "" : group_version.substr(0, slash);
  return *builtin_kinds().by_kind(group, group_version.substr(slash + 1), name);
}

Json made(const Kind& kind, std::string_view text) {
  Json object = parse_json(text).value();
  if (kind.namespaced) set(object, "default", "metadata", "namespace");
  apply_defaults(kind, object);
  return object;
}

// "field: detail" of each error, one a line.
std::string lines(const std::vector<FieldError>& errors) {
  std::string out;
  for (const FieldError& error : errors) out += fmt::format("{}{}: {}", out.empty() ? "" : "\n", error.field, error.detail);
  return out;
}
std::string created(std::string_view group_version, std::string_view name, std::string_view text) {
  const Kind& kind = kind_of(group_version, name);
  return lines(validate_create(kind, made(kind, text)));
}
std::string updated(std::string_view group_version, std::string_view name, std::string_view old_text, std::string_view text) {
  const Kind& kind = kind_of(group_version, name);
  return lines(validate_update(kind, made(kind, text), made(kind, old_text)));
}
std::string pod(std::string_view spec) {
  return created("v1", "Pod", fmt::format(R"({{"metadata":{{"name":"p"}},"spec":{}}})", spec));
}
std::string container(std::string_view rest) {
  return pod(fmt::format(R"({{"containers":[{{"name":"c","image":"i"{}}}]}})", rest));
}

// All texts: Kubernetes 1.32, pkg/apis/*/validation and apimachinery util/validation.
TEST(Validation, GoodObjectsPass) {
  EXPECT_EQ(container(R"(,"ports":[{"containerPort":80,"name":"web"}],"env":[{"name":"A","value":"1"}],
      "readinessProbe":{"httpGet":{"port":"web"}},"resources":{"limits":{"cpu":"1"},"requests":{"cpu":"500m"}})"), "");
  EXPECT_EQ(created("v1", "Service", R"({"metadata":{"name":"s"},"spec":{"ports":[{"port":80}],"selector":{"a":"b"}}})"), "");
  EXPECT_EQ(created("apps/v1", "Deployment", R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},
      "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})"), "");
  for (const char* kind : {"ConfigMap", "Secret", "ServiceAccount", "Endpoints"})
    EXPECT_EQ(created("v1", kind, R"({"metadata":{"name":"x"}})"), "") << kind;
  for (const char* kind : {"Node", "Namespace"}) EXPECT_EQ(created("v1", kind, R"({"metadata":{"name":"x"}})"), "") << kind;
  EXPECT_EQ(created("rbac.authorization.k8s.io/v1", "ClusterRole", R"({"metadata":{"name":"system:a:b"}})"), "");
}

TEST(Validation, OfMetadata) {
  EXPECT_EQ(created("v1", "ConfigMap", R"({"metadata":{"name":"A_b"}})"),
            "metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
            "characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
            "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')");
  EXPECT_EQ(created("v1", "ConfigMap", R"({"metadata":{}})"), "metadata.name: Required value: name or generateName is required");
  EXPECT_TRUE(created("v1", "ConfigMap", R"({"metadata":{"name":"a","labels":{"x":"-"}}})")
                  .starts_with("metadata.labels: Invalid value: \"-\": a valid label must be an empty string"));
  std::string big(300'000, 'x');
  EXPECT_EQ(created("v1", "ConfigMap", fmt::format(R"({{"metadata":{{"name":"a","annotations":{{"k":"{}"}}}}}})", big)),
            "metadata.annotations: Too long: may not be more than 262144 bytes");
  EXPECT_EQ(created("v1", "ConfigMap", R"({"metadata":{"name":"a","finalizers":["x"]}})"),
            "metadata.finalizers[0]: Invalid value: \"x\": name is neither a standard finalizer name nor is it fully qualified");
  EXPECT_EQ(created("v1", "ConfigMap", R"({"metadata":{"name":"a","ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p"}]}})"),
            "metadata.ownerReferences[0].uid: Invalid value: \"\": uid must not be empty");
}

TEST(Validation, MakesTheStatusThatClientsKnow) {
  const Kind& kind = kind_of("v1", "Service");
  Json service = made(kind, R"({"metadata":{"name":"Bad"},"spec":{"ports":[{"port":99999}]}})");
  Error error = invalid_error(kind, "Bad", validate_create(kind, service));
  EXPECT_EQ(error.code, Code::kInvalid);
  EXPECT_EQ(error.message,
            "Service \"Bad\" is invalid: [metadata.name: Invalid value: \"Bad\": a DNS-1035 label must consist of lower case "
            "alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. "
            "'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?'), spec.ports[0].port: Invalid "
            "value: 99999: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: Invalid value: 99999: must be "
            "between 1 and 65535, inclusive]");
  ASSERT_EQ(error.details->causes.size(), 3u);
  EXPECT_EQ(error.details->causes[1].reason, "FieldValueInvalid");
  EXPECT_EQ(error.details->causes[1].field, "spec.ports[0].port");
  EXPECT_EQ(error.details->kind, "Service");
  EXPECT_EQ(invalid_error(kind_of("apps/v1", "Deployment"), "d", {{FieldError::Type::kRequired, "spec.selector", "Required value"}}).message,
            "Deployment.apps \"d\" is invalid: spec.selector: Required value");
}

TEST(Validation, OfContainers) {
  EXPECT_EQ(pod(R"({})"), "spec.containers: Required value");
  EXPECT_EQ(pod(R"({"containers":[{"name":"a","image":"i"},{"name":"a"}]})"),
            "spec.containers[1].image: Required value\nspec.containers[1].name: Duplicate value: \"a\"");
  EXPECT_EQ(container(R"(,"ports":[{"containerPort":0},{"containerPort":70000,"protocol":"tcp"}])"),
            "spec.containers[0].ports[0].containerPort: Required value\n"
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive\n"
            "spec.containers[0].ports[1].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"");
  EXPECT_EQ(container(R"(,"volumeMounts":[{"name":"v","mountPath":"/a"}])"),
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"");
  EXPECT_EQ(container(R"(,"livenessProbe":{"successThreshold":2})"),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type\n"
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1");
  EXPECT_EQ(container(R"(,"resources":{"limits":{"cpu":"1"},"requests":{"cpu":"2"}})"),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1");
  EXPECT_EQ(container(R"(,"env":[{"name":"A","valueFrom":{}},{"name":"a=b"}])"),
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, "
            "`configMapKeyRef` or `secretKeyRef`\n"
            "spec.containers[0].env[1].name: Invalid value: \"a=b\": a valid environment variable name must consist only of "
            "printable ASCII characters other than '='");
}

TEST(Validation, OfVolumesAndPlacement) {
  constexpr std::string_view kContainer = R"("containers":[{"name":"c","image":"i"}])";
  EXPECT_EQ(pod(fmt::format(R"({{{},"volumes":[{{"name":"v","hostPath":{{"path":"/a/../b"}}}},{{"name":"v","secret":{{}}}}]}})", kContainer)),
            "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'\n"
            "spec.volumes[1].name: Duplicate value: \"v\"\n"
            "spec.volumes[1].secret.secretName: Required value");
  EXPECT_EQ(pod(fmt::format(R"({{{},"tolerations":[{{"operator":"Equal"}}],"restartPolicy":"Sometimes"}})", kContainer)),
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"\n"
            "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means "
            "\"match all values and all keys\"");
}

TEST(Validation, PodsAreMostlyImmutable) {
  constexpr std::string_view kPod = R"({{"metadata":{{"name":"p"}},"spec":{{"nodeName":"{}","containers":[{{"name":"c","image":"{}","command":["{}"]}}]}}}})";
  auto change = [&](std::string_view node, std::string_view image, std::string_view command) {
    return updated("v1", "Pod", fmt::format(kPod, "n", "i", "x"), fmt::format(kPod, node, image, command));
  };
  EXPECT_EQ(change("n", "j", "x"), "");
  EXPECT_TRUE(change("n", "i", "y").starts_with("spec: Forbidden: pod updates may not change fields other than "
                                                "`spec.containers[*].image`,`spec.initContainers[*].image`,"));
  EXPECT_TRUE(change("m", "i", "x").ends_with("changed: spec.nodeName"));
}

TEST(Validation, ImmutableFields) {
  constexpr std::string_view kDeployment = R"({{"metadata":{{"name":"d"}},"spec":{{"selector":{{"matchLabels":{{"app":"{0}"}}}},
      "template":{{"metadata":{{"labels":{{"app":"{0}"}}}},"spec":{{"containers":[{{"name":"c","image":"i"}}]}}}}}}}})";
  EXPECT_EQ(updated("apps/v1", "Deployment", fmt::format(kDeployment, "a"), fmt::format(kDeployment, "b")),
            "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"app\":\"b\"}, "
            "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable");
  EXPECT_EQ(updated("v1", "Service", R"({"metadata":{"name":"s"},"spec":{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],"ports":[{"port":1}]}})",
                    R"({"metadata":{"name":"s"},"spec":{"clusterIP":"10.0.0.2","clusterIPs":["10.0.0.2"],"ports":[{"port":1}]}})"),
            "spec.clusterIPs[0]: Invalid value: []string{\"10.0.0.2\"}: may not change once set");
  EXPECT_EQ(updated("v1", "Secret", R"({"metadata":{"name":"s"},"type":"Opaque"})", R"({"metadata":{"name":"s"},"type":"x/y"})"),
            "type: Invalid value: \"x/y\": field is immutable");
  EXPECT_EQ(updated("v1", "ConfigMap", R"({"metadata":{"name":"s"},"immutable":true,"data":{"a":"1"}})",
                    R"({"metadata":{"name":"s"},"immutable":true,"data":{"a":"2"}})"),
            "data: Forbidden: field is immutable when `immutable` is set");
}

TEST(Validation, OfWorkloads) {
  EXPECT_EQ(created("apps/v1", "Deployment", R"({"metadata":{"name":"d"},"spec":{"replicas":-1,"selector":{"matchLabels":{"a":"b"}},
      "strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":0}},
      "template":{"metadata":{"labels":{"a":"c"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})"),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0\n"
            "spec.template.metadata.labels: Invalid value: map[string]string{\"a\":\"c\"}: `selector` does not match template `labels`\n"
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0");
  std::string job = created("batch/v1", "Job", R"({"metadata":{"name":"j"},"spec":{"selector":{"matchLabels":{"a":"b"}},
      "template":{"metadata":{"labels":{"a":"b"}},"spec":{"restartPolicy":"Always","containers":[{"name":"c","image":"i"}]}}}})");
  EXPECT_EQ(job, "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"");
  EXPECT_EQ(created("policy/v1", "PodDisruptionBudget", R"({"metadata":{"name":"b"},"spec":{"minAvailable":"101%"}})"),
            "spec.minAvailable: Invalid value: \"101%\": must not be greater than 100%");
}

TEST(Validation, SurvivesObjectsOfNonsense) {
  for (const auto& kind : builtin_kinds().all())
    for (const char* text : {"{}", R"({"metadata":[],"spec":7})", R"({"spec":{"containers":[null,7,{}],"ports":{},"volumes":[[]],
        "template":[],"selector":"x","tolerations":[1]},"subsets":[null],"endpoints":[3],"data":{"a":1}})"}) {
      Json object = parse_json(text).value();
      EXPECT_FALSE(kind->stored && validate_create(*kind, object).empty()) << kind->kind;
      validate_update(*kind, object, object);
      validate_status_update(*kind, object, parse_json("{}").value());
    }
}

}  // namespace
}  // namespace rs::api
