// The strategies of kinds with behaviour, one file each.
#pragma once

#include "server/strategy.h"

namespace rs::server {

const Strategy* built_in_strategy(std::string_view group, std::string_view plural);  // null: generic

const Strategy& pod_strategy();
const Strategy& service_strategy();
const Strategy& namespace_strategy();
const Strategy& node_strategy();
const Strategy& job_strategy();
const Strategy& secret_strategy();
const Strategy& event_strategy();

}  // namespace rs::server
