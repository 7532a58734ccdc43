#include "base/json.h"
#include "roadstead/commands.h"

namespace rs::roadstead {

int print_version(const std::string& output) {
  if (output == "json")
    fmt::print("{}\n", to_text(JsonObject{{"version", ROADSTEAD_VERSION}, {"kubernetes", "v1.32.4"}, {"etcd", "3.5"}}));
  else
    fmt::print("roadstead {}\nKubernetes API v1.32, etcd API v3\n", ROADSTEAD_VERSION);
  return 0;
}

}  // namespace rs::roadstead
