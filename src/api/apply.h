// Server-side apply and managedFields (reference section A11; structured-merge-diff). Pure.
#pragma once

#include "api/kind.h"
#include "base/clock.h"

namespace rs::api {

struct ApplyOptions {
  std::string manager;
  bool force = false;
  std::string subresource;  // "status", "scale" or empty
  WallTime now;
};

// Merges config (what the applier wants, with apiVersion and kind) into live (null: create) and returns the object with
// its managedFields; kConflict with causes FieldManagerConflict when others own what changes and force is false.
Result<Json> server_side_apply(const Kind& kind, const Json* live, const Json& config, const ApplyOptions& options);

// After any other write: gives manager the fields that differ between old_object (null: create) and object, takes removed
// ones from all, keeps times of unchanged entries. The managedFields the client sent are used as a base only when they
// parse; an empty list resets (metav1 semantics).
void track_update(const Kind& kind, const Json* old_object, Json& object, const ApplyOptions& options);

}  // namespace rs::api
