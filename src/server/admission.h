// Admission: what the server adds to or refuses of objects, before validation (reference section A16).
#pragma once

#include "server/authorize.h"
#include "server/strategy.h"

namespace rs::server {

class Admission {
 public:
  Admission(Core& core, Authorizer& authorizer) : core_(core), authorizer_(authorizer) {}
  // old null: create.
  awaitable<Result<void>> mutate(Write& write, Json& object, const Json* old);

 private:
  Core& core_;
  Authorizer& authorizer_;
};

}  // namespace rs::server
