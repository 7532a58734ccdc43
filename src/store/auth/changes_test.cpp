// Errors and effects: etcd server/auth/store.go; messages: reference etcd-api.md A.11.
#include "store/auth/changes.h"

#include <gtest/gtest.h>

namespace rs::store::auth {
namespace {

const std::string kOpen(1, '\0');

std::string why(const Result<void>& result) {
  return result ? "" : result.error().message;
}

State with_root() {
  State state;
  EXPECT_TRUE(add_user(state, {"root", "h"}));
  EXPECT_TRUE(grant_role(state, "root", "root"));
  EXPECT_TRUE(enable(state));
  return state;
}

TEST(AuthChanges, EnablingNeedsRootWithItsRole) {
  State state;
  EXPECT_EQ(why(enable(state)), "etcdserver: root user does not exist");
  EXPECT_TRUE(add_user(state, {"root", "h"}));
  EXPECT_EQ(why(enable(state)), "etcdserver: root user does not have root role");
  EXPECT_TRUE(grant_role(state, "root", "root"));  // the role root need not have been added
  uint64_t before = state.revision;
  EXPECT_TRUE(enable(state));
  EXPECT_TRUE(enable(state));
  EXPECT_EQ(state.revision, before);
  EXPECT_TRUE(disable(state));
  EXPECT_EQ(state.revision, before + 1);
  EXPECT_TRUE(disable(state));
  EXPECT_EQ(state.revision, before + 1);
}

TEST(AuthChanges, EachRaisesTheRevision) {
  State state;
  EXPECT_EQ(state.revision, 1u);
  EXPECT_TRUE(add_user(state, {"u", "h"}));
  EXPECT_TRUE(add_role(state, "r"));
  EXPECT_TRUE(grant_role(state, "u", "r"));
  EXPECT_TRUE(grant_permission(state, "r", {Permission::Type::kRead, "k", ""}));
  EXPECT_TRUE(set_password(state, "u", "h2"));
  EXPECT_EQ(state.revision, 6u);
  EXPECT_TRUE(grant_role(state, "u", "r"));  // had it
  EXPECT_EQ(state.revision, 6u);
  EXPECT_TRUE(revoke_permission(state, "r", "k", ""));
  EXPECT_TRUE(revoke_role(state, "u", "r"));
  EXPECT_TRUE(delete_role(state, "r"));
  EXPECT_TRUE(delete_user(state, "u"));
  EXPECT_EQ(state.revision, 10u);
}

TEST(AuthChanges, WhatIsMissingOrThereAlready) {
  State state;
  EXPECT_EQ(why(add_user(state, {""})), "etcdserver: user name is empty");
  EXPECT_EQ(why(add_role(state, "")), "etcdserver: role name is empty");
  EXPECT_TRUE(add_user(state, {"u"}));
  EXPECT_TRUE(add_role(state, "r"));
  State before = state;
  EXPECT_EQ(why(add_user(state, {"u"})), "etcdserver: user name already exists");
  EXPECT_EQ(why(add_role(state, "r")), "etcdserver: role name already exists");
  EXPECT_EQ(why(delete_user(state, "x")), "etcdserver: user name not found");
  EXPECT_EQ(why(delete_role(state, "x")), "etcdserver: role name not found");
  EXPECT_EQ(why(set_password(state, "x", "h")), "etcdserver: user name not found");
  EXPECT_EQ(why(grant_role(state, "x", "r")), "etcdserver: user name not found");
  EXPECT_EQ(why(grant_role(state, "u", "x")), "etcdserver: role name not found");
  EXPECT_EQ(why(revoke_role(state, "u", "r")), "etcdserver: role is not granted to the user");
  EXPECT_EQ(why(grant_permission(state, "x", {Permission::Type::kRead, "k", ""})),
            "etcdserver: role name not found");
  EXPECT_EQ(why(revoke_permission(state, "r", "k", "")),
            "etcdserver: permission is not granted to the role");
  EXPECT_EQ(state, before);
}

TEST(AuthChanges, RootCannotBeLostWhileEnabled) {
  State state = with_root();
  EXPECT_TRUE(add_role(state, "root"));
  for (const auto& result :
       {delete_user(state, "root"), revoke_role(state, "root", "root"), delete_role(state, "root")})
    EXPECT_EQ(why(result), "etcdserver: invalid auth management");
  EXPECT_TRUE(disable(state));
  EXPECT_TRUE(delete_user(state, "root"));
}

TEST(AuthChanges, ADeletedRoleLeavesItsUsers) {
  State state;
  EXPECT_TRUE(add_role(state, "r"));
  EXPECT_TRUE(add_user(state, {"u"}));
  EXPECT_TRUE(grant_role(state, "u", "r"));
  EXPECT_TRUE(delete_role(state, "r"));
  EXPECT_TRUE(state.users.at("u").roles.empty());
}

TEST(AuthChanges, APermissionIsReplacedByItsRange) {
  State state;
  EXPECT_TRUE(add_role(state, "r"));
  EXPECT_TRUE(grant_permission(state, "r", {Permission::Type::kRead, "k", "l"}));
  EXPECT_TRUE(grant_permission(state, "r", {Permission::Type::kRead, "k", ""}));
  EXPECT_TRUE(grant_permission(state, "r", {Permission::Type::kWrite, "a", kOpen}));
  EXPECT_TRUE(grant_permission(state, "r", {Permission::Type::kReadWrite, "k", "l"}));
  std::vector<Permission> expected = {{Permission::Type::kWrite, "a", kOpen},
                                      {Permission::Type::kRead, "k", ""},
                                      {Permission::Type::kReadWrite, "k", "l"}};
  EXPECT_EQ(state.roles.at("r").permissions, expected);
}

TEST(AuthChanges, ARangeOfNothingIsRefused) {
  State state;
  EXPECT_TRUE(add_role(state, "r"));
  for (const auto& [key, end] : {std::pair{"", ""}, {"", "z"}, {"b", "a"}, {"b", "b"}})
    EXPECT_EQ(why(grant_permission(state, "r", {Permission::Type::kRead, key, end})),
              "etcdserver: invalid auth management");
}

TEST(AuthChanges, AUserMadeWithoutAPasswordGetsNone) {
  State state;
  EXPECT_TRUE(add_user(state, {.name = "u", .no_password = true}));
  EXPECT_TRUE(set_password(state, "u", "hash"));
  EXPECT_EQ(state.users.at("u").password_hash, "");
}

}  // namespace
}  // namespace rs::store::auth
