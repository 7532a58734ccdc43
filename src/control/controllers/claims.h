// Which children belong to an owner: by controller reference, and by adopting orphans its selector matches or releasing
// children it no longer matches (k8s pkg/controller/controller_ref_manager.go).
#pragma once

#include "api/selector.h"
#include "control/controllers/controller.h"

namespace rs::control {

struct Claims {
  std::vector<ObjectPtr> owned, adopt, release;
};
// Pure. children: those with a reference to owner and those without a controller, of its namespace.
Claims claims_of(const Json& owner, const api::LabelSelector& selector, const std::vector<ObjectPtr>& children);

// Index of objects without a controller, by namespace; children_of needs it on the children's informer.
void add_orphan_index(client::Informer& informer);
std::vector<ObjectPtr> children_of(const client::Informer& informer, const Json& owner);

// Makes the claims true on the server; answers what owner then owns. Adopts only after reading owner anew: one that was
// deleted or replaced meanwhile adopts nothing.
awaitable<Result<std::vector<ObjectPtr>>> carry_out(client::Client& client, client::Resource child_resource,
                                                    client::Resource owner_resource, ObjectPtr owner, Claims claims);

// Runs the calls, at most width at a time, and waits for all. They must own what they use.
awaitable<void> in_parallel(async::Loop& loop, std::vector<std::function<awaitable<void>()>> calls, size_t width = 32);

}  // namespace rs::control
