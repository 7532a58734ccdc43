// Inside validation: the parts of a pod's rules that have files of their own.
#pragma once

#include "api/validation_containers.h"

namespace rs::api::validation {

VolumeNames volumes(Errors& errors, const Json& spec, const std::string& path);  // the names that mounts may use
// nodeSelector, affinity, tolerations, topologySpreadConstraints.
void scheduling(Errors& errors, const Json& spec, const std::string& path);

}  // namespace rs::api::validation
