#include "base/json.h"

#include <gtest/gtest.h>

namespace rs {
namespace {

TEST(Json, NullMissingWrongTypeAndEmptyReadAlike) {
  for (const char* text : {"{}", "{\"subsets\":null}", "{\"subsets\":[]}", "{\"subsets\":7}", "[]", "null"}) {
    Json value = parse_json(text).value();
    EXPECT_TRUE(array(value, "subsets").empty()) << text;
    EXPECT_EQ(str(value, "subsets", "name"), "") << text;
  }
}

TEST(Json, RefusesWhatIsNotOneValueWithinLimits) {
  EXPECT_FALSE(parse_json("").has_value());
  EXPECT_FALSE(parse_json("{\"a\":1} x").has_value());
  EXPECT_FALSE(parse_json(std::string(300, '[') + std::string(300, ']')).has_value());
  EXPECT_EQ(parse_json(std::string(100, ' '), {.bytes = 10}).error().code, Code::kRequestEntityTooLarge);
  EXPECT_TRUE(parse_json("{\"a\":1} \n").has_value());
}

TEST(Json, SetMakesTheWay) {
  Json value;
  set(value, "Running", "status", "phase");
  EXPECT_EQ(to_text(value), R"({"status":{"phase":"Running"}})");
  EXPECT_EQ(str(value, "status", "phase"), "Running");
}

TEST(Json, KeepsIntegersBeyondDoublePrecision) {
  EXPECT_EQ(integer(parse_json(R"({"a":9007199254740993})").value(), "a"), 9007199254740993);
}

}  // namespace
}  // namespace rs
