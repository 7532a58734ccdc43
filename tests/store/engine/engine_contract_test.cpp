// What store/engine/engine.h promises, asked of every engine: what a store may rely on whichever it
// has. Expected values are those of a std::map that did the same.
#include <unistd.h>

#include <map>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "writer_process.h"

namespace rs::store::engine {
namespace {

using ::testing::ElementsAre;
using Pairs = std::vector<std::pair<std::string, std::string>>;
using Model = std::map<std::string, std::string>;

class EngineContract : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "engine.XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    place_ = std::make_unique<Place>(GetParam(), directory_ / "data");
    open();
  }
  void TearDown() override {
    engine_.reset();
    std::filesystem::remove_all(directory_);
  }
  void open() {
    engine_.reset();
    auto opened = place_->open();
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    engine_ = std::move(*opened);
  }
  Engine& engine() { return *engine_; }

  void write(const Batch& batch, bool sync = true) {
    auto written = engine().write(batch, sync);
    ASSERT_TRUE(written.has_value()) << written.error().message;
  }
  void put(std::string_view key, std::string_view value) {
    Batch batch;
    batch.put(key, value);
    write(batch);
  }
  std::string value_of(std::string_view key) {
    auto value = engine().get(key);
    if (!value) return "error: " + value.error().message;
    return value->value_or("none");
  }
  Pairs scan(std::string_view from, std::string_view to) {
    Pairs out;
    auto scanned = engine().scan(from, to, [&](std::string_view key, std::string_view value) {
      out.emplace_back(key, value);
      return true;
    });
    EXPECT_TRUE(scanned.has_value()) << (scanned ? "" : scanned.error().message);
    return out;
  }
  static Pairs read(const View& view, std::string_view from, std::string_view to) {
    Pairs out;
    auto cursor = view.cursor(from, to);
    for (; cursor->valid(); cursor->next()) out.emplace_back(cursor->key(), cursor->value());
    EXPECT_TRUE(cursor->status().has_value());
    return out;
  }
  static Pairs part(const Model& model, const std::string& from, const std::string& to) {
    return from < to ? Pairs(model.lower_bound(from), model.lower_bound(to)) : Pairs();
  }

  std::filesystem::path directory_;
  std::unique_ptr<Place> place_;
  std::unique_ptr<Engine> engine_;
};

TEST_P(EngineContract, ABatchIsAppliedInItsOrder) {
  Batch batch;
  batch.put("ia", "1");
  batch.erase("ia");
  batch.put("ia", "2");
  batch.put("ib", "1");
  batch.erase("ib");
  batch.erase("ic");  // was never there
  batch.put("md", "");
  write(batch);
  EXPECT_EQ(scan("i", "j"), (Pairs{{"ia", "2"}}));
  EXPECT_EQ(value_of("ib"), "none");
  EXPECT_EQ(value_of("md"), "") << "an empty value is one";
  EXPECT_EQ(value_of("m"), "none");
  write(Batch());
}

TEST_P(EngineContract, KeysAreOrderedByTheirBytes) {
  using namespace std::string_literals;
  const std::vector<std::string> ordered = {"i"s,     "i\0"s,   "i\0\0"s,   "i\0\xff"s,  "i\1"s,
                                            "i1"s,    "i10"s,   "i2"s,      "ia"s,       "i\x7f"s,
                                            "i\x80"s, "i\xff"s, "i\xff\0"s, "i\xff\xff"s};
  Batch batch;
  for (size_t i = ordered.size(); i-- > 0;) batch.put(ordered[i], std::to_string(i));
  write(batch);
  std::vector<std::string> found;
  for (const auto& [key, value] : scan("i", "j")) found.push_back(key);
  EXPECT_EQ(found, ordered);
}

TEST_P(EngineContract, ARangeHasItsBeginAndNotItsEnd) {
  for (const char* key : {"ib", "id", "if"}) put(key, "1");
  struct {
    const char *from, *to;
    std::vector<std::string> expected;
  } const cases[] = {
      {"ib", "if", {"ib", "id"}},
      {"ic", "ig", {"id", "if"}},
      {"ia", "ib", {}},
      {"ib", "ib", {}},
      {"if", "ib", {}},
      {"ig", "j", {}},
      {"i", "j", {"ib", "id", "if"}},
  };
  auto view = engine().view();
  ASSERT_TRUE(view.has_value());
  for (const auto& c : cases) {
    std::vector<std::string> scanned, seen;
    for (const auto& [key, value] : scan(c.from, c.to)) scanned.push_back(key);
    for (const auto& [key, value] : read(**view, c.from, c.to)) seen.push_back(key);
    EXPECT_EQ(scanned, c.expected) << c.from << " to " << c.to;
    EXPECT_EQ(seen, c.expected) << c.from << " to " << c.to;
  }
}

TEST_P(EngineContract, AScanStopsWhenToldAndItsVisitorMayRead) {
  for (int i = 0; i < 10; ++i) {
    put(numbered('i', uint64_t(i)), "record");
    put(numbered('v', uint64_t(i)), std::to_string(i));
  }
  std::vector<std::string> values;
  auto scanned = engine().scan("i", "j", [&](std::string_view key, std::string_view) {
    values.push_back(value_of("v" + std::string(key.substr(1))));
    return values.size() < 3;
  });
  EXPECT_TRUE(scanned.has_value());
  EXPECT_THAT(values, ElementsAre("0", "1", "2"));
}

TEST_P(EngineContract, AViewStaysAsItWas) {
  put("ia", "1");
  put("ib", "1");
  put("m head", "1");
  auto first = engine().view();
  ASSERT_TRUE(first.has_value());
  auto cursor = (*first)->cursor("i", "j");
  Batch batch;
  batch.put("ia", "2");
  batch.erase("ib");
  batch.put("ic", "2");
  batch.put("m head", "2");
  write(batch);
  auto second = engine().view();
  ASSERT_TRUE(second.has_value());
  for (const char* key : {"ia", "ic"}) put(key, "3");
  EXPECT_EQ(read(**first, "i", "j"), (Pairs{{"ia", "1"}, {"ib", "1"}}));
  EXPECT_EQ(*(*first)->get("m head"), "1");
  EXPECT_EQ(*(*first)->get("ic"), std::nullopt);
  EXPECT_EQ(read(**second, "i", "j"), (Pairs{{"ia", "2"}, {"ic", "2"}}));
  EXPECT_EQ(scan("i", "j"), (Pairs{{"ia", "3"}, {"ic", "3"}}));
  ASSERT_TRUE(cursor->valid());
  EXPECT_EQ(cursor->key(), "ia");
  EXPECT_EQ(cursor->value(), "1") << "a cursor that was there before the write";
}

TEST_P(EngineContract, RandomBatchesAgreeWithAMap) {
  constexpr uint64_t kSeed = 20261129;
  Random random(kSeed);
  Model model;
  auto any_key = [&] { return numbered("ivlm"[random.below(4)], random.below(200)); };
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(fmt::format("seed {} round {}", kSeed, round));
    Batch batch;
    for (auto ops = random.below(20); ops > 0; --ops) {
      std::string key = any_key();
      if (random.below(3) == 0) {
        batch.erase(key);
        model.erase(key);
      } else {
        model[key] = std::string(random.below(2000), char('a' + random.below(26)));
        batch.put(key, model[key]);
      }
    }
    write(batch, random.below(4) == 0);
    if (random.below(10) == 0) engine().tidy();
    if (place_->on_disk() && random.below(60) == 0) open();
    std::string from = any_key(), to = from.substr(0, 2) + any_key().substr(2);
    ASSERT_EQ(scan(from, to), part(model, from, to)) << from << " to " << to;
    auto known = model.find(to);
    ASSERT_EQ(value_of(to), known == model.end() ? "none" : known->second);
  }
  auto view = engine().view();
  for (const char* kind : {"i", "l", "m", "v"}) {
    std::string end(1, char(kind[0] + 1));
    EXPECT_EQ(scan(kind, end), part(model, kind, end));
    EXPECT_EQ(read(**view, kind, end), part(model, kind, end));
  }
}

TEST_P(EngineContract, WhatWasWrittenIsThereAfterReopening) {
  if (!place_->on_disk()) GTEST_SKIP() << "nothing on disk";
  const std::string large(1 << 20, 'x');
  put("va", large);
  Batch batch;
  batch.put("ib", "1");
  write(batch, false);  // without fsync: still there after an orderly end
  EXPECT_GT(engine().bytes_on_disk(), int64_t(large.size()));
  engine().shutdown();
  open();
  EXPECT_EQ(value_of("va"), large);
  EXPECT_EQ(value_of("ib"), "1");
}

TEST_P(EngineContract, ASyncedWriteIsOneFsync) {
  if (!place_->syncs()) GTEST_SKIP() << "nobody counts";
  put("ia", "0");  // the log's file may be new
  const int64_t before = *place_->syncs();
  for (int i = 0; i < 20; ++i) {
    Batch batch;
    batch.put("ia", std::to_string(i));
    batch.put("va", std::to_string(i));
    write(batch, true);
    write(batch, false);
  }
  EXPECT_EQ(*place_->syncs() - before, 20);
}

TEST_P(EngineContract, KillNineLeavesWholeBatchesAndAllThatWerePromised) {
  if (!place_->on_disk()) GTEST_SKIP() << "nothing on disk";
  engine_.reset();
  uint64_t before = 0;
  for (size_t acknowledgements : {1u, 40u, 150u, 300u}) {
    const uint64_t promised = write_and_kill(GetParam(), directory_ / "data", acknowledgements);
    ASSERT_GT(promised, before) << "the writer did not start, or ended by itself";
    open();
    const uint64_t head = std::stoull(value_of("m head"));
    EXPECT_GE(head, promised) << "an acknowledged batch is lost";
    EXPECT_LE(head, promised + 1) << "a batch that was never begun";
    auto records = scan("i", "j"), values = scan("v", "w");
    ASSERT_EQ(records.size(), head);
    ASSERT_EQ(values.size(), std::min(head, kKeptBatches)) << "half a batch";
    EXPECT_EQ(records.back().first, numbered('i', head));
    EXPECT_EQ(values.back().first, numbered('v', head));
    before = head;
    engine_.reset();
  }
}

TEST_P(EngineContract, OneWritesWhileOthersRead) {
  if (!place_->on_disk()) GTEST_SKIP() << "the store reads and writes it on one thread";
  put("ia", "0");
  put("va", "0");
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int n = 1; !stop; ++n) {
      Batch batch;
      batch.put("ia", std::to_string(n));
      batch.put("va", std::to_string(n));
      if (!engine().write(batch, n % 16 == 0)) break;
    }
  });
  int newest = 0;
  for (int i = 0; i < 300 || newest == 0; ++i) {
    auto view = engine().view();
    auto record = (*view)->get("ia"), value = (*view)->get("va");
    EXPECT_EQ(**record, **value) << "half a batch";
    const int seen = std::stoi(**record);
    EXPECT_GE(seen, newest);
    newest = seen;
    EXPECT_GE(std::stoi(value_of("ia")), newest);
    if (HasFailure()) break;
  }
  stop = true;
  writer.join();
  EXPECT_GT(newest, 0);
}

TEST_P(EngineContract, AFailedWriteLeavesNothingAndNothingFollowsItBeforeResume) {
  EXPECT_TRUE(engine().resume().has_value()) << "there is nothing to resume from";
  if (!place_->on_disk()) GTEST_SKIP() << "memory is not full in tests";
  put("ia", "1");
  place_->set_full(true);
  Batch batch;
  batch.put("ia", "2");
  batch.put("va", std::string(4 << 20, 'x'));
  auto refused = engine().write(batch, true);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted) << refused.error().message;
  EXPECT_EQ(value_of("ia"), "1");
  EXPECT_EQ(value_of("va"), "none");
  place_->set_full(false);
  Batch small;
  small.put("ib", "1");
  EXPECT_FALSE(engine().write(small, true).has_value()) << "nobody has resumed";
  EXPECT_EQ(value_of("ib"), "none");
  auto resumed = engine().resume();
  ASSERT_TRUE(resumed.has_value()) << resumed.error().message;
  write(batch);
  open();
  EXPECT_EQ(value_of("ia"), "2");
  EXPECT_EQ(value_of("ib"), "none");
  EXPECT_EQ(scan("v", "w").size(), 1u);
}

TEST_P(EngineContract, DamagedTablesAreDataLoss) {
  if (!place_->on_disk()) GTEST_SKIP() << "nothing on disk";
  // Small values: SQLite keeps large ones in pages of their own, whose bytes it takes as they are.
  for (uint64_t n = 0; n < 3000; ++n) {
    Batch batch;
    batch.put(numbered('v', n), std::string(200, char('a' + n % 26)));
    write(batch, false);
  }
  engine().shutdown();
  engine_.reset();
  place_->damage_tables();
  auto opened = place_->open();
  if (!opened) {
    EXPECT_EQ(opened.error().code, Code::kDataLoss) << opened.error().message;
    return;
  }
  uint64_t scanned = 0, damaged = 0;
  auto ended = (*opened)->scan("v", "w", [&](std::string_view, std::string_view value) {
    EXPECT_EQ(value, std::string(200, value[0])) << "damage was read as data";
    return ++scanned < 3000;
  });
  EXPECT_TRUE(!ended || scanned < 3000) << "damage was not noticed";
  for (uint64_t n = 0; n < 3000; ++n) {
    auto got = (*opened)->get(numbered('v', n));
    if (!got) EXPECT_EQ(got.error().code, Code::kDataLoss) << got.error().message;
    damaged += !got.has_value();
  }
  EXPECT_GT(damaged, 0u);
}

INSTANTIATE_TEST_SUITE_P(Engines, EngineContract,
                         ::testing::Values(Kind::kMemory, Kind::kSqlite, Kind::kRocks),
                         [](const auto& kind) { return to_string(kind.param); });

}  // namespace
}  // namespace rs::store::engine

int main(int argc, char** argv) {
  if (auto code = rs::store::engine::run_as_writer(argc, argv)) return *code;
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
