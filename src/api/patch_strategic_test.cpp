#include <gtest/gtest.h>

#include "api/patch.h"

namespace rs::api {
namespace {

Json json(std::string_view text) { return parse_json(text).value(); }

std::string patched(std::string_view group, std::string_view kind, std::string_view object, std::string_view patch) {
  auto outcome = strategic_merge_patch(*builtin_kinds().by_kind(group, "v1", kind), json(object), json(patch));
  return outcome ? to_text(*outcome) : fmt::format("{}: {}", to_string(outcome.error().code), outcome.error().message);
}
std::string pod(std::string_view spec, std::string_view patch) {
  std::string out = patched("", "Pod", fmt::format(R"({{"spec":{}}})", spec), fmt::format(R"({{"spec":{}}})", patch));
  return out.starts_with("{\"spec\":") ? out.substr(8, out.size() - 9) : out;
}

// Expectations: apimachinery pkg/util/strategicpatch (rules of mergeMap and mergeSlice; patch_test.go).
TEST(StrategicPatch, MergesMapsAndDeletesWithNull) {
  EXPECT_EQ(patched("", "ConfigMap", R"({"data":{"a":"1","b":"2"}})", R"({"data":{"a":null,"c":"3","d":null}})"),
            R"({"data":{"b":"2","c":"3"}})");
  EXPECT_EQ(patched("", "ConfigMap", R"({})", R"({"data":{"c":"3","d":null}})"), R"({"data":{"c":"3"}})");
  EXPECT_EQ(patched("", "ConfigMap", R"({"data":{"a":"1"}})", R"({"data":{"$patch":"replace","z":"9"}})"), R"({"data":{"z":"9"}})");
  EXPECT_EQ(patched("", "ConfigMap", R"({"data":{"a":"1"}})", R"({"data":{"$patch":"delete"}})"), R"({"data":{}})");
}

TEST(StrategicPatch, MergesListsByKey) {
  EXPECT_EQ(pod(R"({"containers":[{"name":"a","image":"1"},{"name":"b","image":"2"}]})",
                R"({"containers":[{"name":"b","image":"3"}]})"),
            R"({"containers":[{"name":"a","image":"1"},{"name":"b","image":"3"}]})");
  // A new item without an order goes before what was there.
  EXPECT_EQ(pod(R"({"containers":[{"name":"a"}]})", R"({"containers":[{"name":"b"}]})"),
            R"({"containers":[{"name":"b"},{"name":"a"}]})");
  EXPECT_EQ(pod(R"({"containers":[{"name":"a"},{"name":"b"}]})", R"({"containers":[{"name":"a","$patch":"delete"}]})"),
            R"({"containers":[{"name":"b"}]})");
  EXPECT_EQ(pod(R"({"containers":[{"name":"a"},{"name":"b"}]})", R"({"containers":[{"$patch":"replace"},{"name":"c"}]})"),
            R"({"containers":[{"name":"c"}]})");
  EXPECT_EQ(pod(R"({"containers":[{"name":"a","env":[{"name":"X","value":"1"},{"name":"Y","value":"2"}],"ports":[{"containerPort":80}]}]})",
                R"({"containers":[{"name":"a","env":[{"name":"Y","value":"3"},{"name":"X","$patch":"delete"}],"ports":[{"containerPort":80,"name":"web"}]}]})"),
            R"({"containers":[{"name":"a","env":[{"name":"Y","value":"3"}],"ports":[{"containerPort":80,"name":"web"}]}]})");
}

TEST(StrategicPatch, ReplacesListsWithoutAMergeStrategy) {
  EXPECT_EQ(pod(R"({"tolerations":[{"key":"a"}],"containers":[{"name":"a","command":["x","y"]}]})",
                R"({"tolerations":[{"key":"b"}],"containers":[{"name":"a","command":["z"]}]})"),
            R"({"tolerations":[{"key":"b"}],"containers":[{"name":"a","command":["z"]}]})");
}

TEST(StrategicPatch, KeepsTheOrderThatIsAskedFor) {
  EXPECT_EQ(pod(R"({"containers":[{"name":"a"},{"name":"b"},{"name":"side"}]})",
                R"({"$setElementOrder/containers":[{"name":"b"},{"name":"a"},{"name":"n"}],"containers":[{"name":"n","image":"i"}]})"),
            R"({"containers":[{"name":"b"},{"name":"a"},{"name":"n","image":"i"},{"name":"side"}]})");
  EXPECT_EQ(pod(R"({"containers":[{"name":"a"},{"name":"b"}]})", R"({"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]})"),
            R"({"containers":[{"name":"b"},{"name":"a"}]})");
  EXPECT_TRUE(pod(R"({"containers":[{"name":"a"},{"name":"b"}]})",
                  R"({"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"a"},{"name":"b"}]})")
                  .starts_with("Invalid: "));
}

TEST(StrategicPatch, MergesSetsAndDeletesFromThem) {
  EXPECT_EQ(patched("", "Pod", R"({"metadata":{"finalizers":["a","b"]}})", R"({"metadata":{"finalizers":["c","a"]}})"),
            R"({"metadata":{"finalizers":["c","a","b"]}})");
  EXPECT_EQ(patched("", "Pod", R"({"metadata":{"finalizers":["a","b","c"]}})",
                    R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["b"],"$setElementOrder/finalizers":["c","a"]}})"),
            R"({"metadata":{"finalizers":["c","a"]}})");
}

TEST(StrategicPatch, RetainsOnlyNamedKeys) {
  EXPECT_EQ(patched("apps", "Deployment", R"({"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}})",
                    R"({"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}})"),
            R"({"spec":{"strategy":{"type":"Recreate"}}})");
  EXPECT_EQ(pod(R"({"volumes":[{"name":"v","emptyDir":{}}]})",
                R"({"volumes":[{"$retainKeys":["name","configMap"],"name":"v","configMap":{"name":"c"}}]})"),
            R"({"volumes":[{"name":"v","configMap":{"name":"c"}}]})");
  EXPECT_EQ(patched("apps", "Deployment", R"({"spec":{}})", R"({"spec":{"$retainKeys":["a"],"replicas":1}})"),
            "BadRequest: invalid patch format of retainKeys");
}

TEST(StrategicPatch, RefusesMalformedDirectives) {
  EXPECT_EQ(pod(R"({"containers":[{"name":"a"}]})", R"({"containers":[{"image":"x"}]})"),
            "Invalid: the server rejected our request due to an error in our request: map: {\"image\":\"x\"} does not contain "
            "declared merge key: name");
  EXPECT_TRUE(pod(R"({"containers":[{"name":"a"}]})", R"({"containers":[{"name":"a","$patch":"burn"}]})").starts_with("Invalid: "));
  EXPECT_TRUE(pod(R"({"containers":[{"name":"a"}]})", R"({"containers":["a"]})").starts_with("Invalid: "));
  EXPECT_TRUE(pod(R"({})", R"({"$patch":7})").starts_with("Invalid: "));
  EXPECT_TRUE(patched("", "Pod", "{}", "[]").starts_with("BadRequest: "));
  EXPECT_EQ(pod(R"({"containers":[{"name":"a"}]})", R"({"$setElementOrder/containers":{}})"),
            "BadRequest: invalid patch format of setElementOrder list");
}

// What kubectl set image and rollout restart send.
TEST(StrategicPatch, DoesWhatKubectlSends) {
  EXPECT_EQ(patched("apps", "Deployment",
                    R"({"spec":{"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"1","env":[{"name":"E"}]}]}}}})",
                    R"({"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"c"}],"containers":[{"image":"2","name":"c"}]}}}})"),
            R"({"spec":{"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"2","env":[{"name":"E"}]}]}}}})");
}

}  // namespace
}  // namespace rs::api
