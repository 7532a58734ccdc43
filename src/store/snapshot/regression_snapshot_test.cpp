// etcd #14571, #14648: what is not keys was not there after a member had been brought back from a
// snapshot. Here a store is written as a snapshot, restored, and opened again.
#include <sys/mman.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/task_group.h"
#include "store/auth/changes.h"
#include "store/embedded_store.h"
#include "store/snapshot/snapshot.h"

namespace rs::store::snapshot {
namespace {

using ::testing::ElementsAre;

auth::State some_users() {
  auth::State state;
  const std::string hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
  EXPECT_TRUE(auth::add_user(state, {.name = "root", .password_hash = hash}).has_value());
  EXPECT_TRUE(auth::grant_role(state, "root", "root").has_value());
  EXPECT_TRUE(auth::add_user(state, {.name = "bob", .no_password = true}).has_value());
  EXPECT_TRUE(auth::add_role(state, "reader").has_value());
  EXPECT_TRUE(auth::grant_permission(state, "reader", {.key = "a", .range_end = "b"}).has_value());
  EXPECT_TRUE(auth::grant_role(state, "bob", "reader").has_value());
  EXPECT_TRUE(auth::enable(state).has_value());
  return state;
}

awaitable<void> fill(EmbeddedStore& store) {
  (void)co_await store.lease_grant(600, 9);
  (void)co_await store.put({.key = "a", .value = "1", .lease = 9});
  (void)co_await store.put({.key = "b", .value = "1"});
  (void)co_await store.put({.key = "b", .value = "2"});
  (void)co_await store.delete_range({.key = "a"});
  (void)co_await store.put({.key = "a", .value = "3", .lease = 9});
  store.submit_note(std::string(auth::kNote), auth::encode(some_users()), [](Result<Revision>) {});
  EXPECT_TRUE((co_await store.compact(3)).has_value());
}

std::string snapshot_of(const Embedded& store) {
  const int fd = ::memfd_create("snapshot", MFD_CLOEXEC);
  auto view = store.view();
  EXPECT_TRUE(view.has_value());
  auto bytes = write_database(**view, {.id = 1, .name = "default"}, fd, false);
  EXPECT_TRUE(bytes.has_value());
  std::string out(*bytes, 0);
  EXPECT_EQ(::pread(fd, out.data(), out.size(), 0), ssize_t(out.size()));
  ::close(fd);
  return out;
}

std::unique_ptr<engine::Engine> restored(const std::string& bytes) {
  auto source = in_memory(bytes);
  auto reader = BboltReader::open(*source, bytes.size());
  EXPECT_TRUE(reader.has_value());
  auto engine = engine::make_memory_engine();
  auto done = restore(*reader, *engine, {.cluster_id = 1, .member_id = 2});
  EXPECT_TRUE(done.has_value()) << done.error().message;
  return engine;
}

awaitable<void> check(EmbeddedStore& store) {
  EXPECT_EQ(store.revision(), 6);
  auto users = auth::decode_state(store.load_note(auth::kNote)->value_or(""));
  EXPECT_TRUE(users.has_value());
  if (users) EXPECT_EQ(*users, some_users());
  EXPECT_EQ(store.try_leases(), std::vector<LeaseId>{9});
  EXPECT_EQ(store.try_time_to_live(9, true).granted_ttl_seconds, 600);
  EXPECT_THAT(store.try_time_to_live(9, true).keys, ElementsAre("a"));
  EXPECT_EQ(store.try_range({.key = "b", .revision = 3})->kvs.at(0).value, "1");
  EXPECT_EQ(store.try_range({.key = "b", .revision = 2}).error().message,
            "etcdserver: mvcc: required revision has been compacted");
  auto revoked = co_await store.lease_revoke(9);
  EXPECT_TRUE(revoked.has_value());
  EXPECT_EQ(store.try_range({.key = "a"})->count, 0) << "the lease came back, but not to its key";
}

TEST(RegressionOfSnapshot, Etcd14648_UsersRolesAndLeasesComeBackFromASnapshot) {
  async::SystemLoop loop;
  async::TaskGroup tasks(loop);
  tasks.spawn_fn("test", [&]() -> awaitable<void> {
    auto before = EmbeddedStore::make(loop, {}, engine::make_memory_engine(), false);
    co_await fill(**before);
    const std::string bytes = snapshot_of(**before);
    co_await (*before)->close();
    auto after = EmbeddedStore::make(loop, {}, restored(bytes), false);
    EXPECT_TRUE(after.has_value());
    if (after) {
      co_await check(**after);
      co_await (*after)->close();
    }
    loop.stop();
  });
  loop.run();
}

}  // namespace
}  // namespace rs::store::snapshot
