// What the client's half writes, the server's half reads, and the other way round.
#include "store/etcd/client_messages.h"

#include <gtest/gtest.h>

#include "store/etcd/messages.h"

namespace rs::store::etcd {
namespace {

const Ids kIds{7, 8, 2};

TEST(ClientMessages, ARangeRequestArrivesWhole) {
  RangeRequest sent{.key = "a", .range_end = "b", .limit = 3, .revision = 4, .order = RangeRequest::Order::kDescend,
                    .target = RangeRequest::Target::kMod, .serializable = true, .keys_only = true, .count_only = true,
                    .min_mod_revision = 5, .max_mod_revision = 6, .min_create_revision = 7, .max_create_revision = 8};
  auto got = decode_range(encode(sent));
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(encode(*got), encode(sent));
  EXPECT_EQ(got->max_create_revision, 8);
  EXPECT_EQ(got->target, RangeRequest::Target::kMod);
}

TEST(ClientMessages, ANestedTxnArrivesWhole) {
  auto inner = std::make_shared<TxnRequest>();
  inner->success.push_back(DeleteRangeRequest{"k", "l", true});
  TxnRequest sent;
  sent.compares.push_back({Compare::Result::kLess, Compare::Target::kVersion, "a", "b", 0, ""});
  sent.compares.push_back({Compare::Result::kNotEqual, Compare::Target::kValue, "a", "", 0, "v"});
  sent.success.push_back(PutRequest{"a", "1", 9, true, false, false});
  sent.success.push_back(std::shared_ptr<const TxnRequest>(inner));
  sent.failure.push_back(RangeRequest{.key = "a"});
  auto got = decode_txn(encode(sent));
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(encode(*got), encode(sent));
  ASSERT_EQ(got->success.size(), 2u);
  EXPECT_EQ(std::get<PutRequest>(got->success[0]).lease, 9);
}

TEST(ClientMessages, ATxnAnswerArrivesWhole) {
  TxnResponse sent;
  sent.revision = 12;
  sent.succeeded = true;
  sent.responses.emplace_back(PutResponse{12, KeyValue{"a", "0", 3, 4, 2, 9}});
  sent.responses.emplace_back(RangeResponse{12, {{"b", "1", 5, 5, 1, 0}}, true, 17});
  sent.responses.emplace_back(DeleteRangeResponse{12, 2, {{"c", "2", 6, 6, 1, 0}}});
  sent.responses.emplace_back(std::make_shared<const TxnResponse>(TxnResponse{12, false, {}}));
  auto got = decode_txn_response(encode(kIds, sent));
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(encode(kIds, *got), encode(kIds, sent));
  EXPECT_EQ(std::get<RangeResponse>(got->responses[1]).count, 17);
}

TEST(ClientMessages, AWatchArrivesWholeAndSoDoItsEvents) {
  auto create = decode_watch(encode(WatchCreate{{"k", "l", 5, true, true, false}, 3, true, true}));
  ASSERT_TRUE(create.has_value());
  EXPECT_EQ(create->kind, WatchMessage::Kind::kCreate);
  EXPECT_TRUE(create->create.no_put && !create->create.no_delete && create->progress_notify && create->fragment);
  EXPECT_EQ(create->create.start_revision, 5);
  EXPECT_EQ(create->watch_id, 3);

  mvcc::EventSlot slot;
  slot.event = std::make_shared<Event>(Event{Event::Type::kDelete, {"k", "", 0, 6, 0, 0}, KeyValue{"k", "v", 2, 3, 1, 0}});
  Writer out;
  write_header(out, kIds, 6);
  write_watch_answer(out, {.revision = 6, .watch_id = 3, .fragment = true});
  out.append(*encoded_event(slot, false));
  auto got = decode_watch_response(out.take());
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->revision, 6);
  EXPECT_TRUE(got->fragment);
  ASSERT_EQ(got->events.size(), 1u);
  EXPECT_EQ(got->events[0].type, Event::Type::kDelete);
  EXPECT_EQ(got->events[0].prev_kv->value, "v");
}

TEST(ClientMessages, GroupsOfUnknownFieldsAreSkipped) {
  // Field 100 as a group (wire types 3 and 4) with a number, a text and a group inside: Go's generated code skips it.
  const std::string group("\xa3\x06\x08\x07\x12\x01x\x1b\x1c\xa4\x06", 11);
  auto range = decode_range(group + encode(RangeRequest{.key = "k", .limit = 3}));
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->key, "k");
  EXPECT_EQ(range->limit, 3);
  EXPECT_FALSE(decode_range("\xa3\x06\x08\x07").has_value()) << "without an end";
  EXPECT_FALSE(decode_range("\xa4\x06").has_value()) << "an end without a beginning";
}

TEST(ClientMessages, GarbageIsAnError) {
  EXPECT_FALSE(decode_range_response("\x0a\xff").has_value());
  EXPECT_FALSE(decode_txn_response(std::string("\x1a\x7f", 2)).has_value());
  EXPECT_FALSE(decode_watch_response("\x08\x01").has_value());
}

}  // namespace
}  // namespace rs::store::etcd
