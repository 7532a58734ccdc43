#include "api/selector.h"

#include <gtest/gtest.h>

namespace rs::api {
namespace {

JsonObject labels(std::string_view text) { return parse_json(text).value().get_object(); }

std::string error_of(std::string_view text) {
  auto selector = LabelSelector::parse(text);
  return selector ? "" : selector.error().message;
}

// The grammar is apimachinery's labels.Parse; the expectations follow its documentation.
TEST(LabelSelector, MatchesAsKubernetesDocuments) {
  JsonObject web = labels(R"({"app":"web","tier":"front","n":"5","empty":""})");
  for (const char* text : {"", "app=web", "app==web", "app = web , tier=front", "app in (web,api)", "app notin (api)",
                           "app", "!missing", "missing!=x", "missing notin (a)", "n>4", "n<6", "empty=",
                           "app in (,web)", "empty in (a,)", "in!=x"})
    EXPECT_TRUE(LabelSelector::parse(text).value().matches(web)) << text;
  for (const char* text : {"app=api", "app!=web", "!app", "missing", "missing=x", "app in (api)", "app notin (web)", "n>5",
                           "n<5", "app>1", "app=web,tier=back"})
    EXPECT_FALSE(LabelSelector::parse(text).value().matches(web)) << text;
}

TEST(LabelSelector, SaysWhatItDidNotExpect) {
  EXPECT_EQ(error_of("a b"), "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
  EXPECT_EQ(error_of("a=b=c"), "found '=', expected: ',' or 'end of string'");
  EXPECT_EQ(error_of("a,"), "found '', expected: identifier after ','");
  EXPECT_EQ(error_of("=a"), "found '=', expected: !, identifier, or 'end of string'");
  EXPECT_EQ(error_of("a in x"), "unable to parse requirement: found 'x' expected: '('");
  EXPECT_EQ(error_of("a in ()"), "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, "
                                 "values set can't be empty");
  EXPECT_EQ(error_of("a=$").substr(0, 64), "unable to parse requirement: values[0][a]: Invalid value: \"$\": a");
  EXPECT_EQ(error_of("$=a").substr(0, 60), "unable to parse requirement: <nil>: Invalid value: \"$\": name");
  EXPECT_EQ(LabelSelector::parse("a b").error().code, Code::kBadRequest);
  EXPECT_NE(error_of(std::string(100'000, 'a')), "");
}

TEST(LabelSelector, HasACanonicalText) {
  EXPECT_EQ(LabelSelector::parse("z=1,a in (y,x),!q,b!=2,e,f notin (1,2)").value().text(),
            "a in (x,y),b!=2,e,f notin (1,2),!q,z=1");
}

TEST(LabelSelector, OfAnObjectMissingMatchesNothingEmptyMatchesAll) {
  EXPECT_FALSE(LabelSelector::from_json(nullptr).value().matches({}));
  EXPECT_TRUE(LabelSelector::from_json(nullptr).value().requirements().empty());
  Json empty = parse_json("{}").value();
  EXPECT_TRUE(LabelSelector::from_json(&empty).value().matches({}));
  Json both = parse_json(R"({"matchLabels":{"app":"web"},"matchExpressions":[
      {"key":"tier","operator":"In","values":["b","a"]},{"key":"x","operator":"DoesNotExist"}]})").value();
  LabelSelector selector = LabelSelector::from_json(&both).value();
  EXPECT_EQ(selector.text(), "app=web,tier in (a,b),!x");
  EXPECT_TRUE(selector.matches(labels(R"({"app":"web","tier":"a"})")));
  EXPECT_FALSE(selector.matches(labels(R"({"app":"web","tier":"a","x":"1"})")));
  Json bad = parse_json(R"({"matchExpressions":[{"key":"a","operator":"Near"}]})").value();
  EXPECT_EQ(LabelSelector::from_json(&bad).error().message, "\"Near\" is not a valid label selector operator");
}

Kind pods() {
  Kind kind;
  kind.version = "v1", kind.kind = "Pod";
  kind.selectable_fields = {"spec.nodeName", "status.phase", "spec.hostNetwork", "source"};
  return kind;
}

TEST(FieldSelector, ComparesTextFormsWithZeroForAbsent) {
  Json pod = parse_json(R"({"metadata":{"name":"a","namespace":"n"},"spec":{"nodeName":"n1"}})").value();
  for (const char* text : {"", "metadata.name=a", "spec.nodeName==n1,status.phase!=Running", "spec.hostNetwork=false",
                           "status.phase=", "metadata.namespace=n,"})
    EXPECT_TRUE(FieldSelector::parse(text, pods()).value().matches(pod)) << text;
  for (const char* text : {"metadata.name=b", "metadata.name!=a", "spec.hostNetwork=true", "status.phase=Running"})
    EXPECT_FALSE(FieldSelector::parse(text, pods()).value().matches(pod)) << text;
  FieldSelector selector = FieldSelector::parse("metadata.name=a\\,b,spec.nodeName!=x", pods()).value();
  ASSERT_NE(selector.required("metadata.name"), nullptr);
  EXPECT_EQ(*selector.required("metadata.name"), "a,b");
  EXPECT_EQ(selector.required("spec.nodeName"), nullptr);
}

TEST(FieldSelector, RefusesWhatTheKindCannotSelectBy) {
  EXPECT_EQ(FieldSelector::parse("spec.foo=1", pods()).error().message, "field label not supported: spec.foo");
  EXPECT_EQ(FieldSelector::parse("spec.foo=1", Kind{}).error().message,
            "\"spec.foo\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
  EXPECT_EQ(FieldSelector::parse("metadata.name", pods()).error().message,
            "invalid selector: 'metadata.name'; can't understand 'metadata.name'");
  EXPECT_EQ(FieldSelector::parse("metadata.name=a=b", pods()).error().message,
            "invalid field selector: unescaped character in value: =");
  EXPECT_EQ(FieldSelector::parse("metadata.name=a", pods()).value().empty(), false);
}

}  // namespace
}  // namespace rs::api
