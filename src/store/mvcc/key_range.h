// KeyRange: etcd's [key, range_end) (reference etcd-api.md A.5): an empty end is the one key, "\0" is no end.
#pragma once

#include <string>
#include <string_view>

namespace rs::store::mvcc {

inline constexpr std::string_view kNoEnd{"\0", 1};

// Views into strings that outlive it.
struct KeyRange {
  std::string_view key, end;

  bool single() const { return end.empty(); }
  bool unbounded() const { return end == kNoEnd; }
  bool empty() const { return !single() && !unbounded() && key >= end; }
  bool before_end(std::string_view k) const { return single() ? k == key : unbounded() || k < end; }
  bool contains(std::string_view k) const { return single() ? k == key : k >= key && (unbounded() || k < end); }
};

}  // namespace rs::store::mvcc
