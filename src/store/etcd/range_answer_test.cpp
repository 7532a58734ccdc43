// A Range answered in pieces says exactly what one answered at once says.
#include "store/etcd/range_answer.h"

#include <gtest/gtest.h>

#include "async/task_group.h"
#include "store/etcd/client_messages.h"
#include "store/mvcc/machine.h"
#include "store/mvcc/watch_hub.h"

namespace rs::store::etcd {
namespace {

struct Fixture {
  void run(awaitable<void> test) {
    tasks.spawn("test", std::move(test));
    loop.run();
  }
  awaitable<void> fill(int keys) {
    store = std::move(*co_await Embedded::open(loop, {}));
    for (int round = 0; round < 2; ++round) {
      for (int i = 0; i < keys; ++i) {
        auto put = co_await store->put({fmt::format("k{:05}", i), std::string(size_t(i % 300), 'v'), 0});
        EXPECT_TRUE(put.has_value());
      }
    }
  }
  // The kvs that the pieces say, decoded.
  awaitable<RangeResponse> in_pieces(RangeRequest request) {
    auto begun = RangeAnswer::begin(loop, *store, request);
    EXPECT_TRUE(begun.has_value());
    RangeAnswer& answer = **begun;
    const size_t bytes = co_await answer.measure();
    std::string all;
    while (true) {
      auto part = co_await answer.next();
      EXPECT_TRUE(part.has_value());
      if (part->empty()) break;
      all += *part;
    }
    EXPECT_EQ(bytes, all.size());
    RangeResponse out = *decode_range_response(all);
    out.revision = answer.revision();
    out.count = answer.count();
    out.more = answer.more();
    co_return out;
  }
  async::SystemLoop loop;
  async::TaskGroup tasks{loop};
  std::unique_ptr<Embedded> store;
};

awaitable<void> compares(Fixture& f) {
  co_await f.fill(3000);
  const Ids ids;
  const Revision middle = f.store->revision() - 1500;
  for (RangeRequest request : {RangeRequest{.key = "k", .range_end = "l"}, RangeRequest{.key = "k", .range_end = "l", .limit = 1700},
                               RangeRequest{.key = "k01", .range_end = std::string(1, '\0')},
                               RangeRequest{.key = "k", .range_end = "l", .revision = middle},
                               RangeRequest{.key = "k", .range_end = "l", .limit = 2999, .keys_only = true}}) {
    EXPECT_TRUE(RangeAnswer::suits(request, *f.store));
    auto whole = f.store->try_range(request);
    EXPECT_EQ(encode(ids, *whole), encode(ids, co_await f.in_pieces(request)));
  }
  co_await f.store->close();
  f.loop.stop();
}

TEST(RangeAnswer, SaysWhatRangeSays) {
  Fixture f;
  f.run(compares(f));
}

awaitable<void> reads_while_compacted(Fixture& f) {
  co_await f.fill(3000);
  const Revision middle = f.store->revision() - 1500;
  RangeRequest request{.key = "k", .range_end = "l", .revision = middle};
  const std::string expected = encode(Ids{}, *f.store->try_range(request));
  auto begun = RangeAnswer::begin(f.loop, *f.store, request);
  EXPECT_TRUE((co_await f.store->compact(f.store->revision())).has_value());
  // Compaction would need a turn or two of the loop; it waits for the answer instead.
  co_await f.loop.sleep(std::chrono::milliseconds(20));
  RangeResponse got;
  got.revision = (*begun)->revision();
  got.count = (*begun)->count();
  while (true) {
    auto part = co_await (*begun)->next();
    EXPECT_TRUE(part.has_value());
    if (!part || part->empty()) break;
    auto decoded = *decode_range_response(*part);
    std::move(decoded.kvs.begin(), decoded.kvs.end(), std::back_inserter(got.kvs));
  }
  EXPECT_EQ(encode(Ids{}, got), expected);
  begun = {};
  while (f.store->machine().compacting()) co_await f.loop.sleep(std::chrono::milliseconds(1));
  co_await f.store->close();
  f.loop.stop();
}

TEST(RangeAnswer, KeepsItsRevisionFromCompaction) {
  Fixture f;
  f.run(reads_while_compacted(f));
}

}  // namespace
}  // namespace rs::store::etcd
