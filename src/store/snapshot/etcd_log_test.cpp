// Logs in the form of etcd's WAL (server/storage/wal/encoder.go), made by hand;
// tests/store/snapshot_test.py reads real ones.
#include "store/snapshot/etcd_log.h"

#include <unistd.h>

#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "store/etcd/wire.h"

namespace rs::store::snapshot {
namespace {

class EtcdLogTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(directory_); }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static std::string record(uint64_t type, std::string_view data) {
    etcd::Writer out;
    out.number(1, type);
    out.number(2, 4711);  // its checksum, which is not looked at
    out.bytes(3, data);
    std::string body = out.take(), framed;
    const uint64_t padding = (8 - body.size() % 8) % 8;
    uint64_t header = body.size();
    if (padding > 0) header |= (0x80 | padding) << 56;
    for (int i = 0; i < 8; ++i) framed.push_back(char(header >> (8 * i)));
    return framed + body + std::string(padding, '\0');
  }
  // Of an InternalRaftRequest with this field.
  static std::string entry(uint64_t index, uint32_t field, uint64_t type = 0) {
    etcd::Writer request, out;
    request.number(1, index);
    request.element(field, "x");
    out.number(1, type);
    out.number(2, 2);
    out.number(3, index);
    out.element(4, request.take());
    return record(2, out.take());
  }
  void write(int segment, std::string_view bytes) {
    std::ofstream(directory_ / fmt::format("{:016x}-{:016x}.wal", segment, segment * 100),
                  std::ios::binary)
        << bytes;
  }
  uint64_t after(uint64_t applied) {
    auto changes = changes_after(directory_, applied);
    EXPECT_TRUE(changes.has_value());
    return changes ? *changes : 99;
  }

  const std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / fmt::format("etcd_log_test.{}", ::getpid());
};

TEST_F(EtcdLogTest, CountsWhatChangesKeysOrUsers) {
  const std::string zeros(4096, '\0');  // a segment is allocated before it is written
  // A put, a deletion; a range, a lease, a request of the v2 store, signing in, a change of
  // members: nothing.
  write(0, record(4, "") + record(1, "m") + entry(1, 4) + entry(2, 5) + entry(3, 3) + entry(4, 8) +
               entry(5, 2) + entry(6, 1012) + entry(7, 4, 1) + zeros);
  write(1,
        record(4, "") + entry(8, 6) + record(3, "state") + entry(9, 7) + entry(10, 1100) + zeros);
  EXPECT_EQ(after(0), 5u);
  EXPECT_EQ(after(2), 3u);
  EXPECT_EQ(after(9), 1u);
  EXPECT_EQ(after(10), 0u);
}

TEST_F(EtcdLogTest, WhatWasReplacedNeverWas) {
  write(0, entry(1, 4) + entry(2, 4) + entry(3, 4) + entry(2, 3));
  EXPECT_EQ(after(0), 1u);
}

TEST_F(EtcdLogTest, ATornEndEndsTheLogAndGarbageIsNone) {
  const std::string whole = entry(1, 4) + entry(2, 4);
  for (size_t size = 0; size < whole.size(); ++size) {
    write(0, std::string_view(whole).substr(0, size));
    EXPECT_EQ(after(0), size < whole.size() / 2 ? 0u : 1u) << size;
  }
  write(0, std::string(100, '\xff'));
  EXPECT_EQ(after(0), 0u);
  EXPECT_FALSE(changes_after(directory_ / "absent", 0).has_value());
}

}  // namespace
}  // namespace rs::store::snapshot
