// Access: what one user may touch: the permissions of all its roles, merged into ranges that do not
// overlap, so that a request over several neighbouring permissions is allowed too. Values; pure.
#pragma once

#include "store/auth/state.h"

namespace rs::store::auth {

// A set of keys. Bounds are as in a RangeRequest; a key alone is the range up to its successor, key
// + "\0".
class KeyRanges {
 public:
  void add(std::string_view key, std::string_view range_end);  // in any order, then merge() once
  void merge();
  // Whether every key of the range is in the set. An inverted range has none, but its ends are
  // looked at all the same.
  bool covers(std::string_view key, std::string_view range_end) const;
  size_t size() const { return ranges_.size(); }

 private:
  struct Range {
    std::string begin, end;  // end is not in it
    bool open = false;       // no end
  };
  std::vector<Range> ranges_;
};

struct Access {
  bool root = false;  // everything
  KeyRanges read, write;
};
Access access_of(const State& state, const User& user);

}  // namespace rs::store::auth
