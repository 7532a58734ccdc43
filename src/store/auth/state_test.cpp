#include "store/auth/state.h"

#include <gtest/gtest.h>

namespace rs::store::auth {
namespace {

using namespace std::string_literals;

State example() {
  State state;
  state.enabled = true;
  state.revision = 7;
  state.users["root"] = {"root", "$2a$10$hash", {"root"}, false};
  state.users["cert"] = {"cert", "", {"a", "b"}, true};
  state.roles["a"] = {
      "a", {{Permission::Type::kReadWrite, "k", "\0"s}, {Permission::Type::kWrite, "z", ""}}};
  state.roles["root"] = {"root", {}};
  return state;
}

TEST(AuthState, SurvivesItsNote) {
  auto read = decode_state(encode(example()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, example());
}

// The bytes of authpb.User{Name: "u", Password: "p", Roles: ["r"], Options: {}} by the wire
// format's rules.
TEST(AuthState, WritesAUserAsEtcdDoes) {
  EXPECT_EQ(encode(User{"u", "p", {"r"}, false}), "\x0a\x01u\x12\x01p\x1a\x01r\x22\x00"s);
  EXPECT_EQ(encode(User{"u", "", {}, true}), "\x0a\x01u\x22\x02\x08\x01"s);
}

TEST(AuthState, WritesARoleAsEtcdDoes) {
  Role role{"r", {{Permission::Type::kReadWrite, "k", "\0"s}}};
  EXPECT_EQ(encode(role), "\x0a\x01r\x12\x08\x08\x02\x12\x01k\x1a\x01\x00"s);
}

TEST(AuthState, AUserOfAnOldEtcdHasNoOptions) {
  auto user = decode_user("\x0a\x01u\x1a\x01z\x1a\x01y"s);
  ASSERT_TRUE(user);
  EXPECT_EQ(*user, (User{"u", "", {"y", "z"}, false}));
}

TEST(AuthState, DamageIsDataLoss) {
  std::string note = encode(example());
  note.back() = char(0xff);
  note.push_back(char(0xff));
  auto read = decode_state(note);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::kDataLoss);
  EXPECT_FALSE(decode_state(""));
}

}  // namespace
}  // namespace rs::store::auth
