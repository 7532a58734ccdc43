#include "store/snapshot/etcd_log.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "store/etcd/wire.h"

namespace rs::store::snapshot {
namespace {

constexpr uint64_t kSegmentBytesMax = 1ull << 30;  // etcd's have 64 MiB
constexpr uint64_t kEntryRecord = 2;

// etcdserverpb.InternalRaftRequest: puts, deletions, transactions and compactions; then users and
// roles, of which signing in and asking (1012, 1013) change nothing. Leases are written to the
// database without the index.
bool is_change(uint32_t field) {
  return (field >= 4 && field <= 7) ||
         (field >= 1000 && field < 1300 && field != 1012 && field != 1013);
}

struct Entry {
  uint64_t type = 0, index = 0;
  bool change = false;
};

// raftpb.Entry.
bool read_entry(std::string_view message, Entry& out) {
  etcd::Reader in(message);
  std::string_view data;
  while (in.next()) {
    if (in.field() == 1) out.type = in.number();
    if (in.field() == 3) out.index = in.number();
    if (in.field() == 4) data = in.text();
  }
  etcd::Reader request(data);
  while (out.type == 0 && request.next()) out.change = out.change || is_change(request.field());
  return in.ok();
}

}  // namespace

// The records of one segment: a length of 8 bytes whose highest one tells the padding, and
// walpb.Record.
void read_log_segment(std::string_view bytes, uint64_t applied_index, std::set<uint64_t>& changes) {
  while (bytes.size() >= 8) {
    uint64_t header = 0;
    for (int i = 7; i >= 0; --i) header = header << 8 | uint8_t(bytes[size_t(i)]);
    const uint64_t size = header & ((1ull << 56) - 1),
                   padding = header >> 63 != 0 ? header >> 56 & 7 : 0;
    if (size == 0 || size + padding > bytes.size() - 8) return;
    etcd::Reader in(bytes.substr(8, size));
    uint64_t type = 0;
    std::string_view data;
    while (in.next()) {
      if (in.field() == 1) type = in.number();
      if (in.field() == 3) data = in.text();
    }
    if (!in.ok()) return;
    Entry entry;
    if (type == kEntryRecord) {
      if (!read_entry(data, entry)) return;
      // An entry replaces those from its place on, which never were decided.
      changes.erase(changes.lower_bound(entry.index), changes.end());
      if (entry.change && entry.index > applied_index) changes.insert(entry.index);
    }
    bytes.remove_prefix(8 + size + padding);
  }
}

Result<uint64_t> changes_after(const std::filesystem::path& directory, uint64_t applied_index) {
  std::error_code ec;
  std::vector<std::filesystem::path> segments;  // named by their number in hexadecimal
  for (const auto& file : std::filesystem::directory_iterator(directory, ec)) {
    if (file.path().extension() == ".wal") segments.push_back(file.path());
  }
  if (ec) return fail(Code::kUnavailable, "cannot read {}: {}", directory.string(), ec.message());
  std::ranges::sort(segments);
  std::set<uint64_t> changes;
  for (const auto& path : segments) {
    const uint64_t size = std::filesystem::file_size(path, ec);
    if (ec || size > kSegmentBytesMax)
      return fail(Code::kUnavailable, "cannot read {}", path.string());
    std::string bytes(size, '\0');
    std::ifstream in(path, std::ios::binary);
    if (!in.read(bytes.data(), std::streamsize(size)))
      return fail(Code::kUnavailable, "cannot read {}", path.string());
    read_log_segment(bytes, applied_index, changes);
  }
  return changes.size();
}

}  // namespace rs::store::snapshot
