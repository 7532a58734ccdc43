#include "store/snapshot/bbolt_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/assert.h"

namespace rs::store::snapshot {
namespace {

using namespace bbolt;

constexpr size_t kPageBytes = 4096;
constexpr size_t kBufferBytes = 256 << 10;
// bbolt counts elements in 16 bits, and reads 0xFFFF of a freelist as "see there".
constexpr size_t kElementsPerPage = 0xFFF0;

std::string meta_page(uint64_t id, uint64_t root, uint64_t freelist, uint64_t pages, uint64_t transaction) {
  std::string out;
  put<uint64_t>(out, id);
  put<uint16_t>(out, kMetaPage);
  put<uint16_t>(out, 0);
  put<uint32_t>(out, 0);
  std::string meta;
  put<uint32_t>(meta, kMagic);
  put<uint32_t>(meta, kVersion);
  put<uint32_t>(meta, kPageBytes);
  put<uint32_t>(meta, 0);
  put<uint64_t>(meta, root);
  put<uint64_t>(meta, 0);
  put<uint64_t>(meta, freelist);
  put<uint64_t>(meta, pages);
  put<uint64_t>(meta, transaction);
  const uint64_t checksum = fnv1a(meta);
  put<uint64_t>(meta, checksum);
  out.append(meta);
  out.resize(kPageBytes);
  return out;
}

}  // namespace

BboltWriter::BboltWriter(int fd) : fd_(fd) {
  // The meta pages come last, when the root is known.
  buffer_.assign(2 * kPageBytes, 0);
}

Result<void> BboltWriter::state() const {
  if (error_) return fail(*error_);
  return {};
}

void BboltWriter::write_out() {
  for (size_t done = 0; done < buffer_.size() && !error_;) {
    const ssize_t count = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      error_ = Error{errno == ENOSPC || errno == EDQUOT ? Code::kResourceExhausted : Code::kUnavailable,
                     fmt::format("writing the snapshot: {}", std::strerror(errno))};
      return;
    }
    done += size_t(count);
  }
  // The disk begins with it now, and is waited for: a burst of megabytes would delay whoever else waits for the disk.
  (void)::sync_file_range(fd_, off_t(written_), off_t(buffer_.size()),
                          SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  written_ += buffer_.size();
  pace_.moved(int64_t(buffer_.size()));
  buffer_.clear();
}

void BboltWriter::append(std::string_view bytes) {
  buffer_.append(bytes);
  if (buffer_.size() >= kBufferBytes) write_out();
}

uint64_t BboltWriter::write_page(const Page& page, bool leaf) {
  const uint64_t id = next_page_;
  const uint64_t pages = (page.bytes + kPageBytes - 1) / kPageBytes;
  next_page_ += pages;
  std::string out;
  out.reserve(pages * kPageBytes);
  bbolt::put<uint64_t>(out, id);
  bbolt::put<uint16_t>(out, leaf ? kLeafPage : kBranchPage);
  bbolt::put<uint16_t>(out, uint16_t(page.entries.size()));
  bbolt::put<uint32_t>(out, uint32_t(pages - 1));
  size_t position = kPageHeader + page.entries.size() * kElement;
  for (size_t i = 0; i < page.entries.size(); ++i) {
    const Page::Entry& entry = page.entries[i];
    const auto offset = uint32_t(position - (kPageHeader + i * kElement));
    if (leaf) {
      bbolt::put<uint32_t>(out, entry.flags);
      bbolt::put<uint32_t>(out, offset);
      bbolt::put<uint32_t>(out, uint32_t(entry.key.size()));
      bbolt::put<uint32_t>(out, uint32_t(entry.value.size()));
    } else {
      bbolt::put<uint32_t>(out, offset);
      bbolt::put<uint32_t>(out, uint32_t(entry.key.size()));
      bbolt::put<uint64_t>(out, entry.child);
    }
    position += entry.key.size() + entry.value.size();
  }
  for (const Page::Entry& entry : page.entries) out.append(entry.key).append(entry.value);
  out.resize(pages * kPageBytes);
  append(out);
  return id;
}

void BboltWriter::flush(Tree& tree, size_t level) {
  Page page = std::exchange(tree.levels[level], Page{});
  if (page.entries.empty()) return;
  std::string first = page.entries.front().key;
  const uint64_t id = write_page(page, level == 0);
  add(tree, level + 1, {std::move(first), {}, id, 0});
}

void BboltWriter::add(Tree& tree, size_t level, Page::Entry entry) {
  if (tree.levels.size() <= level) tree.levels.resize(level + 1);
  const size_t bytes = kElement + entry.key.size() + entry.value.size();
  // A branch has two children at least, or the tree would not end.
  const size_t least = level == 0 ? 1 : 2;
  if (tree.levels[level].entries.size() >= least &&
      (tree.levels[level].bytes + bytes > kPageBytes || tree.levels[level].entries.size() >= kElementsPerPage))
    flush(tree, level);
  tree.levels[level].bytes += bytes;
  tree.levels[level].entries.push_back(std::move(entry));
}

uint64_t BboltWriter::finish_tree(Tree& tree) {
  if (tree.levels.empty()) return write_page({}, true);
  for (size_t level = 0;; ++level) {
    const bool top = level + 1 == tree.levels.size();
    // One child of a branch that has nothing above it is the root itself.
    if (top && level > 0 && tree.levels[level].entries.size() == 1) return tree.levels[level].entries[0].child;
    if (top) return write_page(tree.levels[level], level == 0);
    flush(tree, level);
  }
}

Result<void> BboltWriter::begin_bucket(std::string_view name) {
  ASSERT(bucket_.empty() && !name.empty());
  bucket_ = name;
  keys_ = {};
  last_key_.clear();
  return state();
}

Result<void> BboltWriter::put(std::string_view key, std::string_view value) {
  ASSERT(last_key_ < key, "keys of a bucket are ascending, and not empty");
  last_key_ = key;
  add(keys_, 0, {std::string(key), std::string(value), 0, 0});
  return state();
}

Result<void> BboltWriter::end_bucket() {
  std::string header;
  bbolt::put<uint64_t>(header, finish_tree(keys_));
  bbolt::put<uint64_t>(header, 0);
  add(buckets_, 0, {std::exchange(bucket_, {}), std::move(header), 0, kBucketLeaf});
  return state();
}

Result<uint64_t> BboltWriter::finish() {
  const uint64_t root = finish_tree(buckets_);
  const uint64_t freelist = next_page_++;
  std::string page;
  bbolt::put<uint64_t>(page, freelist);
  bbolt::put<uint16_t>(page, kFreelistPage);
  page.resize(kPageBytes);
  append(page);
  write_out();
  if (error_) return fail(*error_);
  const std::string metas = meta_page(0, root, freelist, next_page_, 0) + meta_page(1, root, freelist, next_page_, 1);
  if (::pwrite(fd_, metas.data(), metas.size(), 0) != ssize_t(metas.size()))
    return fail(Code::kUnavailable, "writing the snapshot: {}", std::strerror(errno));
  return next_page_ * kPageBytes;
}

}  // namespace rs::store::snapshot
