// The resources that can be listed, watched and deleted: what garbage collection and namespace deletion look after.
#pragma once

#include <vector>

#include "client/client.h"

namespace rs::control {
// One version of each built-in resource, events aside (they expire by themselves).
std::vector<client::Resource> collectable_resources();
// Of a CustomResourceDefinition: the resource it makes, once it is established.
std::optional<client::Resource> custom_resource(const Json& definition);
extern const client::Resource kCustomResourceDefinitions;
}  // namespace rs::control
