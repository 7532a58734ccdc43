// Inside validation: the rules of one container, which pods and templates share.
#pragma once

#include "api/validation_errors.h"

namespace rs::api::validation {

using VolumeNames = std::set<std::string, std::less<>>;

struct ContainerRules {
  bool init = false;
  bool host_network = false;
  const VolumeNames& volumes;
};

void container(Errors& errors, const Json& value, const std::string& path, const ContainerRules& rules);
// A path below a directory: relative, without "..".
void descending_path(Errors& errors, std::string_view target, const std::string& path);

}  // namespace rs::api::validation
