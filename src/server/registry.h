// Registry: the generic create, update, patch and delete of objects of any kind (apiserver pkg/registry/generic).
//
// Every write: decode, defaults, metadata rules, strategy, admission, validation, field ownership, then one transaction
// with optimistic concurrency. One loop. Errors are what the client is answered.
#pragma once

#include <functional>

#include "server/admission.h"
#include "server/strategy.h"

namespace rs::server {

struct Written {
  Bytes bytes;              // what the client is answered
  bool created = false;
  bool deleted = false;     // an update or delete that removed the object
};

class Registry {
 public:
  Registry(Core& core, Admission& admission) : core_(core), admission_(admission), storage_(core) {}

  awaitable<Result<Written>> create(Write& write, Json object);
  // Computes the wanted object from the current one (null: there is none). Called again after a lost race, so it must
  // not change anything.
  using Change = std::function<Result<Json>(const Json* live)>;
  struct UpdateOptions {
    bool may_create = false;
    std::string uid;            // precondition
  };
  awaitable<Result<Written>> update(Write& write, Change change, UpdateOptions options);
  awaitable<Result<Written>> remove(Write& write, DeleteOptions options);

 private:
  awaitable<Result<Written>> create_once(Write& write, Json object);
  awaitable<Result<std::optional<Written>>> try_update(Write& write, const Change& change, const UpdateOptions& options,
                                                       ObjectPtr& live);
  Result<void> settle_update(Write& write, Json& object, const Json& old, const UpdateOptions& options);
  awaitable<Result<std::optional<Written>>> try_remove(Write& write, const DeleteOptions& options, ObjectPtr& live);
  awaitable<Result<std::optional<Written>>> store_update(Write& write, const Json& object, bool removes, ObjectPtr& live);
  awaitable<Result<ObjectPtr>> live_object(const Write& write);

  Core& core_;
  Admission& admission_;
  Storage storage_;
};

// Which finalizers a delete with these options adds or drops (apiserver registry/generic deletionFinalizersForGC).
// True when the list changed.
bool apply_propagation_policy(Json& object, const DeleteOptions& options);

}  // namespace rs::server
