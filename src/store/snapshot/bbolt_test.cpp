// What the writer writes, the reader reads; damaged files are refused. Real bbolt's opinion is asked in
// tests/store/snapshot_test.py (etcdctl snapshot status checks every page).
#include <sys/mman.h>
#include <unistd.h>

#include <map>

#include <gtest/gtest.h>

#include "base/random.h"
#include "store/snapshot/bbolt_reader.h"
#include "store/snapshot/bbolt_writer.h"
#include "store/snapshot/snapshot.h"

namespace rs::store::snapshot {
namespace {

using Buckets = std::map<std::string, std::map<std::string, std::string>>;

std::string written(const Buckets& buckets) {
  const int fd = ::memfd_create("bbolt", 0);
  BboltWriter writer(fd);
  for (const auto& [name, keys] : buckets) {
    EXPECT_TRUE(writer.begin_bucket(name).has_value());
    for (const auto& [key, value] : keys) EXPECT_TRUE(writer.put(key, value).has_value());
    EXPECT_TRUE(writer.end_bucket().has_value());
  }
  auto bytes = writer.finish();
  EXPECT_TRUE(bytes.has_value());
  std::string out(*bytes, 0);
  EXPECT_EQ(::pread(fd, out.data(), out.size(), 0), ssize_t(out.size()));
  ::close(fd);
  return out;
}

Result<Buckets> read_all(const std::string& bytes) {
  auto source = in_memory(bytes);
  auto reader = BboltReader::open(*source, bytes.size());
  if (!reader) return fail(reader.error());
  Buckets out;
  std::vector<std::string> names;
  if (auto read = reader->visit_buckets([&](auto name) {
        names.emplace_back(name);
        return true;
      });
      !read)
    return fail(read.error());
  for (const std::string& name : names) {
    auto& keys = out[name];
    auto read = reader->visit(name, [&](auto key, auto value) {
      keys.emplace(key, value);
      return true;
    });
    if (!read) return fail(read.error());
  }
  return out;
}

Buckets sample(int keys) {
  Buckets buckets{{"alarm", {}}, {"lease", {{"a", "b"}}}};
  Random random(uint64_t(keys) + 1);
  for (int i = 0; i < keys; ++i)
    buckets["key"][fmt::format("{:08}", i)] = std::string(random.below(i % 50 == 0 ? 20'000 : 300), char('a' + i % 26));
  return buckets;
}

TEST(Bbolt, ReadsWhatItWrites) {
  for (int keys : {0, 1, 2, 60, 5000, 60'000}) {
    SCOPED_TRACE(keys);
    const Buckets buckets = sample(keys);
    auto got = read_all(written(buckets));
    ASSERT_TRUE(got.has_value()) << got.error().message;
    EXPECT_TRUE(*got == buckets);
  }
}

TEST(Bbolt, ACutOffFileIsRefused) {
  const std::string whole = written(sample(3000));
  for (size_t bytes : {size_t(0), size_t(100), size_t(4096), whole.size() / 2, whole.size() - 4096}) {
    auto got = read_all(whole.substr(0, bytes));
    ASSERT_FALSE(got.has_value()) << bytes;
    EXPECT_EQ(got.error().code, Code::kDataLoss);
  }
}

TEST(Bbolt, OneDamagedMetaPageIsForgivenAndTwoAreNot) {
  std::string bytes = written(sample(100));
  bytes[20] ^= 1;
  EXPECT_TRUE(read_all(bytes).has_value());
  bytes[4096 + 20] ^= 1;
  EXPECT_FALSE(read_all(bytes).has_value());
}

TEST(Bbolt, DamageAnywhereNeitherCrashesNorHangs) {
  const std::string whole = written(sample(500));
  Random random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = whole;
    for (int flips = 0; flips < 4; ++flips) bytes[random.below(bytes.size() / 4096) * 4096 + random.below(80)] ^= char(1 << random.below(8));
    (void)read_all(bytes);
  }
}

// The empty store is at revision 1 (a fresh etcd says so in every header): the first record is at 2.
TEST(Bbolt, ARecordBeforeTheFirstRevisionIsNotRestored) {
  for (char revision : {1, 2}) {
    const std::string key = std::string(7, 0) + revision + '_' + std::string(8, 0);
    // mvccpb.KeyValue: key "k", create_revision 2, mod_revision 2, version 1, value "v"
    const std::string bytes = written({{"key", {{key, "\x0a\x01k\x10\x02\x18\x02\x20\x01\x2a\x01v"}}}});
    auto source = in_memory(bytes);
    auto reader = BboltReader::open(*source, bytes.size());
    ASSERT_TRUE(reader.has_value());
    auto engine = engine::make_memory_engine();
    auto restored = restore(*reader, *engine, {});
    EXPECT_EQ(restored.has_value(), revision == 2);
    if (!restored) EXPECT_EQ(restored.error().code, Code::kDataLoss);
  }
}

}  // namespace
}  // namespace rs::store::snapshot
