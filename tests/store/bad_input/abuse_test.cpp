// Clients that take without end, or never take: what the server holds for one is bounded, and
// nobody else waits for it.
#include <sys/resource.h>

#include "fixture.h"
#include "store/etcd/messages.h"

namespace rs::store::bad_input {
namespace {

using etcd::Writer;

constexpr const char* kRange = "/etcdserverpb.KV/Range";
constexpr const char* kPut = "/etcdserverpb.KV/Put";
constexpr const char* kWatch = "/etcdserverpb.Watch/Watch";
constexpr size_t kHeldBytes = 160 << 20;  // for who is there

std::string put_message(std::string_view key, const std::string& value) {
  Writer out;
  out.bytes(1, key);
  out.bytes(2, value);
  return out.take();
}
std::string range_message(std::string_view key, std::string_view end) {
  Writer out;
  out.bytes(1, key);
  out.bytes(2, end);
  return out.take();
}
std::string create_message(std::string_view key, int64_t start = 0) {
  Writer out;
  out.message(1, [&](Writer& w) {
    w.bytes(1, key);
    w.number(3, uint64_t(start));
  });
  return out.take();
}

class BadInputLarge : public BadInput {
 protected:
  static void SetUpTestSuite() {
    BadInput::SetUpTestSuite();
    // 32 MiB of values, for who asks for much.
    RawClient client(server_->port());
    for (int i = 0; i < 32; ++i) {
      const auto& put = client.wait(
          client.call(kPut, put_message("large/" + std::to_string(i), std::string(1 << 20, 'l'))));
      ASSERT_EQ(put.grpc_status, 0) << put.grpc_message;
    }
    ASSERT_TRUE(serves(*server_));
  }
};

// Sends until the server takes no more, without reading; false: it closed.
bool send_blindly(RawClient& client, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = client.send_some(bytes);
    if (sent < 0) return false;
    if (sent == 0) {
      pollfd wait{client.fd(), POLLOUT, 0};
      if (::poll(&wait, 1, 300) <= 0) return true;  // it has stopped reading, as it should
      continue;
    }
    bytes.remove_prefix(size_t(sent));
  }
  return true;
}

TEST_F(BadInputLarge, RangesThatNobodyReadsAreNotAllMadeAtOnce) {
  // A window of nothing: 60 answers of 32 MiB would be 2 GiB.
  RawClient client(server_->port(), RawClient::Greeting::kPreface, 4096,
                   std::string("\0\x04\0\0\0\0", 6));
  for (int i = 0; i < 60; ++i) client.call(kRange, range_message("large/", "large0"));
  EXPECT_TRUE(serves(*server_));
  expect_memory(kHeldBytes);
  // Nor when many connections ask for one each.
  std::vector<std::unique_ptr<RawClient>> many;
  for (int i = 0; i < 60; ++i) {
    many.push_back(std::make_unique<RawClient>(server_->port(), RawClient::Greeting::kPreface, 4096,
                                               std::string("\0\x04\0\0\0\0", 6)));
    many.back()->call(kRange, range_message("large/", "large0"));
  }
  EXPECT_TRUE(serves(*server_));
#ifndef RS_SANITIZED
  // A piece of 1 MiB for each is there, to be given back when they go.
  EXPECT_TRUE(within([&] { return server_->rss_bytes() >= rss_before_ + (size_t(60) << 20); }));
#endif
}

TEST_F(BadInputLarge, AWatchThatNobodyReadsHoldsLittle) {
  std::vector<std::unique_ptr<RawClient>> slow;
  for (int i = 0; i < 10; ++i) {
    slow.push_back(std::make_unique<RawClient>(server_->port(), RawClient::Greeting::kPreface, 4096,
                                               std::string("\0\x04\0\0\0\0", 6)));
    const uint32_t id = slow.back()->open(kWatch);
    Writer all;
    all.message(1, [](Writer& w) {
      w.bytes(1, "large/");
      w.bytes(2, "large0");
      w.number(3, 1);  // from the beginning: history
    });
    slow.back()->frame(kData, 0, id, grpc_frame(all.take()));
  }
  RawClient writer = connect();
  for (int i = 0; i < 40; ++i)
    EXPECT_EQ(writer.wait(writer.call(kPut, put_message("large/0", std::string(1 << 20, 'm'))))
                  .grpc_status,
              0);
  EXPECT_TRUE(serves(*server_));
  expect_memory(kHeldBytes);
  left_over_bytes_ = 128 << 20;  // the engine's own buffers have filled
}

TEST_F(BadInput, AnswersToAClientThatNeverReadsAreBounded) {
  // Each request is answered with more than it is long, and nothing is ever read.
  const std::pair<const char*, std::string> floods[] = {
      {"unknown methods", frame_bytes(kData, kEndStream, 0, grpc_frame(""))},
      {"pings", frame_bytes(kPing, 0, 0, "12345678")},
  };
  for (const auto& flood : floods) {
    RawClient client(server_->port(), RawClient::Greeting::kPreface, 4096);
    const std::string block = plain_block(call_fields("/no.Such/Method"));
    uint32_t id = 1;
    for (int i = 0; i < 400; ++i) {
      std::string many;
      for (int j = 0; j < 1000; ++j, id += 2) {
        if (flood.first == std::string_view("pings")) {
          many += flood.second;
        } else {
          many += frame_bytes(kHeaders, kEndHeaders | kEndStream, id, block);
        }
      }
      if (!send_blindly(client, many)) break;
    }
    EXPECT_TRUE(serves(*server_)) << flood.first;
    expect_memory(kHeldBytes);
  }
}

TEST_F(BadInput, WatchesCreatedByAClientThatNeverReadsAreBounded) {
  RawClient client(server_->port(), RawClient::Greeting::kPreface, 4096,
                   std::string("\0\x04\0\0\0\0", 6));
  const uint32_t id = client.open(kWatch);
  // A watch that is refused leaves nothing but its answer.
  Writer refused;
  refused.message(1, [](Writer& w) {
    w.bytes(1, "b");
    w.bytes(2, "a");
  });
  std::string many;
  const std::string one = grpc_frame(refused.take());
  while (many.size() < (16 << 10) - one.size()) many += one;
  for (int i = 0; i < 4000 && client.data(id, many, false, std::chrono::milliseconds(500)); ++i) {
  }
  EXPECT_TRUE(serves(*server_));
  expect_memory(kHeldBytes);
}

TEST_F(BadInput, WhatFollowsABrokenMessageIsDropped) {
  // Health/Watch reads one message and then has nothing more to say.
  RawClient client = connect();
  const uint32_t id = client.open("/grpc.health.v1.Health/Watch");
  client.frame(kData, 0, id, grpc_frame(""));
  client.wait(id, 1);
  client.frame(kData, 0, id, std::string("\x09\0\0\0\1x", 6));
  const std::string chunk(1 << 20, 'x');
  for (int i = 0; i < 400 && client.data(id, chunk, false, std::chrono::milliseconds(500)); ++i) {
  }
  expect_memory(kHeldBytes);
}

TEST_F(BadInput, ManyWatchesOnOneStreamGoAsQuicklyAsTheyCame) {
  constexpr int kWatches = 50'000;
  {
    RawClient client = connect();
    const uint32_t id = client.open(kWatch);
    for (int i = 0; i < kWatches / 500; ++i) {
      std::string many;
      for (int j = 0; j < 500; ++j) many += grpc_frame(create_message("many", j % 2 == 0 ? 0 : 1));
      client.data(id, many);
      client.wait(id, size_t(i + 1) * 500);
    }
    EXPECT_GE(client.answer(id).messages().size(), size_t(kWatches));
    EXPECT_TRUE(serves(*server_));
    expect_memory(kWatches * 1024 + kLeftOverBytes);  // 1 KiB each
  }
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(serves(*server_));
  // Quadratic work would be 10 s and more.
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
}

TEST_F(BadInput, ManyStreamsAndConnectionsAreServed) {
  // The allocator keeps what it once had; a second crowd must find it, not take more.
  crowd();
  EXPECT_TRUE(
      within([&] { return server_->descriptors() <= descriptors_before_ + kEngineDescriptors; }));
  rss_before_ = server_->rss_bytes();
  crowd();
}

TEST_F(BadInput, RequestsThatNeverEndHoldNobodyUp) {
  std::vector<RawClient> slow;
  for (int i = 0; i < 100; ++i)
    slow.push_back(RawClient(server_->port(), RawClient::Greeting::kNone));
  for (RawClient& client : slow) client.send("GET /health HT");
  for (int i = 0; i < 100; ++i) {
    slow.push_back(connect());
    slow.back().frame(kHeaders, 0, 1, plain_block({{":method", "POST"}}));
  }
  for (int i = 0; i < 100; ++i) {
    slow.push_back(connect());
    const uint32_t id = slow.back().open(kPut);
    slow.back().frame(kData, 0, id, grpc_frame(std::string(1000, 'x')).substr(0, 500));
  }
  EXPECT_TRUE(serves(*server_));
}

}  // namespace

void BadInput::crowd() {
  std::vector<RawClient> clients;
  for (int i = 0; i < 300; ++i) {
    clients.push_back(connect());
    ASSERT_TRUE(clients.back().connected());
  }
  for (RawClient& client : clients) {
    for (int i = 0; i < 50; ++i) client.open(kWatch);
  }
  EXPECT_TRUE(serves(*server_));
  expect_memory(300 << 20);
}

}  // namespace rs::store::bad_input
