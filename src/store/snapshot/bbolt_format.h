// bbolt's file (go.etcd.io/bbolt: page.go, bucket.go, db.go): pages of one size, little-endian, that form a tree of
// buckets. Pages 0 and 1 are meta pages, of which the valid one with the highest transaction id counts.
//
//   page    id u64, flags u16, count u16, overflow u32 (pages that follow and belong to it), elements
//   branch  count times { pos u32 (from the element to its key), key size u32, page u64 }, keys
//   leaf    count times { flags u32, pos u32, key size u32, value size u32 }, keys and values
//   bucket  a leaf's value with flag 1: root page u64, sequence u64; root 0: the bucket's one page follows inline
//   meta    magic u32, version u32, page size u32, flags u32, root bucket, freelist page u64, page count u64,
//           transaction id u64, FNV-1a 64 of all before
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace rs::store::snapshot::bbolt {

inline constexpr uint32_t kMagic = 0xED0CDAED, kVersion = 2;
inline constexpr uint16_t kBranchPage = 1, kLeafPage = 2, kMetaPage = 4, kFreelistPage = 16;
inline constexpr uint32_t kBucketLeaf = 1;
inline constexpr size_t kPageHeader = 16, kElement = 16, kBucketHeader = 16;
inline constexpr size_t kMetaBytes = 64, kMetaChecksummed = 56;

template <class T>
T get(std::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}
template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

inline uint64_t fnv1a(std::string_view bytes) {
  uint64_t hash = 14695981039346656037u;
  for (char c : bytes) hash = (hash ^ uint8_t(c)) * 1099511628211u;
  return hash;
}

}  // namespace rs::store::snapshot::bbolt
