// The checkers themselves, on histories written by hand: each good one passes, each bad one is
// found. Expected verdicts: reference etcd-api.md A.4, A.5, A.7 (revisions), and the definition of
// linearizability.
#include <gtest/gtest.h>

#include "linearizability.h"

namespace rs::store::crash {
namespace {

using Kind = Verdict::Kind;

KeyValue kv(std::string key, std::string value, Revision create, Revision mod, int64_t version,
            LeaseId lease = 0) {
  return {std::move(key), std::move(value), create, mod, version, lease};
}

// A history in the making: done() and the like place a call between two moments.
class History {
 public:
  void done(Moment called, Moment returned, Request request, Response response) {
    calls.push_back({.called = called,
                     .returned = returned,
                     .request = std::move(request),
                     .outcome = Call::Outcome::kDone,
                     .response = std::move(response)});
  }
  void refused(Moment called, Moment returned, Request request, std::string error) {
    calls.push_back({.called = called,
                     .returned = returned,
                     .request = std::move(request),
                     .outcome = Call::Outcome::kRefused,
                     .error = std::move(error)});
  }
  void unknown(Moment called, Request request) {
    calls.push_back({.called = called, .request = std::move(request)});
  }

  void put(Moment called, Moment returned, std::string key, std::string value, Revision revision) {
    done(called, returned, PutRequest{.key = key, .value = value},
         PutResponse{revision, std::nullopt});
  }
  void read(Moment called, Moment returned, std::string key, Revision revision,
            std::vector<KeyValue> kvs) {
    const auto count = int64_t(kvs.size());
    done(called, returned, RangeRequest{.key = key},
         RangeResponse{revision, std::move(kvs), false, count});
  }
  Kind kind(const Log* log = nullptr) const {
    auto verdict = check_linearizable(calls, log);
    return verdict.kind;
  }
  std::vector<Call> calls;
};

Event put_event(KeyValue what) {
  return {Event::Type::kPut, std::move(what), std::nullopt};
}

TEST(LinearizabilityTest, AcceptsCallsOneAfterTheOther) {
  History h;
  h.put(1, 2, "a", "1", 2);
  h.put(3, 4, "a", "2", 3);
  h.read(5, 6, "a", 3, {kv("a", "2", 2, 3, 2)});
  h.done(7, 8, RangeRequest{.key = "a", .revision = 2},
         RangeResponse{3, {kv("a", "1", 2, 2, 1)}, false, 1});
  h.done(9, 10, DeleteRangeRequest{.key = "a"}, DeleteRangeResponse{4, 1, {}});
  h.done(11, 12, DeleteRangeRequest{.key = "a"}, DeleteRangeResponse{4, 0, {}});
  h.put(13, 14, "a", "3", 5);
  h.read(15, 16, "a", 5, {kv("a", "3", 5, 5, 1)});
  EXPECT_EQ(h.kind(), Kind::kLinearizable) << check_linearizable(h.calls).why;
  EXPECT_FALSE(check_headers(h.calls).has_value());
}

TEST(LinearizabilityTest, AcceptsConcurrentCallsInTheOrderOfTheirRevisions) {
  History h;
  h.put(1, 10, "a", "1", 3);
  h.put(2, 9, "a", "2", 2);
  h.read(3, 8, "a", 1, {});
  h.read(4, 7, "a", 2, {kv("a", "2", 2, 2, 1)});
  EXPECT_EQ(h.kind(), Kind::kLinearizable);
}

TEST(LinearizabilityTest, FindsALostAcknowledgedWrite) {
  History h;
  h.put(1, 2, "a", "1", 2);
  h.read(3, 4, "a", 1, {});
  EXPECT_EQ(h.kind(), Kind::kViolation);
  EXPECT_TRUE(check_headers(h.calls).has_value());
}

TEST(LinearizabilityTest, FindsAStaleRead) {
  History h;
  h.put(1, 2, "a", "1", 2);
  h.put(3, 4, "a", "2", 3);
  h.read(5, 6, "a", 2, {kv("a", "1", 2, 2, 1)});
  EXPECT_EQ(h.kind(), Kind::kViolation);
  EXPECT_TRUE(check_headers(h.calls).has_value());
}

TEST(LinearizabilityTest, FindsAStaleReadUnderAFreshRevision) {
  History h;
  h.put(1, 2, "a", "1", 2);
  h.put(3, 4, "a", "2", 3);
  h.read(5, 6, "a", 3, {kv("a", "1", 2, 2, 1)});
  EXPECT_EQ(h.kind(), Kind::kViolation);
}

TxnRequest two_puts() {
  TxnRequest txn;
  txn.success = {PutRequest{.key = "a", .value = "1"}, PutRequest{.key = "b", .value = "1"}};
  return txn;
}
TxnResponse two_put(Revision revision) {
  return {
      revision, true, {PutResponse{revision, std::nullopt}, PutResponse{revision, std::nullopt}}};
}
RangeRequest both() {
  return {.key = "a", .range_end = "c"};
}

TEST(LinearizabilityTest, FindsHalfATransaction) {
  History h;
  h.done(1, 2, two_puts(), two_put(2));
  h.done(3, 4, both(), RangeResponse{2, {kv("a", "1", 2, 2, 1)}, false, 1});
  EXPECT_EQ(h.kind(), Kind::kViolation);
  History unanswered;
  unanswered.unknown(1, two_puts());
  unanswered.done(3, 4, both(), RangeResponse{2, {kv("a", "1", 2, 2, 1)}, false, 1});
  EXPECT_EQ(unanswered.kind(), Kind::kViolation);
  History whole;
  whole.unknown(1, two_puts());
  whole.done(3, 4, both(),
             RangeResponse{2, {kv("a", "1", 2, 2, 1), kv("b", "1", 2, 2, 1)}, false, 2});
  EXPECT_EQ(whole.kind(), Kind::kLinearizable);
}

TEST(LinearizabilityTest, FindsRevisionsInAnotherOrderThanTime) {
  History h;
  h.put(1, 2, "a", "1", 3);
  h.put(3, 4, "b", "1", 2);
  EXPECT_EQ(h.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, FindsARevisionUsedTwice) {
  History h;
  h.put(1, 4, "a", "1", 2);
  h.put(2, 3, "b", "1", 2);
  EXPECT_EQ(h.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, FindsARevisionThatWasSkipped) {
  History h;
  h.put(1, 2, "a", "1", 2);
  h.put(3, 4, "a", "2", 4);
  EXPECT_EQ(h.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, FindsAWriteDoneTwice) {
  History h;
  h.put(1, 2, "a", "1", 2);
  h.read(3, 4, "a", 3, {kv("a", "1", 2, 3, 2)});
  EXPECT_EQ(h.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, FindsARevisionThatGoesBackAfterACompaction) {
  History h;
  h.put(1, 2, "a", "1", 2);
  h.done(3, 4, DeleteRangeRequest{.key = "a"}, DeleteRangeResponse{3, 1, {}});
  h.done(5, 6, CompactRequest{3}, HeaderOnly{3});
  h.read(7, 8, "a", 1, {});
  EXPECT_EQ(h.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, FindsAnOldRevisionThatChanged) {
  History h;
  h.put(1, 2, "a", "1", 2);
  h.put(3, 4, "a", "2", 3);
  h.done(5, 6, RangeRequest{.key = "a", .revision = 2},
         RangeResponse{3, {kv("a", "2", 2, 3, 2)}, false, 1});
  EXPECT_EQ(h.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, AnUnknownWriteMayBeThereOrNot) {
  for (bool there : {false, true}) {
    History h;
    h.put(1, 2, "a", "1", 2);
    h.unknown(3, PutRequest{.key = "a", .value = "2"});
    h.read(5, 6, "a", there ? 3 : 2, {there ? kv("a", "2", 2, 3, 2) : kv("a", "1", 2, 2, 1)});
    h.put(7, 8, "b", "3", there ? 4 : 3);
    EXPECT_EQ(h.kind(), Kind::kLinearizable) << there;
  }
}

TEST(LinearizabilityTest, AnUnknownWriteMayComeLateButNotGoAgain) {
  History late;
  late.unknown(1, PutRequest{.key = "a", .value = "2"});
  late.read(2, 3, "a", 1, {});
  late.read(4, 5, "a", 2, {kv("a", "2", 2, 2, 1)});
  EXPECT_EQ(late.kind(), Kind::kLinearizable);
  late.read(6, 7, "a", 1, {});
  EXPECT_EQ(late.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, AnUnknownWriteIsNotDoneBeforeItsCall) {
  History h;
  h.read(1, 2, "a", 2, {kv("a", "2", 2, 2, 1)});
  h.unknown(3, PutRequest{.key = "a", .value = "2"});
  EXPECT_EQ(h.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, ARefusedWriteChangesNothing) {
  History h;
  h.refused(1, 2, PutRequest{.key = "a", .value = "1"},
            "etcdserver: mvcc: database space exceeded");
  h.read(3, 4, "a", 1, {});
  EXPECT_EQ(h.kind(), Kind::kLinearizable);
  h.read(5, 6, "a", 2, {kv("a", "1", 2, 2, 1)});
  EXPECT_EQ(h.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, FindsATransactionThatTookTheWrongBranch) {
  TxnRequest txn;
  txn.compares = {{.target = Compare::Target::kMod, .key = "a", .number = 2}};
  txn.success = {PutRequest{.key = "a", .value = "2"}};
  txn.failure = {RangeRequest{.key = "a"}};
  History h;
  h.put(1, 2, "a", "1", 2);
  h.done(3, 4, txn, TxnResponse{2, false, {RangeResponse{2, {kv("a", "1", 2, 2, 1)}, false, 1}}});
  EXPECT_EQ(h.kind(), Kind::kViolation);
  h.calls.pop_back();
  h.done(3, 4, txn, TxnResponse{3, true, {PutResponse{3, std::nullopt}}});
  EXPECT_EQ(h.kind(), Kind::kLinearizable);
}

TEST(LinearizabilityTest, TwoWritersCannotBothWinACompare) {
  TxnRequest txn;
  txn.compares = {{.target = Compare::Target::kVersion, .key = "a", .number = 0}};
  txn.success = {PutRequest{.key = "a", .value = "1"}};
  History h;
  h.done(1, 4, txn, TxnResponse{2, true, {PutResponse{2, std::nullopt}}});
  h.done(2, 3, txn, TxnResponse{3, true, {PutResponse{3, std::nullopt}}});
  EXPECT_EQ(h.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, LeasesTakeTheirKeysInOneRevision) {
  History h;
  h.done(1, 2, GrantRequest{7, 60}, etcd::LeaseAnswer{.revision = 1, .id = 7});
  h.done(3, 4, PutRequest{.key = "a", .value = "1", .lease = 7}, PutResponse{2, std::nullopt});
  h.done(5, 6, PutRequest{.key = "b", .value = "1", .lease = 7}, PutResponse{3, std::nullopt});
  h.done(7, 8, TimeToLiveRequest{7},
         etcd::LeaseAnswer{.revision = 3, .id = 7, .granted_ttl_seconds = 60, .keys = {"a", "b"}});
  h.done(9, 10, RevokeRequest{7}, HeaderOnly{4});
  History whole = h, half = h, gone = h;
  whole.done(11, 12, both(), RangeResponse{4, {}, false, 0});
  EXPECT_EQ(whole.kind(), Kind::kLinearizable);
  half.done(11, 12, both(), RangeResponse{4, {kv("b", "1", 3, 3, 1, 7)}, false, 1});
  EXPECT_EQ(half.kind(), Kind::kViolation);
  gone.done(11, 12, TimeToLiveRequest{7},
            etcd::LeaseAnswer{.revision = 4, .id = 7, .granted_ttl_seconds = 60});
  EXPECT_EQ(gone.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, FindsALeaseThatIsLost) {
  History h;
  h.done(1, 2, GrantRequest{7, 60}, etcd::LeaseAnswer{.revision = 1, .id = 7});
  h.refused(3, 4, PutRequest{.key = "a", .value = "1", .lease = 7},
            "etcdserver: requested lease not found");
  EXPECT_EQ(h.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, ACompactionIsForEver) {
  History h;
  h.put(1, 2, "a", "1", 2);
  h.put(3, 4, "a", "2", 3);
  h.done(5, 6, CompactRequest{3}, HeaderOnly{3});
  h.refused(7, 8, RangeRequest{.key = "a", .revision = 2},
            "etcdserver: mvcc: required revision has been compacted");
  EXPECT_EQ(h.kind(), Kind::kLinearizable);
  h.done(9, 10, RangeRequest{.key = "a", .revision = 2},
         RangeResponse{3, {kv("a", "1", 2, 2, 1)}, false, 1});
  EXPECT_EQ(h.kind(), Kind::kViolation);
}

TEST(LinearizabilityTest, TheLogDecidesWhatAnUnknownWriteDid) {
  History h;
  h.unknown(1, PutRequest{.key = "a", .value = "1"});
  h.unknown(2, PutRequest{.key = "b", .value = "1"});
  Log log = {{put_event(kv("b", "1", 2, 2, 1))}, {put_event(kv("a", "1", 3, 3, 1))}};
  auto verdict = check_linearizable(h.calls, &log);
  ASSERT_EQ(verdict.kind, Kind::kLinearizable);
  EXPECT_EQ(verdict.state.revision(), 3);
  EXPECT_EQ(verdict.state.at(2)->keys.count("b"), 1u);
  log.push_back({put_event(kv("c", "1", 4, 4, 1))});
  EXPECT_EQ(check_linearizable(h.calls, &log).kind, Kind::kViolation)
      << "an event of a write that nobody asked for";
  log.pop_back();
  log[1][0].kv.value = "2";
  EXPECT_EQ(check_linearizable(h.calls, &log).kind, Kind::kViolation);
}

TEST(LinearizabilityTest, AWriteThatWatchersWereNotToldOfIsFound) {
  History h;
  h.put(1, 2, "a", "1", 2);
  Log log;
  EXPECT_EQ(check_linearizable(h.calls, &log).kind, Kind::kViolation);
}

}  // namespace
}  // namespace rs::store::crash
