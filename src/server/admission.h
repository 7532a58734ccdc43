// Admission: what the server adds to or refuses of objects, before validation (reference section A16).
#pragma once

#include "server/strategy.h"

namespace rs::server {

class Admission {
 public:
  explicit Admission(Core& core) : core_(core) {}
  // old null: create.
  awaitable<Result<void>> mutate(Write& write, Json& object, const Json* old);

 private:
  Core& core_;
};

}  // namespace rs::server
