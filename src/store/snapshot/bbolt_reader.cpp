#include "store/snapshot/bbolt_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

namespace rs::store::snapshot {
namespace {

using namespace bbolt;

constexpr int kMaxDepth = 40;  // of a tree; bbolt's have hundreds of keys a page
constexpr uint64_t kMinPage = 512, kMaxPage = 1 << 20;
constexpr uint64_t kMaxPageBytes = 1ull << 30;  // of one page with its overflow: one value is at most that

class FileSource final : public Source {
 public:
  FileSource(int fd, uint64_t size) : fd_(fd), size_(size) {}
  ~FileSource() override { ::close(fd_); }
  uint64_t size() const override { return size_; }
  Result<std::string> read(uint64_t offset, size_t size) const override {
    std::string out(size, 0);
    for (size_t done = 0; done < size;) {
      const ssize_t count = ::pread(fd_, out.data() + done, size - done, off_t(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail(Code::kUnavailable, "reading the snapshot: {}", std::strerror(errno));
      if (count == 0) return fail(Code::kDataLoss, "the snapshot ends at byte {}: it is cut off", offset + done);
      done += size_t(count);
    }
    return out;
  }

 private:
  const int fd_;
  const uint64_t size_;
};

class MemorySource final : public Source {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Result<std::string> read(uint64_t offset, size_t size) const override {
    if (offset > bytes_.size() || size > bytes_.size() - offset)
      return fail(Code::kDataLoss, "the snapshot ends at byte {}: it is cut off", bytes_.size());
    return bytes_.substr(offset, size);
  }

 private:
  const std::string bytes_;
};

std::unexpected<Error> damaged(uint64_t page, std::string_view what) {
  return fail(Code::kDataLoss, "the snapshot is damaged: page {}: {}", page, what);
}

}  // namespace

Result<std::unique_ptr<Source>> open_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(errno == ENOENT ? Code::kNotFound : Code::kUnavailable, "cannot open {}: {}", path, std::strerror(errno));
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    return fail(Code::kBadRequest, "{} is not a file", path);
  }
  return std::unique_ptr<Source>(new FileSource(fd, uint64_t(status.st_size)));
}

std::unique_ptr<Source> in_memory(std::string bytes) { return std::make_unique<MemorySource>(std::move(bytes)); }

Result<BboltReader> BboltReader::open(const Source& source, uint64_t bytes) {
  BboltReader reader(source, bytes);
  if (auto read = reader.read_meta(); !read) return fail(read.error());
  return reader;
}

Result<void> BboltReader::read_meta() {
  // The second meta page lies one page after the first; of what size is told by the first, or, when that is damaged,
  // found by trying.
  struct Meta {
    uint64_t page_bytes, root, pages, transaction;
  };
  std::optional<Meta> best;
  auto look_at = [&](uint64_t offset) {
    if (offset + kPageHeader + kMetaBytes > bytes_) return;
    auto read = source_->read(offset + kPageHeader, kMetaBytes);
    if (!read) return;
    const std::string& meta = *read;
    if (bbolt::get<uint32_t>(meta, 0) != kMagic || bbolt::get<uint32_t>(meta, 4) != kVersion) return;
    if (bbolt::get<uint64_t>(meta, 56) != fnv1a(std::string_view(meta).substr(0, kMetaChecksummed))) return;
    Meta found{bbolt::get<uint32_t>(meta, 8), bbolt::get<uint64_t>(meta, 16), bbolt::get<uint64_t>(meta, 40),
               bbolt::get<uint64_t>(meta, 48)};
    const bool page_fits = found.page_bytes >= kMinPage && found.page_bytes <= kMaxPage &&
                           (found.page_bytes & (found.page_bytes - 1)) == 0;
    if (page_fits && (!best || found.transaction > best->transaction)) best = found;
  };
  look_at(0);
  if (best) {
    look_at(best->page_bytes);
  } else {
    for (uint64_t page = kMinPage; page <= kMaxPage && !best; page *= 2) look_at(page);
  }
  if (!best) return fail(Code::kDataLoss, "this is no etcd snapshot: no meta page of a bbolt database is valid");
  page_bytes_ = best->page_bytes;
  pages_ = best->pages;
  root_ = best->root;
  if (pages_ < 3 || pages_ > bytes_ / page_bytes_)
    return fail(Code::kDataLoss, "the snapshot is cut off: it has {} bytes, and should have {} pages of {}", bytes_, pages_,
                page_bytes_);
  return {};
}

// With its overflow.
Result<std::string> BboltReader::page(uint64_t id) const {
  if (id < 2 || id >= pages_) return damaged(id, "there is no such page");
  auto head = source_->read(id * page_bytes_, kPageHeader);
  if (!head) return head;
  if (bbolt::get<uint64_t>(*head, 0) != id) return damaged(id, "it says that it is another page");
  const uint64_t overflow = bbolt::get<uint32_t>(*head, 12);
  const uint64_t bytes = (overflow + 1) * page_bytes_;
  if (overflow >= pages_ - id || bytes > kMaxPageBytes) return damaged(id, "it is longer than the file");
  return source_->read(id * page_bytes_, bytes);
}

Result<bool> BboltReader::walk_leaf(std::string_view page, uint64_t id, const VisitElement& visit) const {
  const size_t count = bbolt::get<uint16_t>(page, 10);
  if (kPageHeader + count * kElement > page.size()) return damaged(id, "it has more elements than room");
  for (size_t i = 0; i < count; ++i) {
    const size_t at = kPageHeader + i * kElement;
    const uint64_t position = at + bbolt::get<uint32_t>(page, at + 4);
    const uint64_t key = bbolt::get<uint32_t>(page, at + 8), value = bbolt::get<uint32_t>(page, at + 12);
    if (position + key + value > page.size()) return damaged(id, "an element lies outside of it");
    auto go_on = visit({bbolt::get<uint32_t>(page, at), page.substr(position, key), page.substr(position + key, value)});
    if (!go_on || !*go_on) return go_on;
  }
  return true;
}

Result<bool> BboltReader::walk(uint64_t id, int depth, uint64_t& visited, const VisitElement& visit) const {
  if (depth > kMaxDepth || ++visited > pages_) return damaged(id, "the tree is deeper than the file allows");
  auto read = page(id);
  if (!read) return fail(read.error());
  const std::string& bytes = *read;
  const uint16_t flags = bbolt::get<uint16_t>(bytes, 8);
  if (flags == kLeafPage) return walk_leaf(bytes, id, visit);
  if (flags != kBranchPage) return damaged(id, "it is neither a branch nor a leaf");
  const size_t count = bbolt::get<uint16_t>(bytes, 10);
  if (kPageHeader + count * kElement > bytes.size()) return damaged(id, "it has more elements than room");
  for (size_t i = 0; i < count; ++i) {
    auto go_on = walk(bbolt::get<uint64_t>(bytes, kPageHeader + i * kElement + 8), depth + 1, visited, visit);
    if (!go_on || !*go_on) return go_on;
  }
  return true;
}

Result<void> BboltReader::visit_buckets(const std::function<bool(std::string_view)>& visit) const {
  uint64_t visited = 0;
  auto walked = walk(root_, 0, visited, [&](const Element& element) -> Result<bool> {
    if ((element.flags & kBucketLeaf) == 0) return fail(Code::kDataLoss, "a key lies outside of every bucket");
    return visit(element.key);
  });
  if (!walked) return fail(walked.error());
  return {};
}

Result<void> BboltReader::visit(std::string_view bucket, const Visit& visit) const {
  uint64_t visited = 0;
  std::optional<std::string> found;
  auto walked = walk(root_, 0, visited, [&](const Element& element) -> Result<bool> {
    if (element.key != bucket || (element.flags & kBucketLeaf) == 0) return true;
    found = element.value;
    return false;
  });
  if (!walked) return fail(walked.error());
  if (!found) return {};
  if (found->size() < kBucketHeader) return fail(Code::kDataLoss, "the bucket \"{}\" is damaged", bucket);
  auto each = [&](const Element& element) -> Result<bool> {
    if ((element.flags & kBucketLeaf) != 0) return fail(Code::kDataLoss, "the bucket \"{}\" has a bucket in it", bucket);
    return visit(element.key, element.value);
  };
  const uint64_t root = bbolt::get<uint64_t>(*found, 0);
  if (root != 0) {
    walked = walk(root, 0, visited, each);
  } else {
    const std::string_view inline_page = std::string_view(*found).substr(kBucketHeader);
    if (inline_page.size() < kPageHeader || bbolt::get<uint16_t>(inline_page, 8) != kLeafPage)
      return fail(Code::kDataLoss, "the bucket \"{}\" is damaged", bucket);
    walked = walk_leaf(inline_page, 0, each);
  }
  if (!walked) return fail(walked.error());
  return {};
}

Result<std::string> BboltReader::get(std::string_view bucket, std::string_view key) const {
  std::string out;
  auto visited = visit(bucket, [&](std::string_view k, std::string_view v) {
    if (k != key) return true;
    out = v;
    return false;
  });
  if (!visited) return fail(visited.error());
  return out;
}

}  // namespace rs::store::snapshot
