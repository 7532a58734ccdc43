// Which keys permissions cover together. Expected values: the rules of etcd's
// server/auth/range_perm_cache.go.
#include "store/auth/access.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace rs::store::auth {
namespace {

const std::string kOpen(1, '\0');

KeyRanges ranges(std::initializer_list<std::pair<std::string, std::string>> parts) {
  KeyRanges out;
  for (const auto& [key, end] : parts) out.add(key, end);
  out.merge();
  return out;
}

TEST(KeyRanges, AKeyAloneIsOnlyThatKey) {
  auto set = ranges({{"b", ""}});
  EXPECT_TRUE(set.covers("b", ""));
  EXPECT_FALSE(set.covers("a", ""));
  EXPECT_FALSE(set.covers("ba", ""));
  EXPECT_FALSE(set.covers("b", "c"));
  EXPECT_FALSE(set.covers("b", kOpen));
  EXPECT_TRUE(set.covers("b", std::string("b\0", 2)));  // the same key, as a range
}

TEST(KeyRanges, ARangeEndsBeforeItsEnd) {
  auto set = ranges({{"a", "c"}});
  EXPECT_TRUE(set.covers("a", "c"));
  EXPECT_TRUE(set.covers("azzz", ""));
  EXPECT_FALSE(set.covers("c", ""));
  EXPECT_FALSE(set.covers("a", "d"));
  EXPECT_FALSE(set.covers("a", kOpen));
}

TEST(KeyRanges, NeighboursAndOverlapsCoverTogether) {
  auto set = ranges({{"c", "e"}, {"a", "b"}, {"b", "c"}, {"d", "f"}, {"x", "z"}});
  EXPECT_EQ(set.size(), 2u);
  EXPECT_TRUE(set.covers("a", "f"));
  EXPECT_FALSE(set.covers("a", "g"));
  EXPECT_FALSE(set.covers("e", "y"));  // a gap
  EXPECT_TRUE(set.covers("y", ""));
}

TEST(KeyRanges, AKeyAndTheRangeAfterItCoverTogether) {
  auto set = ranges({{"a", ""}, {std::string("a\0", 2), "b"}});
  EXPECT_EQ(set.size(), 1u);
  EXPECT_TRUE(set.covers("a", "b"));
}

TEST(KeyRanges, AnOpenRangeHoldsEverythingAfter) {
  auto set = ranges({{"m", kOpen}, {"p", "q"}, {"a", "b"}});
  EXPECT_EQ(set.size(), 2u);
  EXPECT_TRUE(set.covers("m", kOpen));
  EXPECT_TRUE(set.covers("z", ""));
  EXPECT_TRUE(set.covers("\xff\xff", kOpen));
  EXPECT_FALSE(set.covers("l", ""));
  EXPECT_TRUE(ranges({{kOpen, kOpen}}).covers(kOpen, kOpen));
  // A range that an open one reaches into.
  EXPECT_TRUE(ranges({{"a", "n"}, {"m", kOpen}}).covers("b", kOpen));
}

TEST(KeyRanges, AnInvertedRangeGrantsNothing) {
  auto set = ranges({{"z", "a"}, {"b", "b"}});
  EXPECT_EQ(set.size(), 0u);
  EXPECT_FALSE(set.covers("z", ""));
  EXPECT_FALSE(set.covers("b", ""));
}

// Against the definition: every key of the asked range is in some part. Keys are single letters, so
// all can be tried.
TEST(KeyRanges, AgreesWithTryingEveryKey) {
  Random random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::pair<char, char>> parts;  // [first, last]
    KeyRanges set;
    for (uint64_t i = 0, n = random.below(6); i < n; ++i) {
      char first = char('a' + random.below(8)), end = char('a' + random.below(9));
      if (first >= end) continue;
      parts.emplace_back(first, char(end - 1));
      set.add(std::string(1, first), std::string(1, end));
    }
    set.merge();
    for (char begin = 'a'; begin < 'i'; ++begin) {
      for (char end = char(begin + 1); end <= 'i'; ++end) {
        bool expected = true;
        for (char key = begin; key < end; ++key) {
          expected = expected && std::any_of(parts.begin(), parts.end(), [&](const auto& p) {
                       return p.first <= key && key <= p.second;
                     });
        }
        EXPECT_EQ(set.covers(std::string(1, begin), std::string(1, end)), expected) << begin << end;
      }
    }
  }
}

TEST(Access, RolesAddUpByTypeOfPermission) {
  State state;
  state.roles["r1"] = {"r1",
                       {{Permission::Type::kRead, "a", "b"}, {Permission::Type::kWrite, "w", ""}}};
  state.roles["r2"] = {"r2", {{Permission::Type::kReadWrite, "b", "c"}}};
  Access access = access_of(state, User{"u", "", {"gone", "r1", "r2"}});
  EXPECT_FALSE(access.root);
  EXPECT_TRUE(access.read.covers("a", "c"));
  EXPECT_FALSE(access.write.covers("a", "c"));
  EXPECT_TRUE(access.write.covers("b", "c"));
  EXPECT_TRUE(access.write.covers("w", ""));
  EXPECT_FALSE(access.read.covers("w", ""));
  EXPECT_TRUE(access_of(state, User{"u", "", {"root"}}).root);
}

}  // namespace
}  // namespace rs::store::auth
