#include "api/patch.h"

#include <gtest/gtest.h>

namespace rs::api {
namespace {

Json json(std::string_view text) { return parse_json(text).value(); }

std::string patched(std::string_view object, std::string_view patch) {
  auto outcome = json_patch(json(object), json(patch));
  return outcome ? to_text(*outcome) : outcome.error().message;
}

// Expectations from RFC 6902, appendix A.
TEST(JsonPatch, DoesTheExamplesOfTheRfc) {
  EXPECT_EQ(patched(R"({"foo":"bar"})", R"([{"op":"add","path":"/baz","value":"qux"}])"), R"({"foo":"bar","baz":"qux"})");
  EXPECT_EQ(patched(R"({"foo":["bar","baz"]})", R"([{"op":"add","path":"/foo/1","value":"qux"}])"),
            R"({"foo":["bar","qux","baz"]})");
  EXPECT_EQ(patched(R"({"foo":["bar","qux","baz"]})", R"([{"op":"remove","path":"/foo/1"}])"), R"({"foo":["bar","baz"]})");
  EXPECT_EQ(patched(R"({"baz":"qux"})", R"([{"op":"replace","path":"/baz","value":"boo"}])"), R"({"baz":"boo"})");
  EXPECT_EQ(patched(R"({"foo":["all","grass","cows","eat"]})", R"([{"op":"move","from":"/foo/1","path":"/foo/3"}])"),
            R"({"foo":["all","cows","eat","grass"]})");
  EXPECT_EQ(patched(R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/c"}])"), R"({"a":{"b":1},"c":{"b":1}})");
  EXPECT_EQ(patched(R"({"foo":["bar"]})", R"([{"op":"add","path":"/foo/-","value":["abc","def"]}])"),
            R"({"foo":["bar",["abc","def"]]})");
  EXPECT_EQ(patched(R"({"/":9,"~1":10})", R"([{"op":"test","path":"/~01","value":10}])"), R"({"/":9,"~1":10})");
}

TEST(JsonPatch, RefusesWhatDoesNotApply) {
  for (const char* patch :
       {R"([{"op":"test","path":"/a","value":2}])", R"([{"op":"remove","path":"/b"}])", R"([{"op":"remove","path":""}])",
        R"([{"op":"replace","path":"/b","value":1}])", R"([{"op":"add","path":"/b/c","value":1}])",
        R"([{"op":"add","path":"/l/7","value":1}])", R"([{"op":"move","from":"/o","path":"/o/x"}])"}) {
    auto outcome = json_patch(json(R"({"a":1,"l":[],"o":{}})"), json(patch));
    ASSERT_FALSE(outcome.has_value()) << patch;
    EXPECT_EQ(outcome.error().code, Code::kInvalid) << patch;
  }
  for (const char* patch : {R"({})", R"([7])", R"([{"op":"add","path":"a","value":1}])", R"([{"op":"fly","path":"/a"}])",
                            R"([{"op":"add","path":"/a"}])", R"([{"op":"add","value":1}])"})
    EXPECT_EQ(json_patch(json(R"({"a":1})"), json(patch)).error().code, Code::kBadRequest) << patch;
}

TEST(JsonPatch, LimitsOperationsCopiesAndDepth) {
  JsonArray many(10'001, json(R"({"op":"test","path":"/a"})"));
  EXPECT_EQ(json_patch(json("{}"), many).error().code, Code::kRequestEntityTooLarge);
  JsonArray doubling;
  for (int i = 0; i < 100; ++i) doubling.push_back(json(fmt::format(R"({{"op":"copy","from":"","path":"/{}"}})", i)));
  EXPECT_EQ(json_patch(json(R"({"a":"0123456789"})"), doubling).error().code, Code::kInvalid);
  JsonArray deeper;
  std::string path;
  for (int i = 0; i < 100; ++i) {
    path += "/a";
    deeper.push_back(json(fmt::format(R"({{"op":"add","path":"{}","value":{}1{}}})", path, i == 99 ? std::string(200, '[') : "{\"b\":",
                                      i == 99 ? std::string(200, ']') : "}")));
  }
  EXPECT_EQ(json_patch(json("{}"), deeper).error().code, Code::kInvalid);
}

// RFC 7386, appendix A.
TEST(MergePatch, DoesTheExamplesOfTheRfc) {
  const char* rows[][3] = {{R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
                           {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
                           {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
                           {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
                           {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
                           {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
                           {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
                           {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
                           {R"({"a":"foo"})", R"("bar")", R"("bar")"}};
  for (auto& [object, patch, expected] : rows) EXPECT_EQ(merge_patch(json(object), json(patch)), json(expected)) << patch;
}

}  // namespace
}  // namespace rs::api
