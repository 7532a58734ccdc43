// Inside the tables: what each family of kinds contributes, and the cells they share. Not for other rooms.
#pragma once

#include <span>

#include "api/table.h"

namespace rs::api::printers {

struct Column {
  std::string_view name, type, description;
  int priority = 0;  // 1: only with -o wide
};

// One kind's columns, and the cells of one object: as many as there are columns, in their order.
struct Printer {
  std::string_view group, kind;
  std::span<const Column> columns;
  JsonArray (*cells)(const Json& object, WallTime now);
};

std::span<const Printer> core_printers();
std::span<const Printer> workload_printers();
std::span<const Printer> policy_printers();
JsonArray pod_cells(const Json& pod, WallTime now);
JsonArray pod_conditions(const Json& pod);  // of the row: {type: Completed} for pods that are over

inline constexpr std::string_view kNone = "<none>";
inline constexpr Column kNameColumn{"Name", "string", "Name must be unique within a namespace. Is required when creating resources."};
inline constexpr Column kAgeColumn{"Age", "string", "CreationTimestamp is a timestamp representing the server time when this object was created."};
inline constexpr Column kContainersColumn{"Containers", "string", "Names of each container in the template.", 1};
inline constexpr Column kImagesColumn{"Images", "string", "Images referenced by each container in the template.", 1};
inline constexpr Column kSelectorColumn{"Selector", "string", "A label query over pods.", 1};

std::string since(std::string_view time, WallTime now);  // "5m"; "<unknown>" when there is no time
std::string age(const Json& object, WallTime now);
std::string or_none(std::string_view text);
std::string format_labels(const JsonObject& labels);             // "a=b,c=d" sorted, or <none>
std::string format_selector(const Json* label_selector);         // <none> when it selects everything
std::string joined(const JsonArray& items, std::string_view member);  // "a,b"; items themselves when member is empty
std::string container_names(const Json& pod_spec);
std::string container_images(const Json& pod_spec);
std::string limited_list(const std::vector<std::string>& items, std::string_view empty);  // "a,b,c + 2 more..."

}  // namespace rs::api::printers
