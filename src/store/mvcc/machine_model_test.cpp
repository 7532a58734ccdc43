// Machine against a model that keeps every revision of everything: random operations, equal answers. The model is the
// definition of etcd's MVCC (reference etcd-api.md A.4, A.5) at its plainest.
#include <gtest/gtest.h>

#include "base/random.h"
#include "store/mvcc/errors.h"
#include "store/mvcc/machine_testing.h"

namespace rs::store::mvcc {
namespace {

using Snapshot = std::map<std::string, KeyValue>;

struct Model {
  std::map<Revision, Snapshot> at{{1, {}}};
  Revision head() const { return at.rbegin()->first; }
  Snapshot& begin() {
    Snapshot copy = at.rbegin()->second;
    return at[head() + 1] = std::move(copy);
  }
  void put(Snapshot& state, Revision main, const std::string& key, const std::string& value) {
    auto [it, added] = state.try_emplace(key);
    KeyValue& kv = it->second;
    if (added) kv = {key, "", main, 0, 0, 0};
    kv.value = value;
    kv.mod_revision = main;
    ++kv.version;
  }
};

std::vector<KeyValue> of_range(const Snapshot& state, KeyRange range) {
  std::vector<KeyValue> out;
  for (const auto& [key, kv] : state) {
    if (range.contains(key)) out.push_back(kv);
  }
  return out;
}

void expect_equal(const KeyValue& a, const KeyValue& b) {
  EXPECT_EQ(a.key, b.key);
  EXPECT_EQ(a.value, b.value);
  EXPECT_EQ(a.create_revision, b.create_revision);
  EXPECT_EQ(a.mod_revision, b.mod_revision);
  EXPECT_EQ(a.version, b.version);
}

class ModelRun {
 public:
  explicit ModelRun(uint64_t seed, size_t keys) : random_(seed), keys_(keys), test_(2048) {}

  void step() {
    switch (random_.below(12)) {
      case 0: case 1: case 2: case 3: return put();
      case 4: case 5: return erase();
      case 6: return swap();
      case 7: return test_.settle();
      case 8: return compact();
      default: return read();
    }
  }
  void compact_to_end() {
    test_.compact_to_end(50, 20);
  }
  // Some slices of a compaction, part of whose erasures reached the disk; what is left of it is not done.
  void compact_partly() {
    test_.settle();
    if (!test_.machine.compact(test_.machine.durable(), test_.batch)) return;
    std::vector<Dropped> dropped;
    for (int64_t slices = random_.between(1, 60); slices > 0; --slices) {
      if (!test_.machine.compact_step(3, 3, dropped)) break;
    }
    std::sort(dropped.begin(), dropped.end());
    const size_t erased = random_.below(dropped.size() + 1);
    for (size_t i = 0; i < erased; ++i)
      erase_record(test_.batch, dropped[i].main, dropped[i].sub, dropped[i].has_value);
    test_.settle();
  }
  // What a restart reads must be what was there.
  void restart_and_compare() {
    test_.settle();
    TestMachine again;
    again.engine = std::move(test_.engine);
    again.machine.restore_begin({model_.head(), 0}, test_.machine.compacted());
    Result<void> restored;
    (void)again.records(0, [&](const Record& record) {
      restored = again.machine.restore(record);
      return restored.has_value();
    });
    ASSERT_TRUE(restored.has_value()) << restored.error().message;
    auto finished = again.machine.restore_finish();
    ASSERT_TRUE(finished.has_value()) << finished.error().message;
    for (TestMachine* half_compacted : {&again, &test_}) {
      std::vector<Dropped> dropped;
      while (half_compacted->machine.compact_step(50, 50, dropped)) {
      }
    }
    EXPECT_EQ(again.machine.live_bytes(), test_.machine.live_bytes());
    auto range = again.machine.range({.key = std::string(1, '\0'), .range_end = std::string(kNoEnd)});
    auto expected = of_range(model_.at.rbegin()->second, {"", kNoEnd});
    ASSERT_EQ(range->kvs.size(), expected.size());
    EXPECT_EQ(range->count, int64_t(expected.size()));
    for (size_t i = 0; i < expected.size(); ++i) expect_equal(range->kvs[i], expected[i]);
  }

 private:
  std::string key() { return fmt::format("k{:04}", random_.below(keys_)); }

  void put() {
    std::string k = key(), v = std::to_string(random_.below(1000));
    Snapshot& state = model_.begin();
    model_.put(state, model_.head(), k, v);
    auto put = test_.machine.put({.key = k, .value = v}, test_.batch);
    ASSERT_TRUE(put.has_value());
    EXPECT_EQ(put->revision, model_.head());
  }
  void erase() {
    std::string from = key(), to = random_.chance(0.5) ? "" : key();
    auto doomed = of_range(model_.at.rbegin()->second, {from, to});
    auto deleted = test_.machine.delete_range({.key = from, .range_end = to, .prev_kv = true}, test_.batch);
    ASSERT_TRUE(deleted.has_value());
    ASSERT_EQ(deleted->deleted, int64_t(doomed.size()));
    for (size_t i = 0; i < doomed.size(); ++i) expect_equal(deleted->prev_kvs[i], doomed[i]);
    if (!doomed.empty()) {
      Snapshot& state = model_.begin();
      for (const KeyValue& kv : doomed) state.erase(kv.key);
    }
    EXPECT_EQ(deleted->revision, model_.head());
  }
  // If the key exists then delete it and put another, and read both.
  void swap() {
    std::string a = key(), b = a + "x";
    TxnRequest txn;
    txn.compares.push_back({Compare::Result::kGreater, Compare::Target::kVersion, a, "", 0, ""});
    txn.success = {DeleteRangeRequest{a, "", false}, PutRequest{b, "swapped"}, RangeRequest{.key = a, .range_end = b + "\xff"}};
    txn.failure = {RangeRequest{.key = a, .count_only = true}};
    bool exists = model_.at.rbegin()->second.contains(a);
    auto done = test_.machine.txn(txn, test_.batch);
    ASSERT_TRUE(done.has_value());
    EXPECT_EQ(done->succeeded, exists);
    if (exists) {
      Snapshot& state = model_.begin();
      state.erase(a);
      model_.put(state, model_.head(), b, "swapped");
      const auto& range = std::get<RangeResponse>(done->responses.at(2));
      auto expected = of_range(state, {a, b + "\xff"});
      EXPECT_EQ(range.count, int64_t(expected.size()));
      ASSERT_EQ(range.kvs.size(), expected.size());
    } else {
      EXPECT_EQ(std::get<RangeResponse>(done->responses.at(0)).count, 0);
    }
    EXPECT_EQ(done->revision, model_.head());
  }
  void compact() {
    if (!random_.chance(0.2)) return;
    test_.settle();
    Revision revision = random_.between(1, test_.machine.durable());
    bool allowed = revision > test_.machine.compacted();
    EXPECT_EQ(test_.machine.compact(revision, test_.batch).has_value(), allowed);
    if (random_.chance(0.5)) compact_to_end();
  }
  void read() {
    Revision now = test_.machine.durable();
    RangeRequest request{.key = key(), .range_end = random_.chance(0.3) ? std::string() : key()};
    if (random_.chance(0.2)) request.range_end = std::string(kNoEnd);
    request.revision = random_.chance(0.5) ? 0 : random_.between(1, now);
    request.limit = random_.chance(0.5) ? 0 : random_.between(1, 5);
    request.count_only = random_.chance(0.1);
    request.order = RangeRequest::Order(random_.below(3));
    Revision at = request.revision == 0 ? now : request.revision;
    auto range = test_.machine.range(request);
    if (request.revision != 0 && at < test_.machine.compacted()) {
      ASSERT_FALSE(range.has_value());
      EXPECT_EQ(range.error().message, errors::compacted().message);
      return;
    }
    ASSERT_TRUE(range.has_value());
    auto expected = of_range(model_.at.at(at), {request.key, request.range_end});
    EXPECT_EQ(range->revision, now);
    EXPECT_EQ(range->count, int64_t(expected.size()));
    if (request.count_only) return;
    if (request.order == RangeRequest::Order::kDescend) std::reverse(expected.begin(), expected.end());
    bool more = request.limit > 0 && expected.size() > size_t(request.limit);
    EXPECT_EQ(range->more, more);
    if (more) expected.resize(size_t(request.limit));
    ASSERT_EQ(range->kvs.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) expect_equal(range->kvs[i], expected[i]);
  }

  Random random_;
  size_t keys_;
  TestMachine test_;
  Model model_;
};

TEST(MachineModelTest, RandomOperationsAgreeWithTheModel) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    ModelRun run(seed, seed % 3 == 0 ? 400 : 20);
    for (int i = 0; i < 700 && !::testing::Test::HasFatalFailure(); ++i) run.step();
    run.restart_and_compare();
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(MachineModelTest, ARestartInTheMiddleOfACompactionReadsTheSame) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    ModelRun run(seed, 10);
    for (int i = 0; i < 300 && !::testing::Test::HasFatalFailure(); ++i) run.step();
    run.compact_partly();
    run.restart_and_compare();
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(IndexTest, CountsLikeAMapWhileItGrowsAndShrinks) {
  Random random(7);
  Index index;
  std::map<std::string, bool> model;
  Revision revision = 1;
  for (int i = 0; i < 30'000; ++i) {
    std::string key = std::to_string(random.below(9000));
    bool live = model.contains(key) && model[key];
    bool remove = live && random.chance(0.5);
    if (remove || !live || random.chance(0.3)) {
      index.append(key, {++revision, 0, remove, 0, 1, 1, 0});
      model[key] = !remove;
    }
    if (i % 5000 == 4999) {
      for (const auto& [k, l] : model) index.compact_key(k, revision - 1, SIZE_MAX, [](const KeyEntry&, const Version&) {});
    }
    if (i % 500 == 0) {
      std::string from = std::to_string(random.below(9000)), to = std::to_string(random.below(9000));
      int64_t expected = 0;
      for (const auto& [k, l] : model) expected += l && k >= from && k < to;
      ASSERT_EQ(index.live_count({from, to}), expected);
      int64_t visited = 0;
      index.visit({from, to}, [&](const KeyEntry& entry) {
        visited += entry.live();
        return true;
      });
      ASSERT_EQ(visited, expected);
    }
  }
}

}  // namespace
}  // namespace rs::store::mvcc
