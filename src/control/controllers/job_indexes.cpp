#include <charconv>

#include "control/controllers/job_plan.h"

namespace rs::control {

std::set<int64_t> parse_indexes(std::string_view text, int64_t limit) {
  std::set<int64_t> out;
  auto number = [](std::string_view part) -> std::optional<int64_t> {
    int64_t value = 0;
    auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (part.empty() || error != std::errc() || end != part.data() + part.size() || value < 0) return std::nullopt;
    return value;
  };
  while (!text.empty()) {
    std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    size_t dash = part.find('-');
    auto first = number(part.substr(0, dash));
    auto last = dash == std::string_view::npos ? first : number(part.substr(dash + 1));
    if (!first || !last) continue;
    for (int64_t index = *first; index <= std::min(*last, limit - 1); ++index) out.insert(index);
  }
  return out;
}

std::string format_indexes(const std::set<int64_t>& indexes) {
  std::string out;
  for (auto it = indexes.begin(); it != indexes.end();) {
    int64_t first = *it, last = first;
    while (++it != indexes.end() && *it == last + 1) last = *it;
    if (!out.empty()) out += ',';
    out += std::to_string(first);
    // As upstream: two neighbours are listed, three or more are a range.
    if (last == first + 1) out += fmt::format(",{}", last);
    else if (last > first) out += fmt::format("-{}", last);
  }
  return out;
}

}  // namespace rs::control
