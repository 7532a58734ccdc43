// One test for each correctness bug of etcd's that a single node can have, named by the number of
// its issue (reference etcd-api.md C.2). The bugs of watches are in etcd/regression_watch_test.cpp,
// those of input and passwords in etcd/regression_input_test.cpp. tests/mutants puts each bug in
// and expects its test to fail.
#include <condition_variable>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/task_group.h"
#include "store/embedded_store.h"
#include "store/engine/engine_testing.h"
#include "store/etcd/service.h"
#include "store/mvcc/record.h"

namespace rs::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Strings = std::vector<std::string>;

class Regression : public ::testing::Test {
 protected:
  using Body = std::function<awaitable<void>(async::Loop&)>;
  using StoreBody = std::function<awaitable<void>(EmbeddedStore&)>;

  static void run(Body body) {
    async::SystemLoop loop;
    async::TaskGroup tasks(loop);
    tasks.spawn_fn("test", [&]() -> awaitable<void> {
      co_await body(loop);
      loop.stop();
    });
    loop.run();
  }
  // A store over what the first count batches left (all of them: restart without loss).
  void with_store(StoreBody body, size_t count = SIZE_MAX) {
    run([&](async::Loop& loop) -> awaitable<void> {
      auto store = EmbeddedStore::make(
          loop, {}, journal_.engine_after(std::min(count, journal_.entries.size())), false);
      EXPECT_TRUE(store.has_value()) << (store ? "" : store.error().message);
      if (!store) co_return;
      co_await body(**store);
      co_await (*store)->close();
    });
  }
  // The same for every moment at which a crash can come; what was written before stays as it is.
  void after_every_crash(std::function<void(EmbeddedStore&, size_t batches)> check) {
    const auto whole = journal_.entries;
    for (size_t count = 1; count <= whole.size(); ++count) {
      SCOPED_TRACE(fmt::format("crash after batch {} of {}", count, whole.size()));
      journal_.entries = whole;
      with_store(
          [&](EmbeddedStore& store) -> awaitable<void> {
            check(store, count);
            co_return;
          },
          count);
    }
    journal_.entries = whole;
  }

  static Strings keys_of(Store& store, std::string_view from = "a", std::string_view to = "z",
                         Revision revision = 0) {
    auto range = static_cast<EmbeddedStore&>(store).try_range(
        {.key = std::string(from), .range_end = std::string(to), .revision = revision});
    Strings keys;
    if (!range) return {range.error().message};
    for (const KeyValue& kv : range->kvs) keys.push_back(kv.key);
    return keys;
  }
  static awaitable<void> compact_wholly(async::Loop& loop, EmbeddedStore& store,
                                        Revision revision) {
    bool done = false;
    store.submit_compact(revision, true,
                         [&done](Result<Revision> result) { done = result.has_value(); });
    while (!done) co_await loop.sleep(std::chrono::milliseconds(1));
  }
  // What the watch tells, up to a revision.
  static awaitable<Strings> watched(EmbeddedStore& store, WatchRequest request, Revision until) {
    auto watcher = co_await store.watch(std::move(request));
    Strings out;
    for (Revision last = 0; last < until;) {
      auto batch = co_await (*watcher)->next();
      if (!batch) co_return Strings{batch.error().message};
      for (const auto& event : batch->events) {
        last = event->kv.mod_revision;
        out.push_back(fmt::format("{}{}@{}", event->type == Event::Type::kPut ? "+" : "-",
                                  event->kv.key, last));
      }
    }
    co_return out;
  }

  engine::Journal journal_;
};

// etcd 3.5.0 to 3.5.2 wrote the index of the last applied entry apart from the data: a kill between
// them made members differ. Data, leases and the record of the last commit are one batch here.
TEST_F(Regression, Etcd13766_DataAndCommitRecordAreOneAtomicWrite) {
  with_store([](EmbeddedStore& store) -> awaitable<void> {
    (void)co_await store.lease_grant(100, 7);
    for (int i = 0; i < 5; ++i) {
      TxnRequest txn;
      for (const char* key : {"a", "b", "c"})
        txn.success.emplace_back(PutRequest{.key = key, .value = std::to_string(i), .lease = 7});
      (void)co_await store.txn(std::move(txn));
    }
    (void)co_await store.lease_revoke(7);
  });
  for (size_t i = 0; i < journal_.entries.size(); ++i) {
    bool head = false, record = false;
    for (size_t op = 0; op < journal_.entries[i].batch.size(); ++op) {
      auto key = journal_.entries[i].batch.op(op).key;
      head |= key == mvcc::meta_key("head");
      record |= key.starts_with('i');
    }
    EXPECT_TRUE(head) << "batch " << i;
    EXPECT_TRUE(record || i < 2) << "batch " << i;  // the identity, the grant
  }
  after_every_crash([](EmbeddedStore& store, size_t) {
    auto range = store.try_range({.key = "a", .range_end = "z"});
    size_t leases = store.try_leases().size();
    EXPECT_TRUE(range->count == 0 || (range->count == 3 && leases == 1)) << range->count;
    for (const KeyValue& kv : range->kvs) {
      EXPECT_EQ(kv.mod_revision, store.revision()) << "half a transaction";
      EXPECT_EQ(kv.version, store.revision() - 1);
    }
    if (range->count == 3) EXPECT_EQ(store.try_time_to_live(7, true).keys.size(), 3u);
  });
}

// Holds every write until let go.
class HeldEngine final : public engine::ForwardingEngine {
 public:
  HeldEngine() : ForwardingEngine(engine::make_memory_engine()) {}
  Result<void> write(const engine::Batch& batch, bool sync) override {
    std::unique_lock lock(mutex);
    synced = sync;
    ++started;
    changed.notify_all();
    changed.wait(lock, [this] { return !held; });
    return inner->write(batch, sync);
  }
  void let_go() {
    std::lock_guard lock(mutex);
    held = false;
    changed.notify_all();
  }
  int writes_started() {
    std::lock_guard lock(mutex);
    return started;
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool held = false, synced = false;
  int started = 0;
};

// A single node of etcd told the client before the write was on disk.
TEST_F(Regression, Etcd14370_NothingIsAcknowledgedOrShownBeforeItIsOnDisk) {
  run([](async::Loop& loop) -> awaitable<void> {
    auto owned = std::make_unique<HeldEngine>();
    HeldEngine& disk = *owned;
    auto store = EmbeddedStore::make(loop, {}, std::move(owned), true);
    disk.held = true;
    int before = disk.writes_started();
    std::optional<Result<PutResponse>> put;
    (*store)->submit(PutRequest{.key = "k", .value = "v"},
                     [&](Result<PutResponse> done) { put = std::move(done); });
    auto watcher = co_await (*store)->watch({.key = "k"});
    while (disk.writes_started() == before) co_await loop.sleep(std::chrono::milliseconds(1));
    for (int turn = 0; turn < 20; ++turn) co_await loop.sleep(std::chrono::milliseconds(1));
    EXPECT_FALSE(put.has_value()) << "acknowledged before it is on disk";
    EXPECT_EQ((*store)->try_range({.key = "k"})->count, 0) << "shown before it is on disk";
    EXPECT_EQ((*store)->revision(), 1);
    disk.let_go();
    while (!put) co_await loop.sleep(std::chrono::milliseconds(1));
    EXPECT_TRUE(disk.synced) << "acknowledged without fsync";
    EXPECT_EQ((*put)->revision, 2);
    EXPECT_EQ((co_await (*watcher)->next())->events.at(0)->kv.mod_revision, 2);
    co_await (*store)->close();
  });
}

// etcd answers "request timed out" after seven seconds (v3_server.go, ReqTimeout): a disk that
// hangs must not be silence.
TEST_F(Regression, AWriteToADiskThatHangsIsAnsweredInTime) {
  run([](async::Loop& loop) -> awaitable<void> {
    auto owned = std::make_unique<HeldEngine>();
    HeldEngine& disk = *owned;
    auto store = EmbeddedStore::make(loop, {.write_timeout = std::chrono::milliseconds(100)},
                                     std::move(owned), true);
    EXPECT_TRUE((co_await (*store)->put({.key = "k", .value = "1"})).has_value());
    disk.held = true;
    std::optional<Result<PutResponse>> first, second;
    std::optional<Result<Revision>> note;
    auto keep = [](auto& slot) { return [&slot](auto done) { slot = std::move(done); }; };
    (*store)->submit(PutRequest{.key = "k", .value = "2"}, keep(first));
    (*store)->submit_note("name", "text", keep(note));
    while (disk.writes_started() < 2) co_await loop.sleep(std::chrono::milliseconds(1));
    (*store)->submit(PutRequest{.key = "k", .value = "3"}, keep(second));
    while (!first || !second) co_await loop.sleep(std::chrono::milliseconds(1));
    for (auto* put : {&first, &second}) {
      EXPECT_FALSE((*put)->has_value());
      if (!**put) EXPECT_EQ((*put)->error().message, "etcdserver: request timed out");
    }
    EXPECT_FALSE(note.has_value()) << "who wrote it goes by what is on disk";
    EXPECT_EQ((*store)->try_range({.key = "k"})->kvs.at(0).value, "1");
    // The disk comes back: both have happened after all, in their order, and all goes on.
    disk.let_go();
    auto third = co_await (*store)->put({.key = "k", .value = "4", .prev_kv = true});
    EXPECT_TRUE(third.has_value() && third->prev_kv && third->prev_kv->value == "3");
    EXPECT_EQ(third->revision, 5);
    EXPECT_TRUE(note.has_value() && note->has_value());
    co_await (*store)->close();
  });
}

class UnaryOutcome final : public net::grpc::UnaryResponder {
 public:
  explicit UnaryOutcome(std::optional<net::grpc::Status>& status) : status_(status) {}
  void reply(std::string) override { status_ = net::grpc::Status{}; }
  void fail(net::grpc::Status status) override { status_ = std::move(status); }
  bool cancelled() const override { return false; }

 private:
  std::optional<net::grpc::Status>& status_;
};

// Defragmentation swapped the database's file; a crash meanwhile applied entries twice. Ours must
// not touch the state.
TEST_F(Regression, Etcd14685_DefragmentChangesNothingOnDisk) {
  run([this](async::Loop& loop) -> awaitable<void> {
    auto store = EmbeddedStore::make(loop, {}, journal_.engine_after(0), false);
    for (int i = 0; i < 5; ++i)
      (void)co_await (*store)->put({.key = "k", .value = std::to_string(i)});
    auto hash = (co_await (*store)->hash_kv(0))->hash;
    size_t writes = journal_.entries.size();
    etcd::EtcdService service(loop, **store, {});
    std::optional<net::grpc::Status> status;
    service.methods()
        .find_unary("/etcdserverpb.Maintenance/Defragment")
        ->handler({}, "", std::make_unique<UnaryOutcome>(status));
    while (!status) co_await loop.sleep(std::chrono::milliseconds(1));
    EXPECT_EQ(status->code, net::grpc::StatusCode::kOk);
    EXPECT_EQ(journal_.entries.size(), writes);
    EXPECT_EQ((*store)->revision(), 6);
    EXPECT_EQ((co_await (*store)->hash_kv(0))->hash, hash);
    co_await service.stop();
    co_await (*store)->close();
  });
  with_store([](EmbeddedStore& store) -> awaitable<void> {
    EXPECT_EQ(store.revision(), 6);
    EXPECT_EQ(store.try_range({.key = "k"})->kvs.at(0).version, 5);
    co_return;
  });
}

// What is not keys was left out when a member's state was brought back.
TEST_F(Regression, Etcd14571_UsersLeasesAndAlarmsComeBackToo) {
  Embedded::Identity identity;
  with_store([&](EmbeddedStore& store) -> awaitable<void> {
    identity = store.identity();
    store.submit_note("auth", "users and roles", [](Result<Revision>) {});
    (void)co_await store.lease_grant(600, 9);
    store.submit_alarm(Alarm::kNoSpace, true, [](Result<Revision>) {});
    (void)co_await store.delete_range({.key = "none"});
  });
  with_store([&](EmbeddedStore& store) -> awaitable<void> {
    EXPECT_EQ(store.load_note("auth")->value(), "users and roles");
    EXPECT_EQ(store.try_leases(), std::vector<LeaseId>{9});
    EXPECT_EQ(store.try_time_to_live(9, false).granted_ttl_seconds, 600);
    EXPECT_THAT(store.alarms(), ElementsAre(Alarm::kNoSpace));
    EXPECT_EQ(store.identity().cluster, identity.cluster);
    EXPECT_EQ(store.identity().member, identity.member);
    auto refused = co_await store.put({.key = "a"});
    EXPECT_FALSE(refused.has_value());
    if (!refused) EXPECT_EQ(refused.error().message, "etcdserver: mvcc: database space exceeded");
  });
}

// A crash in a compaction that had dropped the newest records made the revision go back.
TEST_F(Regression, Etcd17780_RevisionNeverDecreasesWhereverCompactionCrashes) {
  run([this](async::Loop& loop) -> awaitable<void> {
    auto store = EmbeddedStore::make(loop, {}, journal_.engine_after(0), false);
    for (const char* key : {"a", "b", "c"})
      (void)co_await (*store)->put({.key = key, .value = "1"});
    (void)co_await (*store)->delete_range({.key = "a", .range_end = "z"});
    (void)co_await (*store)->put({.key = "d", .value = "1"});
    (void)co_await (*store)->delete_range({.key = "d"});
    EXPECT_EQ((*store)->revision(), 7);
    co_await compact_wholly(loop, **store, 7);
    co_await (*store)->close();
  });
  Revision before = 0;
  bool compacted = false;
  after_every_crash([&](EmbeddedStore& store, size_t) {
    EXPECT_GE(store.revision(), before);
    before = store.revision();
    EXPECT_FALSE(compacted && store.machine().compacted() != 7) << "the compaction was forgotten";
    compacted |= store.machine().compacted() == 7;
    if (compacted) EXPECT_EQ(store.revision(), 7);
  });
  EXPECT_TRUE(compacted);
}

// A deletion exactly at the compacted revision vanished, and who watched from there never heard of
// it.
TEST_F(Regression, Etcd18089_DeletionAtTheCompactedRevisionIsStillTold) {
  for (bool restart : {false, true}) {
    SCOPED_TRACE(restart ? "after a restart" : "at once");
    journal_ = {};
    run([this, restart](async::Loop& loop) -> awaitable<void> {
      auto store = EmbeddedStore::make(loop, {}, journal_.engine_after(0), false);
      (void)co_await (*store)->put({.key = "a", .value = "1"});
      (void)co_await (*store)->delete_range({.key = "a"});
      (void)co_await (*store)->put({.key = "b", .value = "1"});
      co_await compact_wholly(loop, **store, 3);
      if (restart) {
        co_await (*store)->close();
        store =
            EmbeddedStore::make(loop, {}, journal_.engine_after(journal_.entries.size()), false);
        co_await compact_wholly(loop, **store, 4);
        co_await (*store)->close();
        co_return;
      }
      EXPECT_EQ(co_await watched(**store, {.key = "a", .range_end = "z", .start_revision = 3}, 4),
                (Strings{"-a@3", "+b@4"}));
      co_await (*store)->close();
    });
    if (!restart) {
      with_store([](EmbeddedStore& store) -> awaitable<void> {
        EXPECT_EQ(co_await watched(store, {.key = "a", .range_end = "z", .start_revision = 3}, 4),
                  (Strings{"-a@3", "+b@4"}));
      });
    }
  }
}

// The same bug as reads saw it: at the compacted revision the key is gone, below it nothing can be
// read, and a second compaction drops the mark.
TEST_F(Regression, Etcd19179_CompactedRevisionReadsAsBefore) {
  run([](async::Loop& loop) -> awaitable<void> {
    auto store = EmbeddedStore::make(loop, {}, engine::make_memory_engine(), false);
    (void)co_await (*store)->put({.key = "a", .value = "1"});
    (void)co_await (*store)->put({.key = "b", .value = "1"});
    (void)co_await (*store)->put({.key = "b", .value = "2"});
    (void)co_await (*store)->delete_range({.key = "a"});
    co_await compact_wholly(loop, **store, 5);
    EXPECT_EQ(keys_of(**store, "a", "z", 5), Strings{"b"});
    EXPECT_EQ(keys_of(**store, "a", "z", 4),
              Strings{"etcdserver: mvcc: required revision has been compacted"});
    auto range = (*store)->try_range({.key = "b", .revision = 5});
    EXPECT_EQ(range ? range->kvs.at(0).value : range.error().message, "2");
    co_await (*store)->close();
  });
}

// The deletion that is kept at the compacted revision is not of the state: members that had kept it
// and members that had not gave different HashKVs. Here other keys were deleted; what is left is
// one.
TEST_F(Regression, Etcd19179_DeletionAtTheCompactedRevisionIsNotInTheHash) {
  std::vector<uint32_t> hashes;
  for (const char* deleted : {"a", "another"}) {
    run([&hashes, deleted](async::Loop& loop) -> awaitable<void> {
      auto store = EmbeddedStore::make(loop, {}, engine::make_memory_engine(), false);
      (void)co_await (*store)->put({.key = deleted, .value = deleted});
      for (const char* value : {"1", "2"})
        (void)co_await (*store)->put({.key = "b", .value = value});
      (void)co_await (*store)->delete_range({.key = deleted});
      co_await compact_wholly(loop, **store, 5);
      hashes.push_back((co_await (*store)->hash_kv(5))->hash);
      hashes.push_back((co_await (*store)->hash_kv(0))->hash);
      co_await (*store)->close();
    });
  }
  EXPECT_THAT(hashes, ::testing::Each(hashes.at(0)));
}

// A transaction with a read of a compacted or future revision failed after its put had been
// applied.
TEST_F(Regression, Etcd18667_TxnWithAnImpossibleReadChangesNothing) {
  with_store([](EmbeddedStore& store) -> awaitable<void> {
    for (int i = 0; i < 4; ++i) (void)co_await store.put({.key = "k", .value = std::to_string(i)});
    EXPECT_TRUE((co_await store.compact(4)).has_value());
    const std::pair<Revision, std::string_view> cases[] = {
        {2, "etcdserver: mvcc: required revision has been compacted"},
        {6, "etcdserver: mvcc: required revision is a future revision"}};
    for (auto [revision, message] : cases) {
      TxnRequest inner;
      inner.success.emplace_back(RangeRequest{.key = "k", .revision = revision});
      for (bool nested : {false, true}) {
        TxnRequest txn;
        txn.success.emplace_back(PutRequest{.key = "new", .value = "x"});
        if (nested) {
          txn.success.emplace_back(std::make_shared<const TxnRequest>(inner));
        } else {
          txn.success.push_back(inner.success[0]);
        }
        auto done = co_await store.txn(std::move(txn));
        EXPECT_FALSE(done.has_value());
        if (!done) EXPECT_EQ(done.error().message, message);
        EXPECT_EQ(store.revision(), 5);
        EXPECT_EQ(keys_of(store), Strings{"k"});
      }
    }
    auto put = co_await store.put({.key = "k", .value = "4"});
    EXPECT_EQ(put->revision, 6);
  });
  with_store([](EmbeddedStore& store) -> awaitable<void> {
    EXPECT_EQ(store.revision(), 6);
    EXPECT_EQ(keys_of(store), Strings{"k"});
    co_return;
  });
}

// 3.5.17: the second put of a transaction could be refused when the first was applied.
TEST_F(Regression, Etcd18667_TxnWithAnImpossiblePutChangesNothing) {
  with_store([](EmbeddedStore& store) -> awaitable<void> {
    const std::pair<PutRequest, std::string_view> cases[] = {
        {{.key = "other", .lease = 404}, "etcdserver: requested lease not found"},
        {{.key = "other", .ignore_value = true}, "etcdserver: key not found"}};
    for (const auto& [impossible, message] : cases) {
      TxnRequest txn;
      txn.success.emplace_back(PutRequest{.key = "new", .value = "x"});
      txn.success.emplace_back(impossible);
      auto done = co_await store.txn(std::move(txn));
      EXPECT_FALSE(done.has_value()) << message;
      if (!done) EXPECT_EQ(done.error().message, message);
      EXPECT_EQ(store.revision(), 1);
      EXPECT_EQ(keys_of(store), Strings{});
    }
  });
}

// Leases that were revoked came back with the state, with keys that nobody would ever delete.
TEST_F(Regression, Etcd13205_RevokedLeaseStaysRevokedWithAllItsKeys) {
  with_store([](EmbeddedStore& store) -> awaitable<void> {
    (void)co_await store.lease_grant(100, 5);
    (void)co_await store.lease_grant(100, 6);
    for (const char* key : {"c", "a", "b"})
      (void)co_await store.put({.key = key, .value = "1", .lease = 5});
    (void)co_await store.put({.key = "a", .value = "2", .lease = 6});  // moved
    EXPECT_TRUE((co_await store.lease_revoke(5)).has_value());
    EXPECT_EQ(store.revision(), 6);
  });
  after_every_crash([](EmbeddedStore& store, size_t) {
    auto leases = store.try_leases();
    bool alive = std::ranges::find(leases, 5) != leases.end();
    if (store.revision() == 6) {
      EXPECT_FALSE(alive) << "the lease outlived the deletion of its keys";
      EXPECT_EQ(keys_of(store), Strings{"a"});
      EXPECT_EQ(store.try_time_to_live(6, true).keys, Strings{"a"});
    } else if (store.revision() > 1) {
      EXPECT_TRUE(alive) << "the lease went before its keys";
    }
  });
}

// After a restart or a change of leader a short lease gets its whole time again: keys never vanish early.
TEST_F(Regression, Etcd9888_LeaseHasItsWholeTimeAfterARestart) {
  with_store([](EmbeddedStore& store) -> awaitable<void> {
    (void)co_await store.lease_grant(100, 5);
    (void)co_await store.lease_grant(-3, 6);
  });
  with_store([](EmbeddedStore& store) -> awaitable<void> {
    EXPECT_GE(store.try_time_to_live(5, false).remaining_ttl_seconds, 99);
    EXPECT_EQ(store.try_time_to_live(6, false).granted_ttl_seconds, 2);
    EXPECT_GE(store.try_time_to_live(6, false).remaining_ttl_seconds, 1);
    co_return;
  });
}

std::optional<Code> refusal_of(const Result<int64_t>& renewed) {
  return renewed ? std::nullopt : std::optional(renewed.error().code);
}

// etcd 3.5.23, 3.6.5: a renewal succeeded for a lease that was being revoked. One past its end must
// not come back.
TEST_F(Regression, Etcd20651_LeasePastItsEndIsNotRenewed) {
  run([](async::Loop& loop) -> awaitable<void> {
    auto store = EmbeddedStore::make(loop, {}, engine::make_memory_engine(), false);
    (void)co_await (*store)->lease_grant(2, 5);
    (void)co_await (*store)->put({.key = "a", .value = "1", .lease = 5});
    auto& lessor = const_cast<mvcc::Lessor&>((*store)->machine().lessor());
    EXPECT_EQ(*(*store)->try_keep_alive(5), 2);
    // The end, without waiting for it: renewed as of three seconds ago.
    lessor.renew(*lessor.find(5), loop.now() - std::chrono::seconds(3));
    EXPECT_EQ(refusal_of((*store)->try_keep_alive(5)), Code::kNotFound);
    while ((*store)->revision() < 3) co_await loop.sleep(std::chrono::milliseconds(5));
    EXPECT_EQ(keys_of(**store), Strings{});
    EXPECT_EQ(refusal_of((*store)->try_keep_alive(5)), Code::kNotFound);
    EXPECT_EQ((*store)->try_time_to_live(5, true).remaining_ttl_seconds, -1);
    co_await (*store)->close();
  });
}

// 3.5.3: a renewal that raced with its grant. Once granted, a lease can be renewed, attached and
// looked up at once.
TEST_F(Regression, Etcd13932_GrantedLeaseIsThereForTheNextRequest) {
  with_store([](EmbeddedStore& store) -> awaitable<void> {
    std::optional<Result<LeaseGrant>> granted;
    store.submit_grant(60, 0, [&](Result<LeaseGrant> done) { granted = std::move(done); });
    auto twice = co_await store.lease_grant(60, 33);
    auto again = co_await store.lease_grant(60, 33);
    EXPECT_FALSE(again.has_value());
    if (!again) EXPECT_EQ(again.error().message, "etcdserver: lease already exists");
    EXPECT_TRUE(granted && granted->has_value() && twice.has_value());
    EXPECT_EQ(store.try_keep_alive((*granted)->id).value_or(0), 60);
    EXPECT_TRUE((co_await store.put({.key = "a", .lease = (*granted)->id})).has_value());
    EXPECT_EQ(store.try_time_to_live((*granted)->id, true).keys, Strings{"a"});
  });
}

class RegressionOnDisk : public Regression {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "store_regression.XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  // The store's error when it does not open.
  std::string with_disk(std::function<awaitable<void>(Embedded&)> body) {
    std::string error;
    run([&](async::Loop& loop) -> awaitable<void> {
      auto store = co_await Embedded::open(loop, {.directory = directory_});
      if (!store) {
        error = store.error().message;
        EXPECT_EQ(store.error().code, Code::kDataLoss) << error;
        co_return;
      }
      co_await body(**store);
      co_await (*store)->close();
    });
    return error;
  }
  std::filesystem::path newest_log() const {
    std::filesystem::path log;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / "db")) {
      if (entry.path().extension() == ".log" && entry.file_size() > 0 &&
          (log.empty() || entry.path() > log))
        log = entry.path();
    }
    return log;
  }
  std::filesystem::path directory_;
};

// A record whose length says more than the file holds made etcd read past its end, or ask for that
// much memory. Here it is damage, and no end of the log: what follows it was acknowledged.
TEST_F(RegressionOnDisk, Etcd14127_LengthBeyondTheFileIsNotBelieved) {
  std::vector<uint64_t> ends;
  ASSERT_EQ(with_disk([&](Embedded& store) -> awaitable<void> {
              for (int i = 0; i < 4; ++i) {
                (void)co_await store.put({.key = "k", .value = std::string(100, 'v')});
                ends.push_back(std::filesystem::file_size(newest_log()));
              }
            }),
            "");
  constexpr size_t kLengthOffset = 4;  // of RocksDB's records: CRC 4, length 2, type 1
  std::fstream file(newest_log(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(std::streamoff(ends[1] + kLengthOffset));
  file.write("\xff\xff", 2);
  file.close();
  EXPECT_NE(with_disk([](Embedded& store) -> awaitable<void> {
              EXPECT_TRUE(false) << "opened at revision " << store.revision();
              co_return;
            }),
            "");
}

// A last record that was torn by a crash kept the member from starting; damage before it must.
TEST_F(RegressionOnDisk, Etcd15069_OnlyATornLastRecordIsForgiven) {
  std::vector<uint64_t> ends;
  ASSERT_EQ(with_disk([&](Embedded& store) -> awaitable<void> {
              for (int i = 0; i < 6; ++i) {
                (void)co_await store.put(
                    {.key = "k" + std::to_string(i), .value = std::string(100, 'v')});
                ends.push_back(std::filesystem::file_size(newest_log()));
              }
            }),
            "");
  const auto whole = newest_log();
  std::ifstream in(whole, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  auto write = [&](std::string_view text) {
    std::ofstream(whole, std::ios::binary | std::ios::trunc)
        .write(text.data(), std::streamsize(text.size()));
  };
  const auto copy = directory_.string() + ".copy";
  std::filesystem::copy(directory_, copy, std::filesystem::copy_options::recursive);
  auto restore = [&] {
    std::filesystem::remove_all(directory_);
    std::filesystem::copy(copy, directory_, std::filesystem::copy_options::recursive);
  };
  for (uint64_t cut = ends[4] + 1; cut < ends[5]; cut += 17) {
    SCOPED_TRACE(fmt::format("cut at {}", cut));
    restore();
    write(std::string_view(bytes).substr(0, cut));
    EXPECT_EQ(with_disk([](Embedded& store) -> awaitable<void> {
                EXPECT_EQ(store.revision(), 6);
                co_return;
              }),
              "");
  }
  // Every byte of two headers (RocksDB's: CRC 4, length 2, type 1), and of what follows some.
  std::vector<uint64_t> places;
  for (uint64_t begin : {ends[1], ends[2]}) {
    for (uint64_t at = begin; at < begin + 7; ++at) places.push_back(at);
  }
  for (uint64_t at = ends[1] + 7; at < ends[3]; at += 13) places.push_back(at);
  for (uint64_t at : places) {
    SCOPED_TRACE(fmt::format("damaged at {}", at));
    restore();
    std::string damaged = bytes;
    damaged[at] = char(damaged[at] ^ 0x55);
    write(damaged);
    EXPECT_NE(with_disk([](Embedded& store) -> awaitable<void> {
                EXPECT_TRUE(false) << "opened at revision " << store.revision();
                co_return;
              }),
              "");
  }
  std::filesystem::remove_all(copy);
}

}  // namespace
}  // namespace rs::store
