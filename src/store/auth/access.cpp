#include "store/auth/access.h"

#include <algorithm>

#include "store/auth/changes.h"

namespace rs::store::auth {
namespace {

constexpr std::string_view kOpen("\0", 1);

}  // namespace

void KeyRanges::add(std::string_view key, std::string_view range_end) {
  Range range{std::string(key), std::string(range_end), range_end == kOpen};
  if (range_end.empty()) range.end = range.begin + '\0';
  if (range.open || range.begin < range.end) ranges_.push_back(std::move(range));
}

void KeyRanges::merge() {
  std::sort(ranges_.begin(), ranges_.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<Range> merged;
  for (Range& range : ranges_) {
    if (merged.empty() || (!merged.back().open && merged.back().end < range.begin)) {
      merged.push_back(std::move(range));
      continue;
    }
    Range& last = merged.back();
    if (last.open) break;
    last.open = range.open;
    if (range.open || last.end < range.end) last.end = std::move(range.end);
  }
  ranges_ = std::move(merged);
}

bool KeyRanges::covers(std::string_view key, std::string_view range_end) const {
  auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), key,
                       [](std::string_view k, const Range& range) { return k < range.begin; });
  if (after == ranges_.begin()) return false;
  const Range& range = *std::prev(after);
  if (range.open) return true;
  if (range_end == kOpen || key >= range.end) return false;
  return range_end.empty() || range_end <= range.end;
}

Access access_of(const State& state, const User& user) {
  Access out;
  for (const std::string& name : user.roles) {
    if (name == kRoot) out.root = true;
    auto role = state.roles.find(name);
    if (role == state.roles.end()) continue;
    for (const Permission& permission : role->second.permissions) {
      if (permission.type != Permission::Type::kWrite)
        out.read.add(permission.key, permission.range_end);
      if (permission.type != Permission::Type::kRead)
        out.write.add(permission.key, permission.range_end);
    }
  }
  out.read.merge();
  out.write.merge();
  return out;
}

}  // namespace rs::store::auth
