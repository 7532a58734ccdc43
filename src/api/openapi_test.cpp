// Expected: what kubectl reads (reference section A5; kubectl pkg/cmd/apply/patcher.go, pkg/explain/v2).
#include "api/openapi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/codec.h"

namespace rs::api {
namespace {

using ::testing::HasSubstr;

TEST(OpenApi, SaysWhatApplyAndCreateAskFor) {
  Json document = openapi_v3(builtin_kinds(), "apps", "v1");
  const Json* patch = find(document, "paths", "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "patch");
  ASSERT_NE(patch, nullptr);
  EXPECT_EQ(to_text(patch->at("x-kubernetes-group-version-kind")), R"({"group":"apps","version":"v1","kind":"Deployment"})");
  EXPECT_NE(find(*patch, "requestBody", "content", "application/strategic-merge-patch+json"), nullptr);
  bool has_validation = false;
  for (const Json& parameter : array(*patch, "parameters"))
    has_validation |= str(parameter, "name") == "fieldValidation" && str(parameter, "in") == "query";
  EXPECT_TRUE(has_validation);
  const Json* scale = find(document, "paths", "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale", "get");
  ASSERT_NE(scale, nullptr);
  EXPECT_EQ(str(*scale, "x-kubernetes-group-version-kind", "kind"), "Scale");
  const Json* containers = find(document, "components", "schemas", "io.k8s.api.core.v1.PodSpec", "properties", "containers");
  ASSERT_NE(containers, nullptr);
  EXPECT_EQ(str(*containers, "x-kubernetes-patch-merge-key"), "name");
  EXPECT_EQ(str(*containers, "x-kubernetes-patch-strategy"), "merge");
  EXPECT_EQ(str(*containers, "x-kubernetes-list-type"), "map");
  EXPECT_EQ(to_text(containers->at("items")), R"({"default":{},"allOf":[{"$ref":"#/components/schemas/io.k8s.api.core.v1.Container"}]})");
  const Json* deployment = find(document, "components", "schemas", "io.k8s.api.apps.v1.Deployment");
  ASSERT_NE(deployment, nullptr);
  EXPECT_EQ(to_text(deployment->at("x-kubernetes-group-version-kind")), R"([{"group":"apps","version":"v1","kind":"Deployment"}])");
}

TEST(OpenApi, ExplainsMainFields) {
  Json document = openapi_v3(builtin_kinds(), "", "v1");
  auto text = [&](std::string_view type, std::string_view field) {
    return std::string(str(document, "components", "schemas", type, "properties", field, "description"));
  };
  EXPECT_THAT(text("io.k8s.api.core.v1.PodSpec", "restartPolicy"), HasSubstr("Always"));
  EXPECT_THAT(text("io.k8s.api.core.v1.Pod", "spec"), HasSubstr("wanted"));
  EXPECT_THAT(text("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "labels"), HasSubstr("select"));
  EXPECT_EQ(text("io.k8s.api.core.v1.PodCondition", "status"), "");
  EXPECT_NE(find(document, "paths", "/api/v1/namespaces/{namespace}/pods", "get"), nullptr);
  EXPECT_NE(find(document, "paths", "/api/v1/namespaces/{name}", "patch"), nullptr);
  const Json* policy = find(document, "components", "schemas", "io.k8s.api.core.v1.PodSpec", "properties", "restartPolicy");
  EXPECT_EQ(to_text(policy->at("enum")), R"(["Always","OnFailure","Never"])");
}

void check_references(const Json& value, const JsonObject& schemas) {
  if (value.is_array())
    for (const Json& item : value.get_array()) check_references(item, schemas);
  if (!value.is_object()) return;
  for (const auto& member : value.get_object()) {
    if (member.key() == "$ref" && member.value().is_string()) {
      std::string_view name = member.value().get_string();
      ASSERT_TRUE(name.starts_with("#/components/schemas/"));
      EXPECT_TRUE(schemas.contains(name.substr(21))) << name;
    }
    check_references(member.value(), schemas);
  }
}

TEST(OpenApi, EveryReferenceIsInItsDocument) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const auto& kind : known_kinds().all()) {
    if (!seen.emplace(kind->group, kind->version).second) continue;
    Json document = openapi_v3(known_kinds(), kind->group, kind->version);
    check_references(document, object(document, "components", "schemas"));
    EXPECT_LT(encode_canonical(document).size(), 3u << 20);
  }
}

}  // namespace
}  // namespace rs::api
