// The checker of watch guarantees, on what watchers might be told: every broken guarantee is found.
// Expected verdicts: reference etcd-api.md A.6.
#include <gtest/gtest.h>

#include "watch_check.h"

namespace rs::store::crash {
namespace {

// Revision 2: a=1. 3: a=2 and b=2 at once. 4: a deleted. 5: b=3.
State four_revisions() {
  TxnRequest txn;
  txn.success = {PutRequest{.key = "a", .value = "2"}, PutRequest{.key = "b", .value = "2"}};
  State state = apply({}, PutRequest{.key = "a", .value = "1"}).state;
  state = apply(state, txn).state;
  state = apply(state, DeleteRangeRequest{.key = "a"}).state;
  return apply(state, PutRequest{.key = "b", .value = "3"}).state;
}

class WatchCheckTest : public ::testing::Test {
 protected:
  WatchCheckTest() {
    watcher_.settled = 5;
    watcher_.create.request = {.key = "a", .range_end = "c", .start_revision = 2};
    told({.revision = 5, .created = true});
  }
  void told(etcd::WatchResponse response, bool progress = false) {
    watcher_.told.push_back({Moment(100), std::move(response), progress});
  }
  // The i-th event of a revision.
  Event event(Revision revision, size_t i = 0) const {
    Event out = state_.at(revision)->events.at(i);
    if (!watcher_.create.request.prev_kv) out.prev_kv.reset();
    return out;
  }
  void events(Revision header, std::vector<Event> events, bool fragment = false) {
    told({.revision = header, .fragment = fragment, .events = std::move(events)});
  }
  void progress(Revision revision) { told({.revision = revision}, true); }
  std::string wrong() const { return check_watcher(watcher_, state_, calls_).value_or(""); }

  const State state_ = four_revisions();
  WatcherRecord watcher_;
  std::vector<Call> calls_;
};

#define EXPECT_WRONG(what) EXPECT_NE(wrong().find(what), std::string::npos) << "said: " << wrong()

TEST_F(WatchCheckTest, AcceptsWhatIsWhole) {
  events(2, {event(2)});
  events(5, {event(3, 0), event(3, 1), event(4)});
  progress(4);
  events(5, {event(5)});
  progress(5);
  EXPECT_EQ(wrong(), "");
}
TEST_F(WatchCheckTest, AcceptsFragments) {
  events(5, {event(2), event(3, 0)}, true);
  events(5, {event(3, 1), event(4), event(5)});
  EXPECT_EQ(wrong(), "");
}
TEST_F(WatchCheckTest, AcceptsPrevKvAndFilters) {
  watcher_.create.request.prev_kv = watcher_.create.request.no_put = true;
  events(4, {event(4)});
  EXPECT_EQ(event(4).prev_kv->value, "2");
  EXPECT_EQ(wrong(), "");
}
TEST_F(WatchCheckTest, FindsADuplicate) {
  events(2, {event(2)});
  events(2, {event(2)});
  EXPECT_WRONG("Unique");
}
TEST_F(WatchCheckTest, FindsADuplicateInOneAnswer) {
  events(2, {event(2), event(2)});
  EXPECT_WRONG("Unique");
}
TEST_F(WatchCheckTest, FindsTheWrongOrder) {
  events(4, {event(2), event(4), event(3, 0), event(3, 1)});
  EXPECT_WRONG("Reliable");
}
TEST_F(WatchCheckTest, FindsAnEventFromBeforeTheStart) {
  watcher_.create.request.start_revision = 3;
  events(5, {event(2)});
  EXPECT_WRONG("Ordered");
}
TEST_F(WatchCheckTest, FindsAGap) {
  events(2, {event(2)});
  events(4, {event(4)});
  EXPECT_WRONG("Reliable");
}
TEST_F(WatchCheckTest, FindsAGapInARevision) {
  events(5, {event(2), event(3, 1)});
  EXPECT_WRONG("it was");
}
TEST_F(WatchCheckTest, FindsARevisionInTwoAnswers) {
  events(5, {event(2), event(3, 0)});
  events(5, {event(3, 1)});
  EXPECT_WRONG("Atomic");
}
TEST_F(WatchCheckTest, FindsWhatIsNotToldAtTheEnd) {
  events(5, {event(2), event(3, 0), event(3, 1), event(4)});
  EXPECT_WRONG("not told of revision 5");
}
TEST_F(WatchCheckTest, FindsAProgressMarkThatComesTooEarly) {
  events(2, {event(2)});
  progress(3);
  events(5, {event(3, 0), event(3, 1), event(4), event(5)});
  EXPECT_WRONG("Bookmarkable");
}
TEST_F(WatchCheckTest, FindsAProgressMarkBeforeTheStart) {
  watcher_.create.request.start_revision = 6;
  progress(5);
  EXPECT_WRONG("Bookmarkable");
}
TEST_F(WatchCheckTest, FindsAProgressMarkOfTheFuture) {
  progress(6);
  EXPECT_WRONG("Bookmarkable");
}
TEST_F(WatchCheckTest, FindsAnEventThatNeverWas) {
  Event invented = event(5);
  invented.kv.mod_revision = 6;
  events(6, {event(2), event(3, 0), event(3, 1), event(4), event(5)});
  events(6, {invented});
  EXPECT_WRONG("never was");
}
TEST_F(WatchCheckTest, FindsAWrongPrevKv) {
  watcher_.create.request.prev_kv = true;
  Event changed = event(3, 0);
  changed.prev_kv->value = "0";
  events(5, {event(2), changed, event(3, 1)});
  EXPECT_WRONG("wrong prev_kv");
}
TEST_F(WatchCheckTest, FindsAMissingPrevKvUnlessItWasCompacted) {
  watcher_.create.request.prev_kv = true;
  Event bare = event(4);
  bare.prev_kv.reset();
  events(5, {event(2), event(3, 0), event(3, 1), bare, event(5)});
  EXPECT_WRONG("no prev_kv");
  calls_.push_back({.called = 1, .request = CompactRequest{4}});
  EXPECT_EQ(wrong(), "");
}
TEST_F(WatchCheckTest, FindsAWrongCreation) {
  Event changed = event(3, 1);
  changed.kv.create_revision = 2;
  events(5, {event(2), event(3, 0), changed});
  EXPECT_WRONG("it was");
}
TEST_F(WatchCheckTest, FindsAnIgnoredFilter) {
  watcher_.create.request.no_delete = true;
  events(5, {event(2), event(3, 0), event(3, 1), event(4)});
  EXPECT_WRONG("Reliable");
}
TEST_F(WatchCheckTest, FindsAKeyOfSomebodyElse) {
  watcher_.create.request.range_end.clear();
  events(5, {event(2), event(3, 0), event(5)});
  EXPECT_WRONG("Reliable");
}
TEST_F(WatchCheckTest, ACancelForCompactionMustBeOne) {
  told({.canceled = true, .compact_revision = 4});
  watcher_.settled = 0;
  EXPECT_WRONG("nobody asked for");
  calls_.push_back({.called = 1, .request = CompactRequest{4}});
  EXPECT_EQ(wrong(), "");
  watcher_.create.request.start_revision = 4;
  EXPECT_WRONG("had got to 4");
}
TEST_F(WatchCheckTest, FindsACreationAtAnOldRevision) {
  watcher_.known = 6;
  EXPECT_WRONG("older");
}
TEST_F(WatchCheckTest, LogsAreWithoutGapsAndAgree) {
  WatcherRecord again;
  again.told.push_back({Moment(100),
                        {.revision = 5, .events = {event(3, 0), event(3, 1), event(4), event(5)}},
                        false});
  events(3, {event(2), event(3, 0), event(3, 1)});
  const WatcherRecord* both[] = {&watcher_, &again};
  auto log = make_log(both);
  ASSERT_TRUE(log.has_value());
  EXPECT_EQ(log->size(), 4u);
  again.told[0].response.events[2].kv.mod_revision = 6;
  EXPECT_FALSE(make_log(both).has_value());
  again.told[0].response.events.resize(2);
  again.told[0].response.events[1].kv.value = "9";
  EXPECT_FALSE(make_log(both).has_value());
}

}  // namespace
}  // namespace rs::store::crash
