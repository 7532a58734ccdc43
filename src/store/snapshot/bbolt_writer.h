// BboltWriter: writes a bbolt database file from sorted keys, front to back: pages are filled once and never changed, so
// that the memory needed is a page for each level of the tree, and no faster than others can do with. A resource; any one
// thread, which may wait.
//
//   writer.begin_bucket("alarm"); writer.put(key, value)…; writer.end_bucket();  // buckets and keys ascending
//   writer.finish();
//
// The first error is kept, and returned by all that follow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/engine/pace.h"
#include "store/snapshot/bbolt_format.h"

namespace rs::store::snapshot {

class BboltWriter {
 public:
  // fd: an empty file opened for writing, which stays the caller's.
  explicit BboltWriter(int fd);
  Result<void> begin_bucket(std::string_view name);
  Result<void> put(std::string_view key, std::string_view value);
  Result<void> end_bucket();
  // The file is whole then (not synced): its bytes.
  Result<uint64_t> finish();

 private:
  // A page being filled.
  struct Page {
    struct Entry {
      std::string key, value;  // of a branch: no value
      uint64_t child = 0;
      uint32_t flags = 0;
    };
    std::vector<Entry> entries;
    size_t bytes = bbolt::kPageHeader;
  };
  // levels[0] is the leaf, each further one the branch above.
  struct Tree {
    std::vector<Page> levels;
  };
  void add(Tree& tree, size_t level, Page::Entry entry);
  void flush(Tree& tree, size_t level);
  uint64_t finish_tree(Tree& tree);  // its root page
  uint64_t write_page(const Page& page, bool leaf);
  void append(std::string_view bytes);
  void write_out();
  Result<void> state() const;

  static constexpr int64_t kBytesPerSecond = 192 << 20;
  const int fd_;
  uint64_t next_page_ = 2;
  uint64_t written_ = 0;
  engine::Pace pace_{kBytesPerSecond};
  std::string buffer_;
  std::string bucket_, last_key_;
  Tree keys_, buckets_;
  std::optional<Error> error_;
};

}  // namespace rs::store::snapshot
