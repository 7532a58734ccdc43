// Proto JSON both ways. Answers marked "etcd 3.4.23" are what Debian's etcd answered over its
// gateway; errors of values are protojson's (etcd 3.6), errors of syntax encoding/json's (every
// etcd).
#include "store/etcd/gateway/transcode.h"

#include <gtest/gtest.h>

#include "store/etcd/gateway/base64.h"
#include "store/etcd/gateway/json_text.h"
#include "store/etcd/messages.h"

namespace rs::store::etcd::gateway {
namespace {

class TranscodeTest : public ::testing::Test {
 protected:
  const MessageType& type(std::string_view name) {
    return *schema_.message("etcdserverpb." + std::string(name));
  }
  std::string bytes(std::string_view name, std::string_view json) {
    auto message = to_protobuf(type(name), json);
    return message ? *message : "error: " + message.error().message;
  }
  // The JSON as it comes back.
  std::string through(std::string_view name, std::string_view json) {
    auto message = to_protobuf(*schema_.message(name), json);
    if (!message) return message.error().message;
    std::string out;
    EXPECT_TRUE(append_json(out, *schema_.message(name), *message));
    return out;
  }
  std::string error(std::string_view name, std::string_view json) {
    auto message = to_protobuf(type(name), json);
    return message ? "no error" : message.error().message;
  }
  const Schema schema_;
};

// etcd 3.4.23: each is an answer as it came, so nothing of it may change on the way to protobuf and
// back.
TEST_F(TranscodeTest, AnswersOfEtcdComeBackAsTheyWere) {
  constexpr std::pair<std::string_view, std::string_view> kAnswers[] = {
      {"etcdserverpb.RangeResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"2","raft_term":"2"},"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}],"count":"1"})"},
      {"etcdserverpb.TxnResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"5","raft_term":"2"},"succeeded":true,"responses":[{"response_delete_range":{"header":{"revision":"5"},"deleted":"1","prev_kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}]}}]})"},
      {"etcdserverpb.TxnResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"4","raft_term":"2"},"succeeded":true,"responses":[{"response_range":{"header":{"revision":"4"},"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}],"count":"1"}}]})"},
      {"etcdserverpb.WatchResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"2","raft_term":"2"},"events":[{"kv":{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}}]})"},
      {"etcdserverpb.WatchResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"2","raft_term":"2"},"watch_id":"7","created":true})"},
      {"etcdserverpb.LeaseTimeToLiveResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"2","raft_term":"2"},"ID":"42","TTL":"59","grantedTTL":"60"})"},
      {"etcdserverpb.LeaseLeasesResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"2","raft_term":"2"},"leases":[{"ID":"42"}]})"},
      {"etcdserverpb.MemberListResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","raft_term":"2"},"members":[{"ID":"7383792418829112008","name":"default","peerURLs":["http://127.0.0.1:42380"],"clientURLs":["http://127.0.0.1:42379"]}]})"},
      {"etcdserverpb.StatusResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"2","raft_term":"2"},"version":"3.4.23","dbSize":"20480","leader":"7383792418829112008","raftIndex":"8","raftTerm":"2","raftAppliedIndex":"8","dbSizeInUse":"16384"})"},
      {"etcdserverpb.AlarmResponse", R"({"alarms":[{"alarm":"NOSPACE"}]})"},
      {"etcdserverpb.AuthRoleGetResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"2","raft_term":"2"},"perm":[{"permType":"READWRITE","key":"YQ==","range_end":"AA=="}]})"},
      {"etcdserverpb.AuthRoleListResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"2","raft_term":"2"},"roles":["r"]})"},
      {"v3lockpb.LockResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"4","raft_term":"2"},"key":"bC8xMmM4YTIwYjc1MDIwOTFm"})"},
      {"v3electionpb.LeaderResponse", R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"3","raft_term":"2"},"kv":{"key":"ZS8xMmM4YTIwYjc1MDIwOTE5","create_revision":"3","mod_revision":"3","version":"1","value":"dg==","lease":"1353509858116241689"}})"},
      {"v3electionpb.CampaignResponse",
       R"({"header":{"cluster_id":"15875391935852295136","member_id":"7383792418829112008","revision":"3","raft_term":"2"},"leader":{"name":"ZQ==","key":"ZS8xMmM4YTIwYjc1MDIwOTE5","rev":"3","lease":"1353509858116241689"}})"},
  };
  for (const auto& [name, json] : kAnswers) EXPECT_EQ(through(name, json), json);
}

TEST_F(TranscodeTest, RequestsBecomeWhatTheStoreDecodes) {
  auto range = decode_range(
      bytes("RangeRequest", R"({"key":"Zm9v","rangeEnd":"AA==","limit":"7","sort_order":"DESCEND",
      "sortTarget":3,"serializable":true,"unknown":[1,{"a":"b"}],"min_mod_revision":5,"revision":null})"));
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->key, "foo");
  EXPECT_EQ(range->range_end, std::string(1, '\0'));
  EXPECT_EQ(range->limit, 7);
  EXPECT_EQ(range->order, RangeRequest::Order::kDescend);
  EXPECT_EQ(range->target, RangeRequest::Target::kMod);
  EXPECT_EQ(range->min_mod_revision, 5);

  auto txn = decode_txn(
      bytes("TxnRequest",
            R"({"compare":[{"target":"VERSION","result":"NOT_EQUAL","key":"YQ==","version":"0"}],
      "success":[{"requestPut":{"key":"YQ==","value":"Yg==","lease":"-1"}}],
      "failure":[{"request_txn":{"success":[{"request_delete_range":{"key":"Yw=="}}]}}]})"));
  ASSERT_TRUE(txn.has_value());
  EXPECT_EQ(txn->compares.size(), 1u);
  EXPECT_EQ(txn->success.size(), 1u);
  EXPECT_EQ(txn->failure.size(), 1u);

  auto watch = decode_watch(bytes(
      "WatchRequest", R"({"create_request":{"key":"YQ==","filters":["NOPUT"],"watch_id":9}})"));
  ASSERT_TRUE(watch.has_value());
  EXPECT_EQ(watch->kind, WatchMessage::Kind::kCreate);
  EXPECT_TRUE(watch->create.no_put);
  EXPECT_EQ(watch->watch_id, 9);
  // A member of a oneof is there even when it is empty.
  EXPECT_EQ(bytes("WatchRequest", R"({"progress_request":{}})"), std::string("\x1a\0", 2));
}

TEST_F(TranscodeTest, NumbersComeAsStringsOrNumbersHoweverWritten) {
  for (std::string_view limit : {"10", "\"10\"", "1e1", "10.0", "100e-1", "\"1E+1\"", "0.1e2"})
    EXPECT_EQ(through("etcdserverpb.RangeRequest", fmt::format(R"({{"limit":{}}})", limit)),
              R"({"limit":"10"})")
        << limit;
  EXPECT_EQ(through("etcdserverpb.RangeRequest", R"({"limit":"-9223372036854775808"})"),
            R"({"limit":"-9223372036854775808"})");
  EXPECT_EQ(through("etcdserverpb.MemberRemoveRequest", R"({"ID":18446744073709551615})"),
            R"({"ID":"18446744073709551615"})");
  EXPECT_EQ(through("etcdserverpb.RangeRequest", R"({"limit":-0,"sort_order":-1})"),
            R"({"sort_order":-1})");
  for (std::string_view limit : {"1.5", "\"abc\"", "\"\"", "\" 1\"", "\"9223372036854775808\"",
                                 "1e19", "true", "1e-1", "1e99999999"})
    EXPECT_EQ(error("RangeRequest", fmt::format(R"({{"limit":{}}})", limit)),
              fmt::format("proto: (line 1:10): invalid value for int64 field limit: {}", limit));
  EXPECT_EQ(error("MemberRemoveRequest", R"({"ID":-1})"),
            "proto: (line 1:7): invalid value for uint64 field ID: -1");
}

TEST_F(TranscodeTest, WrongValuesAreNamed) {
  EXPECT_EQ(error("RangeRequest", R"({"key":"%%%"})"),
            R"(proto: (line 1:8): invalid value for bytes field key: "%%%")");
  EXPECT_EQ(error("RangeRequest", R"({"key":5})"),
            "proto: (line 1:8): invalid value for bytes field key: 5");
  EXPECT_EQ(error("RangeRequest", "{\n \"sort_order\":\"NOPE\"}"),
            R"(proto: (line 2:15): invalid value for enum field sortOrder: "NOPE")");
  EXPECT_EQ(error("RangeRequest", R"({"serializable":"true"})"),
            R"(proto: (line 1:17): invalid value for bool field serializable: "true")");
  EXPECT_EQ(error("RangeRequest", R"({"key":"YQ==","key":"YQ=="})"),
            R"(proto: (line 1:15): duplicate field "key")");
  EXPECT_EQ(error("RangeRequest", "[]"), "proto: syntax error (line 1:1): unexpected token [");
  EXPECT_EQ(error("RangeRequest", "null"), "proto: syntax error (line 1:1): unexpected token null");
  EXPECT_EQ(error("TxnRequest", R"({"compare":{}})"),
            "proto: syntax error (line 1:12): unexpected token {");
  EXPECT_EQ(error("TxnRequest", R"({"compare":[null]})"),
            "proto: syntax error (line 1:13): unexpected token null");
  EXPECT_EQ(
      error("TxnRequest", R"({"success":[{"request_put":{},"request_range":{}}]})"),
      R"(proto: (line 1:31): error parsing "request_range", oneof etcdserverpb.RequestOp.request is already set)");
  EXPECT_EQ(error("AuthUserGetRequest", "{\"name\":\"\xff\"}"),
            "proto: syntax error (line 1:9): invalid UTF-8 in string");
}

// etcd 3.4.23 for the first four; the others from encoding/json's scanner.go.
TEST_F(TranscodeTest, BrokenTextIsRefusedInTheWordsOfEncodingJson) {
  constexpr std::pair<std::string_view, std::string_view> kBroken[] = {
      {R"({"key":"Zm9v",})", "invalid character '}' looking for beginning of object key string"},
      {R"({"key":"Zm9)", "unexpected EOF"},
      {"x", "invalid character 'x' looking for beginning of value"},
      {R"({"key":'a'})", R"(invalid character '\'' looking for beginning of value)"},
      {R"({"key" 1})", "invalid character '1' after object key"},
      {R"({"key":1 "b"})", "invalid character '\"' after object key:value pair"},
      {"[1 2]", "invalid character '2' after array element"},
      {"[1,]", "invalid character ']' looking for beginning of value"},
      {"{\"a\":\"\n\"}", "invalid character '\\n' in string literal"},
      {R"({"a":"\x"})", "invalid character 'x' in string escape code"},
      {R"({"a":"\u00g0"})", R"(invalid character 'g' in \u hexadecimal character escape)"},
      {R"({"a":-x})", "invalid character 'x' in numeric literal"},
      {R"({"a":1.x})", "invalid character 'x' after decimal point in numeric literal"},
      {R"({"a":1ex})", "invalid character 'x' in exponent of numeric literal"},
      {R"({"a":trux})", "invalid character 'x' in literal true (expecting 'e')"},
      {R"({"a":01})", "invalid character '1' after object key:value pair"},
      {"\xe9", "invalid character 'é' looking for beginning of value"},
      {"{\"a\":\x01}", "invalid character '\\x01' looking for beginning of value"},
  };
  for (const auto& [text, words] : kBroken) EXPECT_EQ(error("RangeRequest", text), words);
}

TEST_F(TranscodeTest, WhatFollowsTheFirstValueIsNotReadAndNothingIsAnEmptyMessage) {
  EXPECT_EQ(bytes("RangeRequest", ""), "");
  EXPECT_EQ(bytes("RangeRequest", " \n"), "");
  EXPECT_EQ(bytes("RangeRequest", R"({"key":"YQ=="} trailing)"),
            "\x0a\x01"
            "a");
}

TEST_F(TranscodeTest, DepthIsLimited) {
  std::string deep(1'000'000, '[');
  EXPECT_EQ(error("RangeRequest", deep), "exceeded max depth");
  std::string txn = "{}";
  for (int i = 0; i < 100; ++i) txn = R"({"success":[{"request_txn":)" + txn + "}]}";
  EXPECT_EQ(through("etcdserverpb.TxnRequest", txn), txn);
}

TEST_F(TranscodeTest, TextIsEscapedAndRepaired) {
  EXPECT_EQ(through("etcdserverpb.AuthUserGetRequest",
                    R"({"name":"\ud83d\ude00\u00e9\n\t\"\\\/\u0001<"})"),
            "{\"name\":\"\U0001F600é\\n\\t\\\"\\\\/\\u0001<\"}");
  std::string out;
  EXPECT_TRUE(append_json(out, type("AuthUserGetRequest"),
                          "\x0a\x02"
                          "a\xff"));
  EXPECT_EQ(out, "{\"name\":\"a\xef\xbf\xbd\"}");
  EXPECT_EQ(error("AuthUserGetRequest", R"({"name":"\ud83d"})"),
            "proto: syntax error (line 1:9): invalid escape code \"\\\\ud83d\" in string");
}

TEST_F(TranscodeTest, PackedAndUnpackedNumbersAndUnknownFieldsAreRead) {
  std::string out;
  EXPECT_TRUE(append_json(out, type("WatchCreateRequest"),
                          std::string_view("\x2a\x02\x01\x00\x28\x01\x7a\x01x", 9)));
  EXPECT_EQ(out, R"({"filters":["NODELETE","NOPUT","NODELETE"]})");
  EXPECT_FALSE(append_json(out, type("WatchCreateRequest"),
                           "\x0a\x05"
                           "ab"));
}

// RFC 4648 section 10, and the URL-safe alphabet.
TEST(Base64Test, EitherAlphabetWithOrWithoutPadding) {
  constexpr std::pair<std::string_view, std::string_view> kPairs[] = {
      {"", ""},        {"f", "Zg=="},          {"fo", "Zm8="},
      {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {"\xff\xef\xbf", "/++/"}};
  for (const auto& [plain, encoded] : kPairs) {
    std::string out;
    append_base64(out, plain);
    EXPECT_EQ(out, encoded);
    EXPECT_EQ(decode_base64(encoded), plain);
    EXPECT_EQ(decode_base64(encoded.substr(0, encoded.find('='))), plain);
  }
  EXPECT_EQ(decode_base64("_--_"), "\xff\xef\xbf");
  for (std::string_view wrong :
       {"Z", "Zg=", "Zg===", "=", "Z=g=", "Zm9v=", "/-8=", "Zm 9v", "Zg==Zg=="})
    EXPECT_EQ(decode_base64(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace rs::store::etcd::gateway
