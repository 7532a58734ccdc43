#include "api/table.h"

#include "api/meta.h"
#include "api/selector.h"
#include "api/table_printers.h"

namespace rs::api {
namespace printers {

std::string since(std::string_view time, WallTime now) {
  WallTime then;
  if (time.empty() || !parse_rfc3339(time, then)) return "<unknown>";
  return human_duration(now - then);
}

std::string age(const Json& object, WallTime now) { return since(str(object, "metadata", "creationTimestamp"), now); }

std::string or_none(std::string_view text) { return std::string(text.empty() ? kNone : text); }

std::string format_labels(const JsonObject& labels) {
  std::vector<std::string> pairs;
  for (const auto& [key, value] : labels)
    pairs.push_back(fmt::format("{}={}", std::string_view(key),
                                value.is_string() ? std::string_view(value.get_string()) : std::string_view()));
  std::sort(pairs.begin(), pairs.end());
  return or_none(fmt::format("{}", fmt::join(pairs, ",")));
}

std::string format_selector(const Json* label_selector) {
  Result<LabelSelector> selector = LabelSelector::from_json(label_selector);
  return selector ? or_none(selector->text()) : "<error>";
}

std::string joined(const JsonArray& items, std::string_view member) {
  std::string out;
  for (const Json& item : items) {
    std::string_view text = member.empty() ? (item.is_string() ? std::string_view(item.get_string()) : "") : str(item, member);
    if (!out.empty()) out += ',';
    out += text;
  }
  return out;
}

std::string container_names(const Json& pod_spec) { return joined(array(pod_spec, "containers"), "name"); }
std::string container_images(const Json& pod_spec) { return joined(array(pod_spec, "containers"), "image"); }

std::string limited_list(const std::vector<std::string>& items, std::string_view empty) {
  constexpr size_t kShown = 3;
  if (items.empty()) return std::string(empty);
  std::string out = fmt::format("{}", fmt::join(items.begin(), items.begin() + ptrdiff_t(std::min(items.size(), kShown)), ","));
  if (items.size() > kShown) out += fmt::format(" + {} more...", items.size() - kShown);
  return out;
}

}  // namespace printers

namespace {

using printers::Column;
using printers::Printer;

constexpr Column kFallbackColumns[] = {
    printers::kNameColumn,
    {"Created At", "date", "CreationTimestamp is a timestamp representing the server time when this object was created."}};

JsonArray fallback_cells(const Json& object, WallTime) {
  return {name_of(object), str(object, "metadata", "creationTimestamp")};
}

constexpr Printer kFallback{"", "", kFallbackColumns, fallback_cells};

const Printer& printer_of(const Kind& kind) {
  for (std::span<const Printer> family :
       {printers::core_printers(), printers::workload_printers(), printers::policy_printers()})
    for (const Printer& printer : family)
      if (printer.kind == kind.kind && printer.group == kind.group) return printer;
  return kFallback;
}

}  // namespace

JsonArray table_columns(const Kind& kind) {
  JsonArray out;
  for (const Column& column : printer_of(kind).columns)
    out.push_back(JsonObject{{"name", column.name},
                             {"type", column.type},
                             {"format", column.name == "Name" ? "name" : ""},
                             {"description", column.description},
                             {"priority", column.priority}});
  return out;
}

JsonObject table_row(const Kind& kind, const Json& object, WallTime now) {
  JsonObject row;
  row["cells"] = printer_of(kind).cells(object, now);
  if (kind.kind == "Pod" && kind.group.empty())
    if (JsonArray conditions = printers::pod_conditions(object); !conditions.empty()) row["conditions"] = std::move(conditions);
  return row;
}

}  // namespace rs::api
