// BboltReader: reads a bbolt database file that nobody writes, bucket by bucket, a page at a time.
//
// Trusts nothing: every offset, count, size and depth is checked, so that a damaged or hostile file ends in kDataLoss that
// says where, never in a crash or an endless walk. A resource; any one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/snapshot/bbolt_format.h"

namespace rs::store::snapshot {

// Where the bytes are: a file, or memory in tests.
class Source {
 public:
  virtual ~Source() = default;
  virtual uint64_t size() const = 0;
  // Exactly size bytes.
  virtual Result<std::string> read(uint64_t offset, size_t size) const = 0;
};
Result<std::unique_ptr<Source>> open_file(const std::string& path);
std::unique_ptr<Source> in_memory(std::string bytes);

class BboltReader {
 public:
  // Views live only during the call; false ends the walk.
  using Visit = std::function<bool(std::string_view key, std::string_view value)>;

  // bytes: of source that are the database (a snapshot has a checksum after it).
  static Result<BboltReader> open(const Source& source, uint64_t bytes);

  // The buckets at the top, in their order. Buckets inside others are not etcd's: kDataLoss.
  Result<void> visit_buckets(const std::function<bool(std::string_view name)>& visit) const;
  // Keys in order; a bucket that is not there has none.
  Result<void> visit(std::string_view bucket, const Visit& visit) const;
  Result<std::string> get(std::string_view bucket, std::string_view key) const;  // empty: not there
  // Bytes of all pages, as bbolt counts them.
  uint64_t database_bytes() const { return pages_ * page_bytes_; }

 private:
  struct Element {
    uint32_t flags;
    std::string_view key, value;
  };
  using VisitElement = std::function<Result<bool>(const Element&)>;  // false: enough

  BboltReader(const Source& source, uint64_t bytes) : source_(&source), bytes_(bytes) {}
  Result<void> read_meta();
  Result<std::string> page(uint64_t id) const;
  // visited counts pages, of which a tree cannot have more than the file.
  Result<bool> walk(uint64_t id, int depth, uint64_t& visited, const VisitElement& visit) const;
  Result<bool> walk_leaf(std::string_view page, uint64_t id, const VisitElement& visit) const;

  const Source* source_;
  uint64_t bytes_;
  uint64_t page_bytes_ = 0, pages_ = 0, root_ = 0;
};

}  // namespace rs::store::snapshot
