// What callers may do, and the holes that etcd once had (each named by its advisory).
#include "store/auth/auth_store.h"

#include <gtest/gtest.h>

#include "store/auth/changes.h"

namespace rs::store::auth {
namespace {

using Type = Permission::Type;

const std::string kOpen(1, '\0');

class AuthStoreTest : public ::testing::Test {
 protected:
  AuthStoreTest() {
    State state;
    EXPECT_TRUE(add_user(state, {"root", "h"}));
    EXPECT_TRUE(grant_role(state, "root", "root"));
    EXPECT_TRUE(add_user(state, {"alice", "h"}));
    EXPECT_TRUE(add_role(state, "r"));
    EXPECT_TRUE(grant_role(state, "alice", "r"));
    EXPECT_TRUE(grant_permission(state, "r", {Type::kReadWrite, "a/", "a0"}));
    EXPECT_TRUE(grant_permission(state, "r", {Type::kRead, "one", ""}));
    EXPECT_TRUE(grant_permission(state, "r", {Type::kWrite, "w", ""}));
    EXPECT_TRUE(enable(state));
    install(state);
    alice_ = auth_.identity_of("alice");
    root_ = auth_.identity_of("root");
  }
  void install(State state) { auth_.install(std::make_shared<const State>(std::move(state))); }
  void change(const std::function<Result<void>(State&)>& change) {
    State state = auth_.state();
    EXPECT_TRUE(change(state));
    install(std::move(state));
  }
  template <class Request>
  std::string why(const Identity& who, const Request& request) {
    auto refused = auth_.check(who, request);
    return refused ? refused->message : "";
  }
  // Of Alice, in a transaction of one operation, as its success or failure branch, alone or nested.
  std::vector<std::string> in_txns(const Op& op) {
    TxnRequest success{.success = {op}}, failure{.failure = {op}};
    TxnRequest nested{.failure = {std::make_shared<const TxnRequest>(success)}};
    TxnRequest deep{.success = {std::make_shared<const TxnRequest>(nested)}};
    return {why(alice_, success), why(alice_, failure), why(alice_, nested), why(alice_, deep)};
  }

  SystemClock clock_;
  mvcc::Lessor lessor_;
  AuthStore auth_{make_simple_tokens(clock_, std::chrono::seconds(300), secure_bytes), lessor_};
  Identity alice_, root_;
};

const std::string kDenied = "etcdserver: permission denied";
const std::vector<std::string> kAllDenied(4, kDenied), kAllAllowed(4);

TEST_F(AuthStoreTest, KeysAreReadAndWrittenByPermission) {
  EXPECT_EQ(why(alice_, RangeRequest{.key = "a/", .range_end = "a0"}), "");
  EXPECT_EQ(why(alice_, RangeRequest{.key = "a/", .range_end = "a1"}), kDenied);
  EXPECT_EQ(why(alice_, RangeRequest{.key = "a/", .range_end = kOpen}), kDenied);
  EXPECT_EQ(why(alice_, RangeRequest{.key = "one"}), "");
  EXPECT_EQ(why(alice_, PutRequest{.key = "one"}), kDenied);
  EXPECT_EQ(why(alice_, PutRequest{.key = "w"}), "");
  EXPECT_EQ(why(alice_, RangeRequest{.key = "w"}), kDenied);
  EXPECT_EQ(why(alice_, DeleteRangeRequest{.key = "w"}), "");
  EXPECT_EQ(why(alice_, DeleteRangeRequest{.key = "a/", .range_end = kOpen}), kDenied);
  EXPECT_EQ(why(root_, DeleteRangeRequest{.key = kOpen, .range_end = kOpen}), "");
}

TEST_F(AuthStoreTest, PreviousValuesNeedReading) {
  EXPECT_EQ(why(alice_, PutRequest{.key = "w", .prev_kv = true}), kDenied);
  EXPECT_EQ(why(alice_, DeleteRangeRequest{.key = "w", .prev_kv = true}), kDenied);
  EXPECT_EQ(why(alice_, PutRequest{.key = "a/x", .prev_kv = true}), "");
}

TEST_F(AuthStoreTest, WhoIsNobodyOldOrGone) {
  RangeRequest request{.key = "one"};
  EXPECT_EQ(why(Identity{}, request), "etcdserver: user name is empty");
  EXPECT_EQ(why(Identity{"alice", alice_.revision - 1}, request),
            "etcdserver: revision of auth store is old");
  EXPECT_EQ(why(auth_.identity_of("nobody"), request), kDenied);
  EXPECT_EQ(auth_.check_root(Identity{})->message, "etcdserver: user name is empty");
  EXPECT_EQ(auth_.check_root(auth_.identity_of("nobody"))->message,
            "etcdserver: user name not found");
  EXPECT_EQ(auth_.check_root(alice_)->message, kDenied);
  EXPECT_FALSE(auth_.check_root(root_));
  EXPECT_EQ(auth_.check_anybody(Identity{})->message, "etcdserver: user name is empty");
  EXPECT_FALSE(auth_.check_anybody(alice_));
}

TEST_F(AuthStoreTest, EverybodyMayWhileItIsOff) {
  change(disable);
  EXPECT_EQ(why(Identity{}, DeleteRangeRequest{.key = kOpen, .range_end = kOpen}), "");
  EXPECT_EQ(why(Identity{}, TxnRequest{.compares = {{.key = "k"}}}), "");
  EXPECT_FALSE(auth_.check_root(Identity{}));
  EXPECT_FALSE(auth_.check_anybody(Identity{}));
  EXPECT_FALSE(auth_.check_all_leases(Identity{}));
}

TEST_F(AuthStoreTest, AChangeIsSeenAtOnce) {
  EXPECT_EQ(why(alice_, RangeRequest{.key = "one"}), "");
  change([](State& state) { return revoke_role(state, "alice", "r"); });
  EXPECT_EQ(why(auth_.identity_of("alice"), RangeRequest{.key = "one"}), kDenied);
}

TEST_F(AuthStoreTest, TokensEndWithThePasswordTheUserAndTheWhole) {
  auto works = [&](const std::string& token) { return auth_.identify(token).has_value(); };
  std::string alice = *auth_.issue_token("alice"), root = *auth_.issue_token("root");
  change([](State& state) { return add_role(state, "another"); });
  EXPECT_EQ(auth_.identify(alice)->revision, auth_.state().revision);
  change([](State& state) { return set_password(state, "alice", "new"); });
  EXPECT_FALSE(works(alice));
  EXPECT_TRUE(works(root));
  alice = *auth_.issue_token("alice");
  change([](State& state) { return delete_user(state, "alice"); });
  EXPECT_FALSE(works(alice));
  change(disable);
  EXPECT_FALSE(works(root));
  EXPECT_EQ(auth_.identify(root).error().message, "etcdserver: invalid auth token");
}

// CVE-2026-33343 (GHSA-rfx7-8w68-q57q): operations of nested transactions were not looked at.
TEST_F(AuthStoreTest, Cve202633343NestedTransactions) {
  EXPECT_EQ(in_txns(RangeRequest{.key = "secret"}), kAllDenied);
  EXPECT_EQ(in_txns(PutRequest{.key = "secret"}), kAllDenied);
  EXPECT_EQ(in_txns(DeleteRangeRequest{.key = "secret"}), kAllDenied);
  EXPECT_EQ(in_txns(RangeRequest{.key = "one"}), kAllAllowed);
  EXPECT_EQ(in_txns(PutRequest{.key = "a/x"}), kAllAllowed);
  TxnRequest compares{.compares = {{.key = "secret"}}};
  EXPECT_EQ(why(alice_, compares), kDenied);
  EXPECT_EQ(in_txns(std::make_shared<const TxnRequest>(compares)), kAllDenied);
  EXPECT_EQ(why(alice_, TxnRequest{.compares = {{.key = "a/", .range_end = kOpen}}}), kDenied);
  EXPECT_EQ(why(alice_, TxnRequest{.compares = {{.key = "a/", .range_end = "a0"}}}), "");
}

// CVE-2026-44283 (GHSA-x35m-3gp4-4fh5): puts inside transactions gave previous values and took
// foreign leases.
TEST_F(AuthStoreTest, Cve202644283PreviousValuesAndLeasesInTransactions) {
  lessor_.grant(7, 100, {});
  lessor_.attach(7, "secret");
  lessor_.grant(8, 100, {});
  lessor_.attach(8, "a/x");
  EXPECT_EQ(in_txns(PutRequest{.key = "w", .prev_kv = true}), kAllDenied);
  EXPECT_EQ(in_txns(DeleteRangeRequest{.key = "w", .prev_kv = true}), kAllDenied);
  EXPECT_EQ(in_txns(PutRequest{.key = "a/y", .lease = 7}), kAllDenied);
  EXPECT_EQ(in_txns(PutRequest{.key = "a/y", .lease = 8}), kAllAllowed);
  EXPECT_EQ(why(alice_, PutRequest{.key = "a/y", .lease = 7}), kDenied);
  EXPECT_EQ(why(root_, PutRequest{.key = "a/y", .lease = 7}), "");
  EXPECT_EQ(why(alice_, PutRequest{.key = "a/y", .lease = 9}),
            "");  // there is none: the put itself says so
}

// GHSA-xg4h-6gfc-h4m8: the open end of a watch was lost before it was checked as the one key.
TEST_F(AuthStoreTest, GhsaXg4hOpenEndedRangeIsNotOneKey) {
  EXPECT_FALSE(auth_.check(alice_, Type::kRead, "one", ""));
  EXPECT_TRUE(auth_.check(alice_, Type::kRead, "one", kOpen));
  EXPECT_FALSE(auth_.check(root_, Type::kRead, "one", kOpen));
}

// CVE-2026-33413 (GHSA-q8m4-xhhv-38mg), CVE-2023-32082: leases and their keys.
TEST_F(AuthStoreTest, Cve202633413Leases) {
  lessor_.grant(7, 100, {});
  lessor_.attach(7, "one");
  EXPECT_EQ(auth_.check_lease(Identity{}, Type::kWrite, 7)->message,
            "etcdserver: user name is empty");
  EXPECT_EQ(auth_.check_lease(Identity{}, Type::kWrite, 12345)->message,
            "etcdserver: user name is empty");
  EXPECT_TRUE(auth_.check_lease(alice_, Type::kWrite, 7));
  EXPECT_FALSE(auth_.check_lease(alice_, Type::kRead, 7));
  EXPECT_FALSE(auth_.check_all_leases(alice_));
  lessor_.attach(7, "secret");
  EXPECT_TRUE(auth_.check_lease(alice_, Type::kRead, 7));
  EXPECT_TRUE(auth_.check_all_leases(alice_));
  EXPECT_TRUE(auth_.check_all_leases(Identity{}));
  EXPECT_FALSE(auth_.check_lease(root_, Type::kWrite, 7));
  EXPECT_FALSE(auth_.check_all_leases(root_));
}

}  // namespace
}  // namespace rs::store::auth
