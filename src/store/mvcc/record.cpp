#include "store/mvcc/record.h"

namespace rs::store::mvcc {
namespace {

void append_be(std::string& out, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out.push_back(char(value >> (8 * i)));
}
uint64_t read_be(std::string_view bytes) {
  uint64_t value = 0;
  for (char c : bytes) value = value << 8 | uint8_t(c);
  return value;
}
void append_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(char(value | 0x80));
    value >>= 7;
  }
  out.push_back(char(value));
}
bool read_varint(std::string_view& in, uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    auto byte = uint8_t(in.front());
    in.remove_prefix(1);
    value |= uint64_t(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

constexpr uint8_t kTombstone = 1, kLast = 2;

}  // namespace

std::string meta_key(std::string_view name) { return "m" + std::string(name); }
std::string lease_key(LeaseId id) {
  std::string key = "l";
  append_be(key, uint64_t(id), 8);
  return key;
}
std::string record_key(char kind, Revision main, uint32_t sub) {
  std::string key(1, kind);
  append_be(key, uint64_t(main), 8);
  append_be(key, sub, 4);
  return key;
}

void put_record(engine::Batch& batch, const Record& record, std::string_view value) {
  std::string meta;
  meta.reserve(24 + record.key.size());
  meta.push_back(char((record.tombstone ? kTombstone : 0) | (record.last ? kLast : 0)));
  append_varint(meta, uint64_t(record.create));
  append_varint(meta, uint64_t(record.version));
  append_varint(meta, uint64_t(record.lease));
  append_varint(meta, value.size());
  meta.append(record.key);
  std::string key = record_key('i', record.main, record.sub);
  batch.put(key, meta);
  if (value.empty()) return;
  key[0] = 'v';
  batch.put(key, value);
}

void erase_record(engine::Batch& batch, Revision main, uint32_t sub, bool has_value) {
  std::string key = record_key('i', main, sub);
  batch.erase(key);
  if (!has_value) return;
  key[0] = 'v';
  batch.erase(key);
}

void put_lease(engine::Batch& batch, const StoredLease& lease) {
  std::string value;
  append_varint(value, uint64_t(lease.ttl_seconds));
  if (lease.remaining_seconds > 0) append_varint(value, uint64_t(lease.remaining_seconds));
  batch.put(lease_key(lease.id), value);
}

void put_head(engine::Batch& batch, const Head& head) {
  std::string value;
  append_be(value, uint64_t(head.revision), 8);
  append_be(value, head.commits, 8);
  batch.put("mhead", value);
}

void put_number(engine::Batch& batch, std::string_view name, int64_t number) {
  std::string value;
  append_be(value, uint64_t(number), 8);
  batch.put(meta_key(name), value);
}

std::optional<Record> parse_record(std::string_view key, std::string_view value) {
  if (key.size() != 13 || key[0] != 'i' || value.empty()) return std::nullopt;
  Record record;
  record.main = Revision(read_be(key.substr(1, 8)));
  record.sub = uint32_t(read_be(key.substr(9, 4)));
  auto flags = uint8_t(value.front());
  value.remove_prefix(1);
  record.tombstone = (flags & kTombstone) != 0;
  record.last = (flags & kLast) != 0;
  uint64_t create, version, lease, bytes;
  if (!read_varint(value, create) || !read_varint(value, version) || !read_varint(value, lease) ||
      !read_varint(value, bytes))
    return std::nullopt;
  if (flags > 3 || value.empty() || bytes > UINT32_MAX || record.main < 2 || record.sub > INT32_MAX) return std::nullopt;
  record.create = Revision(create);
  record.version = int64_t(version);
  record.lease = LeaseId(lease);
  record.value_bytes = uint32_t(bytes);
  record.key = value;
  return record;
}

std::optional<StoredLease> parse_lease(std::string_view key, std::string_view value) {
  uint64_t ttl, remaining = 0;
  if (key.size() != 9 || !read_varint(value, ttl)) return std::nullopt;
  if (!value.empty() && (!read_varint(value, remaining) || !value.empty() || remaining == 0)) return std::nullopt;
  return StoredLease{LeaseId(read_be(key.substr(1))), int64_t(ttl), int64_t(remaining)};
}

std::optional<Head> parse_head(std::string_view value) {
  if (value.size() != 16) return std::nullopt;
  return Head{Revision(read_be(value.substr(0, 8))), read_be(value.substr(8))};
}

std::optional<int64_t> parse_number(std::string_view value) {
  if (value.size() != 8) return std::nullopt;
  return int64_t(read_be(value));
}

}  // namespace rs::store::mvcc
