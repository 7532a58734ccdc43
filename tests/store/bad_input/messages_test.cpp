// What a gRPC client can send wrongly: each case is answered with the same code and words by
// etcd 3.4.23, where it is installed, but for the differences named with the case.
#include "store/etcd/messages.h"
#include "fixture.h"

namespace rs::store::bad_input {
namespace {

using etcd::Writer;
using Fill = void (*)(Writer&);

std::string message(Fill fill) {
  Writer out;
  fill(out);
  return out.take();
}

constexpr const char* kRange = "/etcdserverpb.KV/Range";
constexpr const char* kPut = "/etcdserverpb.KV/Put";
constexpr const char* kDelete = "/etcdserverpb.KV/DeleteRange";
constexpr const char* kTxn = "/etcdserverpb.KV/Txn";
constexpr const char* kCompact = "/etcdserverpb.KV/Compact";
constexpr const char* kGrant = "/etcdserverpb.Lease/LeaseGrant";
constexpr const char* kRevoke = "/etcdserverpb.Lease/LeaseRevoke";

enum class Peer {
  kSame,
  kSameCode,
  kDiffers
};  // of etcd 3.4.23: code and words, only the code, nothing

struct Case {
  const char* name;
  const char* path;
  std::string body;  // a whole gRPC message
  int status;
  std::string text;  // "": success; ends with "*": begins so
  Peer peer = Peer::kSame;
};

bool matches(const Answer& answer, const Case& c, bool words) {
  if (answer.grpc_status != c.status) return false;
  if (!words) return true;
  if (c.text.ends_with('*'))
    return answer.grpc_message.starts_with(c.text.substr(0, c.text.size() - 1));
  return answer.grpc_message == c.text;
}

std::string shown(const Answer& answer) {
  return std::to_string(answer.grpc_status) + " \"" + answer.grpc_message.substr(0, 300) + "\"";
}

std::string put_of(std::string_view key, size_t value_bytes) {
  Writer out;
  out.bytes(1, key);
  out.bytes(2, std::string(value_bytes, 'v'));
  return out.take();
}

// A transaction in a transaction, and so on, and a put at the bottom.
std::string nested(int depth) {
  Writer bottom;
  bottom.message(2, [](Writer& op) { op.message(2, [](Writer& put) { put.bytes(1, "nested"); }); });
  std::string txn = bottom.take();
  for (int i = 1; i < depth; ++i) {
    Writer outer;
    outer.message(2, [&](Writer& op) { op.element(4, txn); });
    txn = outer.take();
  }
  return txn;
}

std::string puts(int count) {
  Writer out;
  for (int i = 0; i < count; ++i)
    out.message(2, [&](Writer& op) {
      op.message(2, [&](Writer& put) { put.bytes(1, "t" + std::to_string(i)); });
    });
  return out.take();
}

// The key, a tag and a length take 8 bytes: a request of exactly `bytes`.
std::string put_of_size(size_t bytes) {
  return put_of("big", bytes - 5 - 1 - 3);
}

std::vector<Case> cases() {
  constexpr size_t kLimit = 1536 << 10, kReceive = 2 << 20;
  auto number = [](uint32_t field, int64_t value) {
    Writer out;
    out.number(field, uint64_t(value));
    return out.take();
  };
  const std::string key_k = message([](Writer& w) { w.bytes(1, "k"); });
  std::vector<Case> all = {
      // ---- sizes ----
      {"a request under the limit", kPut, put_of_size(kLimit - 100), 0, ""},
      // The Raft log adds 17 or 18 bytes, which count (etcdserver/v3_server.go, processInternalRaftRequestOnce): its id of
      // the request has 9 or 10.
      {"a request at the limit", kPut, put_of_size(kLimit - 18), 0, ""},
      {"a request just over the limit", kPut, put_of_size(kLimit - 16), 3,
       "etcdserver: request is too large"},
      {"a user with a name over the limit", "/etcdserverpb.Auth/UserAdd",
       put_of_size(kLimit + 1), 3, "etcdserver: request is too large"},
      {"a lock with a name over the limit", "/v3lockpb.Lock/Lock",
       message([](Writer& w) { w.bytes(1, std::string(kLimit + 1, 'n')); }), 2,
       "etcdserver: request is too large"},
      {"a request over the limit", kPut, put_of_size(kLimit + 1), 3,
       "etcdserver: request is too large"},
      {"a message at the limit of gRPC", kPut, put_of_size(kReceive), 3,
       "etcdserver: request is too large"},
      {"a message over it", kPut, put_of_size(kReceive + 1), 8,
       "grpc: received message larger than max (2097153 vs. 2097152)"},
      {"a range over the limit of writes", kRange,
       message([](Writer& w) { w.bytes(1, std::string(1700 << 10, 'k')); }), 0, ""},
      // ---- not protobuf ----
      {"a field number 0", kPut, std::string("\x02\x01k", 3), 13,
       "grpc: error unmarshalling request: *", Peer::kSameCode},
      {"a length past the end", kPut, std::string("\x0a\x7fk", 3), 13,
       "grpc: error unmarshalling request: *", Peer::kSameCode},
      {"an endless varint", kRange, std::string("\x0a\x01k\x18") + std::string(11, '\xff'), 13,
       "grpc: error unmarshalling request: *", Peer::kSameCode},
      {"a key that is a number", kPut, std::string("\x08\x01", 2), 13,
       "grpc: error unmarshalling request: *", Peer::kSameCode},
      {"a group", kPut, std::string("\x0b\x0a\x01k\x0c", 5), 13,
       "grpc: error unmarshalling request: *", Peer::kSameCode},
      {"unknown fields", kRange,
       key_k + std::string("\xfa\x7f\1x\xf9\x7f"
                           "12345678"
                           "\xfd\x7f"
                           "1234",
                           20),
       0, ""},
      {"unknown fields of small messages", "/etcdserverpb.Lease/LeaseTimeToLive",
       std::string("\x08\x05\xf9\x7f"
                   "12345678"
                   "\xfd\x7f"
                   "1234",
                   18),
       0, ""},
      // ---- keys ----
      {"a range without a key", kRange, "", 3, "etcdserver: key is not provided"},
      {"a put without a key", kPut, "", 3, "etcdserver: key is not provided"},
      {"a delete without a key", kDelete, "", 3, "etcdserver: key is not provided"},
      {"a range that ends before it begins", kRange,
       message([](Writer& w) { w.bytes(1, "k"), w.bytes(2, "a"); }), 0, ""},
      {"a delete that ends before it begins", kDelete,
       message([](Writer& w) { w.bytes(1, "k"), w.bytes(2, "a"); }), 0, ""},
      // ---- revisions ----
      {"the least revision", kRange, key_k + number(4, INT64_MIN), 0, ""},
      {"the greatest revision", kRange, key_k + number(4, INT64_MAX), 11,
       "etcdserver: mvcc: required revision is a future revision"},
      {"compaction at the least revision", kCompact, number(1, INT64_MIN), 11,
       "etcdserver: mvcc: required revision has been compacted"},
      {"compaction at the greatest revision", kCompact, number(1, INT64_MAX), 11,
       "etcdserver: mvcc: required revision is a future revision"},
      {"compaction at no revision", kCompact, "", 0, ""},
      // ---- limits ----
      {"the greatest limit", kRange, key_k + number(3, INT64_MAX), 0, ""},
      {"a negative limit", kRange, key_k + number(3, -1), 0, ""},
      {"the least limit", kRange, key_k + number(3, INT64_MIN), 0, ""},
      {"a revision filter that excludes all", kRange,
       key_k + number(10, INT64_MAX) + number(11, INT64_MIN) + number(3, INT64_MAX), 0, ""},
      {"an unknown order", kRange, key_k + number(5, 77), 3, "etcdserver: invalid sort option",
       Peer::kDiffers},
      {"an unknown target", kRange, key_k + number(6, 77), 3, "etcdserver: invalid sort option",
       Peer::kDiffers},
      {"a negative order", kRange, key_k + number(5, -1), 3, "etcdserver: invalid sort option",
       Peer::kDiffers},
      // ---- leases ----
      {"a put with a lease nobody has", kPut, key_k + number(3, 999), 5,
       "etcdserver: requested lease not found"},
      {"a put with a negative lease", kPut, key_k + number(3, -999), 5,
       "etcdserver: requested lease not found"},
      {"a TTL too large", kGrant, number(1, 9'000'000'001), 11, "etcdserver: too large lease TTL"},
      {"the greatest TTL", kGrant, number(1, INT64_MAX), 11, "etcdserver: too large lease TTL"},
      {"a TTL of 0", kGrant, number(2, 1000), 0, ""},
      {"a negative TTL", kGrant, number(1, INT64_MIN) + number(2, 1001), 0, ""},
      {"a largest TTL", kGrant, number(1, 9'000'000'000) + number(2, 1002), 0, ""},
      {"a lease twice", kGrant, number(1, 100) + number(2, 1002), 9,
       "etcdserver: lease already exists"},
      {"a negative lease id", kGrant, number(1, 100) + number(2, -5), 0, ""},
      {"a negative lease id twice", kGrant, number(1, 100) + number(2, -5), 9,
       "etcdserver: lease already exists"},
      {"the least lease id", kGrant, number(1, 100) + number(2, INT64_MIN), 0, ""},
      {"the least lease id revoked", kRevoke, number(1, INT64_MIN), 0, ""},
      {"a lease nobody has revoked", kRevoke, number(1, 4711), 5,
       "etcdserver: requested lease not found"},
      {"no lease revoked", kRevoke, "", 5, "etcdserver: requested lease not found"},
      // ---- puts ----
      {"a value to be ignored", kPut,
       message([](Writer& w) { w.bytes(1, "k"), w.bytes(2, "v"), w.boolean(5, true); }), 3,
       "etcdserver: value is provided"},
      {"a lease to be ignored", kPut,
       message([](Writer& w) { w.bytes(1, "k"), w.number(3, 1002), w.boolean(6, true); }), 3,
       "etcdserver: lease is provided"},
      {"the value of a key that is not there", kPut,
       message([](Writer& w) { w.bytes(1, "none"), w.boolean(5, true); }), 3,
       "etcdserver: key not found"},
      // ---- transactions ----
      {"nothing to do", kTxn, "", 0, ""},
      {"128 operations", kTxn, puts(128), 0, ""},
      {"129 operations", kTxn, puts(129), 3, "etcdserver: too many operations in txn request"},
      {"129 operations, one without a key", kTxn,
       puts(128) + message([](Writer& w) {
         w.message(2, [](Writer& op) { op.message(1, [](Writer&) {}); });
       }),
       3, "etcdserver: too many operations in txn request"},
      {"an operation that is none", kTxn, message([](Writer& w) { w.message(2, [](Writer&) {}); }),
       3, "etcdserver: key not found"},
      {"a compare without a key", kTxn, message([](Writer& w) { w.message(1, [](Writer&) {}); }), 3,
       "etcdserver: key is not provided"},
      {"a compare of no known target", kTxn, message([](Writer& w) {
         w.message(1, [](Writer& c) { c.number(2, 77), c.bytes(3, "k"); });
       }),
       0, ""},
      {"a compare of no known kind", kTxn, message([](Writer& w) {
         w.message(1, [](Writer& c) { c.number(1, 77), c.number(2, 77), c.bytes(3, "k"); });
       }),
       0, ""},
      {"a key put twice", kTxn, puts(1) + puts(1), 3,
       "etcdserver: duplicate key given in txn request"},
      {"a nested range of the future", kTxn, message([](Writer& w) {
         w.message(2, [](Writer& op) {
           op.message(1, [](Writer& range) { range.bytes(1, "k"), range.number(4, INT64_MAX); });
         });
         w.message(2, [](Writer& op) { op.message(2, [](Writer& put) { put.bytes(1, "k"); }); });
       }),
       11, "etcdserver: mvcc: required revision is a future revision"},
      {"transactions in transactions", kTxn, nested(20), 0, ""},
      {"transactions in transactions, too deep", kTxn, nested(200), 3,
       "etcdserver: too many operations in txn request",
       Peer::kDiffers},  // 3.4 gives every level the whole budget
      {"transactions in transactions, far too deep", kTxn, nested(20'000), 3,
       "etcdserver: too many operations in txn request", Peer::kDiffers},
      // ---- others ----
      {"a member nobody knows removed", "/etcdserverpb.Cluster/MemberRemove", number(1, 77), 5,
       "etcdserver: member not found"},
      {"a member nobody knows promoted", "/etcdserverpb.Cluster/MemberPromote", number(1, 77), 5,
       "etcdserver: member not found"},
      {"a member with no address", "/etcdserverpb.Cluster/MemberAdd",
       message([](Writer& w) { w.bytes(1, ":::"); }), 3,
       "etcdserver: given member URLs are invalid"},
      {"a hash of the future", "/etcdserverpb.Maintenance/HashKV", number(1, INT64_MAX), 11,
       "etcdserver: mvcc: required revision is a future revision"},
      {"an alarm of another member", "/etcdserverpb.Maintenance/Alarm",
       number(2, 77) + number(3, 1), 0, ""},
      {"an unknown alarm", "/etcdserverpb.Maintenance/Alarm", number(3, 77), 0, ""},
      {"a service of health nobody knows", "/grpc.health.v1.Health/Check",
       message([](Writer& w) { w.bytes(1, "x"); }), 5, "unknown service"},
      // ---- methods ----
      {"an unknown method", "/etcdserverpb.KV/Nothing", "", 12,
       "unknown method Nothing for service etcdserverpb.KV"},
      {"an unknown service", "/etcdserverpb.Nothing/Range", "", 12,
       "unknown service etcdserverpb.Nothing"},
      {"a path of one part", "/Range", "", 12, "malformed method name: \"/Range\"", Peer::kDiffers},
      {"a path without a slash", "Range", "", 12, "malformed method name: \"Range\"",
       Peer::kDiffers},  // 8 in 3.4
      {"a path of percent signs", "/%00%ff/%zz", "", 12, "unknown service %00%ff"},
  };
  return all;
}

TEST_F(BadInput, MessagesAreAnsweredAsEtcdAnswersThem) {
  const auto etcd = ServerProcess::etcd();
  RawClient ours = connect();
  std::optional<RawClient> theirs;
  if (etcd != nullptr) theirs.emplace(etcd->port());
  for (const Case& c : cases()) {
    const Answer answer = ours.wait(ours.call(c.path, c.body));
    EXPECT_TRUE(matches(answer, c, true)) << c.name << ": " << shown(answer);
    if (!theirs || c.peer == Peer::kDiffers) continue;
    const Answer their_answer = theirs->wait(theirs->call(c.path, c.body));
    EXPECT_TRUE(matches(their_answer, c, c.peer == Peer::kSame))
        << "etcd, " << c.name << ": " << shown(their_answer);
    if (theirs->closed()) theirs.emplace(etcd->port());
  }
  EXPECT_FALSE(ours.closed());
}

// The frames around the message (PROTOCOL-HTTP2.md). Answers are ours: grpc-go's differ between its
// versions.
TEST_F(BadInput, FramesOfMessagesAreChecked) {
  const std::string key = message([](Writer& w) { w.bytes(1, "k"); });
  struct {
    const char* name;
    std::string body;
    int status;
    std::string text;
  } const frames[] = {
      {"compressed, but not said how", grpc_frame(key, 1), 13,
       "grpc: compressed flag set with identity or empty encoding"},
      {"an unknown flag", grpc_frame(key, 7), 13, "grpc: received unexpected payload format 7"},
      {"two messages", grpc_frame(key) + grpc_frame(key), 13,
       "more than one message in a unary call"},
      {"no message", "", 13, "a unary call needs exactly one message"},
      {"half a message", grpc_frame(key).substr(0, 6), 13,
       "a unary call needs exactly one message"},
      {"half a prefix", grpc_frame(key).substr(0, 3), 13, "a unary call needs exactly one message"},
      {"a length of 4 GiB", std::string("\0\xff\xff\xff\xff", 5), 8,
       "grpc: received message larger than max (4294967295 vs. 2097152)"},
  };
  RawClient client = connect();
  for (const auto& frame : frames) {
    const Answer& answer = client.wait(client.request(call_fields(kRange), frame.body));
    EXPECT_EQ(answer.grpc_status, frame.status) << frame.name;
    EXPECT_EQ(answer.grpc_message, frame.text) << frame.name;
  }
  EXPECT_FALSE(client.closed());
}

TEST_F(BadInput, HeadersOfCallsAreChecked) {
  RawClient client = connect();
  auto ask = [&](FieldList more, std::string_view path = kRange) {
    FieldList fields = call_fields(path);
    for (auto& field : more) {
      auto it = std::find_if(fields.begin(), fields.end(),
                             [&](const auto& f) { return f.first == field.first; });
      if (it == fields.end())
        fields.push_back(std::move(field));
      else
        *it = std::move(field);
    }
    return client.wait(
        client.request(fields, grpc_frame(message([](Writer& w) { w.bytes(1, "k"); }))));
  };
  Answer answer = ask({{"grpc-encoding", "gzip"}});
  EXPECT_EQ(answer.grpc_status, 12);
  EXPECT_EQ(answer.grpc_message, "grpc: Decompressor is not installed for grpc-encoding \"gzip\"");
  answer = ask({{"grpc-timeout", "soon"}});
  EXPECT_EQ(answer.grpc_status, 13);
  answer = ask({{"content-type", "text/plain"}});
  EXPECT_TRUE(answer.http_status == 404 || answer.http_status == 415 || answer.http_status == 405)
      << answer.http_status;
  answer = ask({{":method", "GET"}});
  EXPECT_NE(answer.http_status, 200);
  answer = ask({{"content-type", "application/grpc+proto"}});
  EXPECT_EQ(answer.grpc_status, 0);
  answer = ask({{"x-long", std::string(20'000, 'x')}});
  EXPECT_EQ(answer.grpc_status, 0) << "headers under the limit are nobody's business";
  // What is repeated to the client must fit into what a client takes.
  answer = ask({}, "/" + std::string(50'000, '%') + "/M");
  EXPECT_EQ(answer.grpc_status, 12);
  EXPECT_FALSE(client.closed());
}

}  // namespace
}  // namespace rs::store::bad_input
