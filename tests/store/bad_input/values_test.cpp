// Watch requests that ask for what cannot be (reference: etcd-api.md A.6).
#include "fixture.h"
#include "store/etcd/messages.h"

namespace rs::store::bad_input {
namespace {

using etcd::Reader;
using etcd::Writer;

struct WatchReply {
  int64_t id = 0;
  bool created = false, canceled = false;
  int64_t compact_revision = 0;
  std::string reason;
  int events = 0;
};

WatchReply parse(std::string_view message) {
  WatchReply out;
  Reader in(message);
  while (in.next()) {
    switch (in.field()) {
      case 2:
        out.id = in.signed_number();
        break;
      case 3:
        out.created = in.boolean();
        break;
      case 4:
        out.canceled = in.boolean();
        break;
      case 5:
        out.compact_revision = in.signed_number();
        break;
      case 6:
        out.reason = in.text();
        break;
      case 11:
        ++out.events;
        break;
      default:
        break;
    }
  }
  return out;
}

struct Create {
  std::string key = "w", end;
  int64_t start = 0, id = 0;
};

std::string create(const Create& c) {
  Writer out;
  out.message(1, [&](Writer& w) {
    w.bytes(1, c.key);
    w.bytes(2, c.end);
    w.number(3, uint64_t(c.start));
    w.number(7, uint64_t(c.id));
  });
  return grpc_frame(out.take());
}

std::string cancel(int64_t id) {
  Writer out;
  out.message(2, [&](Writer& w) { w.number(1, uint64_t(id)); });
  return grpc_frame(out.take());
}

class Stream {
 public:
  explicit Stream(RawClient& client)
      : client_(client), id_(client.open("/etcdserverpb.Watch/Watch")) {}
  WatchReply ask(const std::string& frame) {
    client_.frame(kData, 0, id_, frame);
    return next();
  }
  WatchReply next() {
    auto messages = client_.wait(id_, ++seen_).messages();
    if (messages.size() < seen_) return {.id = -99, .reason = "no answer"};
    return parse(messages[seen_ - 1]);
  }

 private:
  RawClient& client_;
  const uint32_t id_;
  size_t seen_ = 0;
};

TEST_F(BadInput, WatchesThatCannotBeAreCanceledAndTheStreamGoesOn) {
  RawClient client = connect();
  Stream stream(client);
  WatchReply reply = stream.ask(create({.key = "b", .end = "a"}));
  EXPECT_TRUE(reply.created && reply.canceled);
  EXPECT_EQ(reply.id, -1);
  EXPECT_EQ(reply.reason, "mvcc: watcher range is empty");
  reply = stream.ask(create({.key = "b", .end = "b"}));
  EXPECT_TRUE(reply.created && reply.canceled);
  reply = stream.ask(create({.id = 7}));
  EXPECT_TRUE(reply.created && !reply.canceled);
  EXPECT_EQ(reply.id, 7);
  reply = stream.ask(create({.id = 7}));
  EXPECT_TRUE(reply.created && reply.canceled);
  EXPECT_EQ(reply.id, -1);
  EXPECT_EQ(reply.reason, "mvcc: duplicate watch ID provided on the WatchStream");
  for (const int64_t id : {int64_t(-5), INT64_MIN, INT64_MAX}) {
    reply = stream.ask(create({.id = id}));
    EXPECT_TRUE(reply.created && !reply.canceled);
    EXPECT_EQ(reply.id, id);
  }
  reply = stream.ask(create({}));  // any free id, from 0
  EXPECT_EQ(reply.id, 0);
  reply = stream.ask(create({.start = -1}));
  EXPECT_TRUE(reply.created && reply.canceled);
  EXPECT_EQ(reply.id, -1);
  reply = stream.ask(create({.start = INT64_MAX, .id = 8}));
  EXPECT_TRUE(reply.created && !reply.canceled);
  // Ids nobody has are nothing to cancel; those of here are.
  client.frame(kData, 0, 1, cancel(4711) + cancel(-99));
  reply = stream.ask(cancel(-5));
  EXPECT_TRUE(reply.canceled);
  EXPECT_EQ(reply.id, -5);
}

TEST_F(BadInput, AStreamOfGarbageEndsWithItsError) {
  RawClient client = connect();
  const uint32_t id = client.open("/etcdserverpb.Watch/Watch");
  client.frame(kData, 0, id, grpc_frame("\x0a\x7fx"));
  EXPECT_EQ(client.wait(id).grpc_status, 13);
  const uint32_t flagged = client.open("/etcdserverpb.Lease/LeaseKeepAlive");
  client.frame(kData, 0, flagged, std::string("\x09\0\0\0\1x", 6));
  EXPECT_EQ(client.wait(flagged).grpc_status, 13);
  const uint32_t large = client.open("/etcdserverpb.Watch/Watch");
  client.frame(kData, 0, large, std::string("\0\x7f\xff\xff\xff", 5));
  EXPECT_EQ(client.wait(large).grpc_status, 8);
}

}  // namespace
}  // namespace rs::store::bad_input
